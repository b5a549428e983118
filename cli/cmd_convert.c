/* sapwood convert: a checkpoint in another format, dense or sparse. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "commands.h"
#include "ends.h"
#include "sapwood/mask.h"
#include "tensors.h"
#include "terminal.h"

typedef struct convert_request {
  const char *input, *output, *mask_in;
  sap_encoding encoding;
  int json, table;
} convert_request;

/* What was written. */
typedef struct written {
  sap_checkpoint *file;
  uint64_t bytes, tensor_bytes; /* of the file, and of all tensors as plain numbers */
  size_t sparse;                /* tensors in sparse form */
  uint64_t values, zeros;       /* that a sparse .safetensors file stores, and how many of them are 0 or -0 */
} written;

static int read_request(const char *self, const arguments *parsed, convert_request *request) {
  const int sparse = option_given(parsed, "sparse"), dense = option_given(parsed, "dense");
  if (parsed->operand_count == 0) return usage_error(self, "a file is needed");
  if (sparse && dense) return usage_error(self, "--sparse and --dense: expected one of them");
  if (!option_given(parsed, "mask-in") && (option_given(parsed, "include") || option_given(parsed, "exclude")))
    return usage_error(self, "--include and --exclude: only with --mask-in, for which they choose tensors");
  *request = (convert_request){
      .input = parsed->operands[0],
      .output = option_value(parsed, "output"),
      .mask_in = option_value(parsed, "mask-in"),
      .encoding = sparse  ? SAP_ENCODING_SPARSE
                  : dense ? SAP_ENCODING_DENSE
                          : SAP_ENCODING_AS_IS,
      .json = option_given(parsed, "json"),
      .table = option_given(parsed, "table"),
  };
  if (!request->output || !*request->output) return usage_error(self, "missing: -o OUT");
  const char *const inputs[] = {request->input, request->mask_in};
  return output_check(self, parsed, request->output, inputs, request->mask_in ? 2 : 1);
}

/* ---- the conversion ---- */

static int write_file(const char *self, const convert_request *request, sap_checkpoint *file,
                      const uint64_t *const *masks) {
  sap_error err;
  const sap_status status = sap_checkpoint_convert(file, masks, request->encoding, request->output, &err);
  return status == SAP_OK ? EXIT_DONE : failure(self, "%s", err.text);
}

/* With masks from elsewhere, for the tensors that count. */
static int write_masked(const char *self, const arguments *parsed, const convert_request *request,
                        sap_checkpoint *file) {
  tensors chosen = {0};
  const uint64_t **masks = calloc(sap_checkpoint_count(file) + 1, sizeof *masks);
  int code = tensors_choose(self, parsed, file, &chosen);
  if (code == EXIT_DONE && !masks) code = failure(self, "no memory for a list of masks");
  if (code == EXIT_DONE) code = tensors_read_masks(self, request->mask_in, &chosen);
  for (size_t i = 0; i < chosen.count && code == EXIT_DONE; i++) masks[chosen.places[i]] = chosen.layers[i].mask;
  if (code == EXIT_DONE) code = write_file(self, request, file, masks);
  free(masks);
  tensors_free(&chosen);
  return code;
}

static int convert_file(const char *self, const arguments *parsed, const convert_request *request) {
  sap_checkpoint *file = NULL;
  ends_watch(self, request->input);
  int code = tensors_open(self, parsed, request->input, &file);
  if (code != EXIT_DONE) return code;
  if (request->mask_in) return write_masked(self, parsed, request, file);
  code = write_file(self, request, file, NULL);
  sap_checkpoint_close(file);
  return code;
}

/* ---- showing ---- */

static int is_sparse(const written *out, size_t i, uint64_t *bytes) {
  return strcmp(sap_checkpoint_stored(out->file, i, bytes), "sparse") == 0;
}

