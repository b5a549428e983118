/* sapwood export: a trained network as files for its use. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "commands.h"
#include "ends.h"
#include "sapwood/runtime.h"
#include "tensors.h"
#include "terminal.h"

/* The forms that a model can be written in: an option each. */
static const struct form {
  const char *name, *suffix;
  sap_encoding encoding;
} forms[] = {
    {"sparse", ".safetensors", SAP_ENCODING_SPARSE},
    {"safetensors", ".safetensors", SAP_ENCODING_DENSE},
    {"onnx", ".onnx", SAP_ENCODING_DENSE},
};
enum { FORMS = sizeof forms / sizeof forms[0] };

static int ends_in(const char *text, const char *suffix) {
  const size_t length = strlen(text), tail = strlen(suffix);
  return length > tail && strcmp(text + length - tail, suffix) == 0;
}

static int check(const command *self, const arguments *parsed) {
  int given = 0;
  if (parsed->operand_count == 0) return usage_error(self->name, "a run directory or a model file is needed");
  for (int i = 0; i < FORMS; i++) {
    const char *path = option_value(parsed, forms[i].name);
    if (!path) continue;
    given++;
    if (!ends_in(path, forms[i].suffix))
      return usage_error(self->name, "--%s %s: expected a name that ends in %s", forms[i].name, path, forms[i].suffix);
    const int code = output_check(self->name, parsed, path, parsed->operands, 1);
    if (code != EXIT_DONE) return code;
  }
  if (option_given(parsed, "bytes") && !option_given(parsed, "sparse"))
    return usage_error(self->name, "--bytes is for --sparse");
  return given ? EXIT_DONE : usage_error(self->name, "missing: --sparse F, --safetensors F or --onnx F");
}

static long long size_of(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 ? (long long)info.st_size : 0;
}

static json_t *written_json(const char *form, const char *path) {
  json_t *object = json_object();
  json_object_set_new(object, "form", json_string(form));
  json_object_set_new(object, "file", json_string(path));
  json_object_set_new(object, "bytes", json_integer(size_of(path)));
  return object;
}

static int run(const command *self, const arguments *parsed) {
  int code = check(self, parsed);
  sap_model_options options = sap_model_options_default();
  if (code == EXIT_DONE) code = option_int(self->name, parsed, "iteration", 0, 1 << 30, &options.iteration);
  if (code != EXIT_DONE) return code;
  ends_watch(self->name, parsed->operands[0]);
  sap_model *model = NULL;
  sap_error err;
  if (sap_model_open(parsed->operands[0], &options, &model, &err)) return failure(self->name, "%s", err.text);
  json_t *list = json_array();
  for (int i = 0; i < FORMS && code == EXIT_DONE; i++) {
    const char *path = option_value(parsed, forms[i].name);
    if (!path) continue;
    const int bytes = option_given(parsed, "bytes") && forms[i].encoding == SAP_ENCODING_SPARSE;
    if (bytes ? sap_model_write_bytes(model, path, &err) : sap_model_write(model, path, forms[i].encoding, &err))
      code = failure(self->name, "%s", err.text);
    json_array_append_new(list, written_json(forms[i].name, path));
  }
  sap_model_info info;
  sap_model_describe(model, &info);
  if (code == EXIT_DONE && option_given(parsed, "json")) {
    json_t *document = json_object();
    json_object_set_new(document, "model", json_string(info.name));
    json_object_set_new(document, "source", json_string(info.file));
    json_object_set_new(document, "total", json_integer((json_int_t)info.total));
    json_object_set_new(document, "kept", json_integer((json_int_t)info.kept));
    json_object_set_new(document, "files", json_incref(list));
    output_json(document);
    json_decref(document);
  } else if (code == EXIT_DONE) {
    char kept[32], bytes[32];
    printf("%s from %s: %s weights kept\n", info.name, info.file, group_digits(info.kept, kept));
    for (size_t i = 0; i < json_array_size(list); i++) {
      const json_t *one = json_array_get(list, i);
      const unsigned long long size = (unsigned long long)json_integer_value(json_object_get(one, "bytes"));
      printf("%-12s %s, %s bytes\n", json_string_value(json_object_get(one, "form")),
             json_string_value(json_object_get(one, "file")), group_digits(size, bytes));
    }
  }
  json_decref(list);
  sap_model_close(model);
  return code;
}

static const option options[] = {
    {0, "sparse", "F.safetensors", NULL, "write the network with its kept weights alone: what 'run' opens"},
    {0, "bytes", NULL, NULL, "with --sparse: the kept weights as bytes, with a scale a row"},
    {0, "safetensors", "F.safetensors", NULL, "write all weights, the pruned ones as zeros"},
    {0, "onnx", "F.onnx", NULL, "write a model in ONNX, the pruned weights as zeros"},
    {0, "iteration", "N", "0 <= iteration", "the iteration of a run; without it the last finished one"},
    {'f', "force", NULL, NULL, "overwrite outputs that exist"},
    {0, "json", NULL, NULL, "print one JSON document"},
    {0, NULL, NULL, NULL, NULL},
};

static const example examples[] = {
    {"sapwood export runs/resnet18 --sparse resnet18.safetensors", "the last model of a run, in one small file"},
    {NULL, NULL},
};

const command command_export = {
    .name = "export",
    .summary = "write a trained network as a small file to use",
    .synopsis = "RUN|MODEL [options]",
    .text =
        "Takes a network from a run directory or a model file and writes it for its use: as a sparse model file, "
        "which holds the network and the weights that were kept, and nothing of those that were pruned; as plain "
        "safetensors; or in ONNX. Tensors have the names of the network's PyTorch state dict.",
    .options = options,
    .operands = 1,
    .examples = examples,
    .run = run,
};
