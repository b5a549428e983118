/* sapwood convert: between formats, dense and sparse. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "commands.h"
#include "shrunk.h"
#include "tensors.h"
#include "terminal.h"

/* Bytes of a file; 0 for a folder. */
static unsigned long long file_size(const char *path) {
  struct stat status;
  return stat(path, &status) == 0 && S_ISREG(status.st_mode) ? (unsigned long long)status.st_size : 0;
}

static void print_done(const arguments *parsed, const sap_checkpoint *file, const char *output, int sparse) {
  const unsigned long long before = file_size(parsed->operands[0]), after = file_size(output);
  char text[32];
  if (option_given(parsed, "json")) {
    json_t *document = json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:I}", "file", parsed->operands[0], "format",
                                 sap_checkpoint_format(file), "output", output, "encoding", sparse ? "sparse" : "dense",
                                 "tensors", (json_int_t)sap_checkpoint_count(file), "bytes_before", (json_int_t)before,
                                 "bytes", (json_int_t)after);
    output_json(document);
    json_decref(document);
    return;
  }
  printf("written: %s, %zu tensors, %s bytes", output, sap_checkpoint_count(file), group_digits(after, text));
  if (before && after) printf(", %.3g times smaller than %s", (double)before / (double)after, parsed->operands[0]);
  putchar('\n');
}

static int convert(const command *self, const arguments *parsed) {
  const char *output = option_value(parsed, "output");
  const int sparse = option_given(parsed, "sparse");
  if (parsed->operand_count == 0) return usage_error(self->name, "a file is needed");
  if (!output || !*output) return usage_error(self->name, "missing: -o OUT");
  if (sparse && option_given(parsed, "dense"))
    return usage_error(self->name, "--sparse and --dense: expected one of them");
  int code = output_check(self->name, parsed, output, parsed->operands, 1);
  if (code != EXIT_DONE) return code;
  sap_checkpoint *file = NULL;
  shrunk_watch(self->name, parsed->operands[0]);
  code = tensors_open(self->name, parsed, parsed->operands[0], &file);
  if (code != EXIT_DONE) return code;
  sap_error err;
  if (!sap_checkpoint_writable(file, output))
    code = failure(self->name, "%s: expected a name that ends in .safetensors or .npz, or .onnx from an ONNX file",
                   output);
  else if (sap_checkpoint_convert(file, NULL, sparse ? SAP_ENCODING_SPARSE : SAP_ENCODING_DENSE, output, &err) !=
           SAP_OK)
    code = failure(self->name, "%s", err.text);
  else
    print_done(parsed, file, output, sparse);
  sap_checkpoint_close(file);
  return code;
}

static const option options[] = {
    {'o', "output", "OUT", NULL, "the file to write; its name says the format"},
    {0, "sparse", NULL, NULL, "store each tensor in the smallest form: dense, bits, or distances between weights"},
    {0, "dense", NULL, NULL, "store every weight (the default)"},
    {0, "lenient", NULL, NULL, "accept files with bytes behind their data"},
    {'f', "force", NULL, NULL, "overwrite an output that exists"},
    {0, "json", NULL, NULL, "print one JSON document"},
    {0, NULL, NULL, NULL, NULL},
};

static const example examples[] = {
    {"sapwood convert pruned.safetensors --sparse -o small.safetensors", "store what is left of a pruned checkpoint"},
    {"sapwood convert small.safetensors -o dense.npz", "and all of it again, for NumPy"},
    {NULL, NULL},
};

const command command_convert = {
    .name = "convert",
    .computes = 1,
    .summary = "write a checkpoint in another format, dense or sparse",
    .synopsis = "IN -o OUT [options]",
    .text =
        "Reads a checkpoint of any known format and writes its tensors anew in the format that the output's name "
        "ends in. With --sparse, weights that are 0 or that the input's own masks leave out take no room.",
    .options = options,
    .operands = 1,
    .examples = examples,
    .run = convert,
};