static int look(const char *self, const convert_request *request, written *out) {
  sap_error err;
  struct stat info;
  *out = (written){0};
  if (sap_checkpoint_open(request->output, NULL, &out->file, &err) != SAP_OK) return failure(self, "%s", err.text);
  if (stat(request->output, &info) == 0) out->bytes = (uint64_t)info.st_size;
  for (size_t i = 0; i < sap_checkpoint_count(out->file); i++) {
    uint64_t bytes;
    out->tensor_bytes += sap_checkpoint_at(out->file, i)->bytes;
    out->sparse += (size_t)is_sparse(out, i, &bytes);
  }
  return EXIT_DONE;
}

/* In pieces, so that little memory is taken and pages of the file are given back. */
static uint64_t zeros_of(const sap_tensor *tensor) {
  enum { PIECE = 1 << 19 };
  static uint64_t mask[PIECE / 64];
  uint64_t zeros = 0;
  for (uint64_t done = 0; done < tensor->count; done += PIECE) {
    const sap_layer piece = {.data = (const char *)tensor->data + done * (sap_dtype_bits(tensor->dtype) / 8),
                             .dtype = tensor->dtype,
                             .count = tensor->count - done < PIECE ? tensor->count - done : PIECE,
                             .rows = 1,
                             .mask = mask,
                             .mapped = 1};
    sap_mask_fill(mask, piece.count);
    zeros += sap_layer_drop_zeros(&piece);
  }
  return zeros;
}

/* The values that were stored although they are 0 or -0: by a mask, or because a -0 is not all zero bits. */
static void count_zeros(const convert_request *request, written *out) {
  static const char ending[] = ".sapwood.values";
  sap_safetensors *file = NULL;
  if (!out->sparse || sap_safetensors_open(request->output, &file, NULL) != SAP_OK) return; /* of another format */
  for (size_t i = 0; i < sap_safetensors_count(file); i++) {
    const sap_tensor *tensor = sap_safetensors_at(file, i);
    const size_t length = strlen(tensor->name), tail = sizeof ending - 1;
    if (length < tail || strcmp(tensor->name + length - tail, ending) != 0) continue;
    out->values += tensor->count;
    if (sap_dtype_prunable(tensor->dtype)) out->zeros += zeros_of(tensor); /* integers have no -0 */
  }
  sap_safetensors_close(file);
}

static double ratio(uint64_t whole, uint64_t part) { return part ? (double)whole / (double)part : 1; }

static void print_table(const written *out) {
  size_t width = 6;
  for (size_t i = 0; i < sap_checkpoint_count(out->file); i++) {
    const size_t length = strlen(sap_checkpoint_at(out->file, i)->name);
    if (length > width) width = length < 64 ? length : 64;
  }
  printf("%-*s  %-8s %-16s %15s %15s %9s  %s\n", (int)width, "tensor", "dtype", "shape", "bytes", "stored", "smaller",
         "form");
  for (size_t i = 0; i < sap_checkpoint_count(out->file); i++) {
    const sap_tensor *tensor = sap_checkpoint_at(out->file, i);
    char shape[200], texts[2][32];
    uint64_t stored;
    const char *form = sap_checkpoint_stored(out->file, i, &stored);
    name_print(tensor->name, (int)width);
    printf("  %-8s %-16s %15s %15s %8.2fx  %s\n", sap_dtype_name(tensor->dtype),
           shape_text(tensor, shape, sizeof shape), group_digits(tensor->bytes, texts[0]),
           group_digits(stored, texts[1]), ratio(tensor->bytes, stored), form);
  }
  putchar('\n');
}

static void print_line(const convert_request *request, const written *out) {
  char texts[2][32];
  if (out->zeros > out->values / 10)
    printf("%s of the %s values stored are 0 or -0: --mask-in zeros prunes them\n", group_digits(out->zeros, texts[0]),
           group_digits(out->values, texts[1]));
  printf("written: %s: %s bytes for %s bytes of tensors (%.2fx), %zu of %zu tensors sparse\n", request->output,
         group_digits(out->bytes, texts[0]), group_digits(out->tensor_bytes, texts[1]),
         ratio(out->tensor_bytes, out->bytes), out->sparse, sap_checkpoint_count(out->file));
}

static void print_json(const convert_request *request, const written *out) {
  json_t *document = json_object(), *list = json_array();
  for (size_t i = 0; i < sap_checkpoint_count(out->file); i++) {
    const sap_tensor *tensor = sap_checkpoint_at(out->file, i);
    uint64_t stored;
    const char *form = sap_checkpoint_stored(out->file, i, &stored);
    json_t *object = json_object();
    json_object_set_new(object, "name", json_string(tensor->name));
    json_object_set_new(object, "dtype", json_string(sap_dtype_name(tensor->dtype)));
    json_object_set_new(object, "shape", shape_json(tensor));
    json_object_set_new(object, "bytes", json_integer((json_int_t)tensor->bytes));
    json_object_set_new(object, "stored", json_integer((json_int_t)stored));
    json_object_set_new(object, "form", json_string(form));
    json_array_append_new(list, object);
  }
  json_object_set_new(document, "file", json_string(request->input));
  json_object_set_new(document, "output", json_string(request->output));
  json_object_set_new(document, "format", json_string(sap_checkpoint_format(out->file)));
  json_object_set_new(document, "file_bytes", json_integer((json_int_t)out->bytes));
  json_object_set_new(document, "bytes", json_integer((json_int_t)out->tensor_bytes));
  json_object_set_new(document, "ratio", json_number(ratio(out->tensor_bytes, out->bytes)));
  json_object_set_new(document, "tensors", list);
  output_json(document);
  json_decref(document);
}

/* ---- the command ---- */

static int convert(const command *self, const arguments *parsed) {
  convert_request request;
  written out = {0};
  int code = read_request(self->name, parsed, &request);
  if (code == EXIT_DONE) code = convert_file(self->name, parsed, &request);
  if (code == EXIT_DONE) code = look(self->name, &request, &out);
  if (code == EXIT_DONE) {
    if (!request.json && !request.mask_in) count_zeros(&request, &out);
    if (request.table && !request.json) print_table(&out);
    (request.json ? print_json : print_line)(&request, &out);
  }
  sap_checkpoint_close(out.file);
  return code;
}

static const option options[] = {
    {'o', "output", "OUT", NULL, "the file to write; its ending says the format: .safetensors, .npz or .onnx"},
    {0, "sparse", NULL, NULL, "store each tensor in the smaller of the two forms"},
    {0, "dense", NULL, NULL, "store all tensors dense; without both as the input does"},
    {0, "mask-in", "F|zeros", NULL, "prune by the masks in this file, or what is 0 or -0"},
    TENSOR_OPTIONS,
    {0, "table", NULL, NULL, "show what became of every tensor"},
    {'f', "force", NULL, NULL, "overwrite an output that exists"},
    {0, "json", NULL, NULL, "print one JSON document"},
    {0, NULL, NULL, NULL, NULL},
};

static const example examples[] = {
    {"sapwood convert pruned.safetensors --sparse -o small.safetensors", "a file without its zeros"},
    {"sapwood convert small.safetensors --dense -o plain.safetensors", "and back, for other programs"},
    {"sapwood convert pruned.onnx --sparse -o small.onnx", "with sparse initializers, where they are smaller"},
    {NULL, NULL},
};

const command command_convert = {
    .name = "convert",
    .computes = 1,
    .summary = "write a checkpoint in another format, dense or sparse",
    .synopsis = "IN -o OUT [options]",
    .text =
        "Writes the tensors and metadata of a checkpoint in the format that OUT ends in. A sparse .safetensors file "
        "holds the kept weights and a compressed index of where they go (docs/sparse-format.md); every command here "
        "reads it, and no tensor takes more than it does dense. Values stay as they are, bit by bit; masks that the "
        "input carries stay in sparse forms. A .onnx file can be made from a model in ONNX only. --include and "
        "--exclude choose the tensors that --mask-in is for.",
    .options = options,
    .operands = 1,
    .examples = examples,
    .run = convert,
};
