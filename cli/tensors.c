/* Choosing tensors by type, rank and name. */
#include "tensors.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "sapwood/cpu.h"

static const char *scope_name_at(size_t i) { return i < SAP_SCOPE_COUNT ? sap_scope_name((sap_scope)i) : NULL; }

int index_options(const char *title, const arguments *parsed, sap_prune_options *options) {
  int scope = (int)options->scope;
  int code = option_word(title, parsed, "scope", scope_name_at, &scope);
  options->scope = (sap_scope)scope;
  if (code == EXIT_DONE) code = option_real(title, parsed, "p", &options->p);
  if (code == EXIT_DONE) code = option_real(title, parsed, "q", &options->q);
  if (code == EXIT_DONE) code = option_real(title, parsed, "eta", &options->eta);
  if (code == EXIT_DONE) code = option_real(title, parsed, "gamma", &options->gamma);
  if (code == EXIT_DONE) code = option_real(title, parsed, "beta", &options->beta);
  sap_error err;
  if (code == EXIT_DONE && sap_prune_options_check(options, &err) != SAP_OK)
    return usage_error(title, "--%s", err.text);
  return code;
}

int tensors_open(const char *title, const arguments *parsed, const char *path, sap_checkpoint **file) {
  sap_checkpoint_options options = sap_checkpoint_options_default();
  options.lenient = option_given(parsed, "lenient");
  int threads = 0, code = option_real(title, parsed, "max-expand", &options.max_expand);
  if (code == EXIT_DONE) code = option_int(title, parsed, "threads", 0, 1024, &threads);
  if (code != EXIT_DONE) return code;
  if (threads) sap_threads_set(threads);
  if (options.max_expand < 1)
    return usage_error(title, "--max-expand %s: expected 1 <= X", option_value(parsed, "max-expand"));
  sap_error err;
  return sap_checkpoint_open(path, &options, file, &err) == SAP_OK ? EXIT_DONE : failure(title, "%s", err.text);
}

/* ---- choosing ---- */

static int is_float(sap_dtype dtype) { return dtype == SAP_F64 || sap_dtype_prunable(dtype); }

/* Formats whose names follow no convention. */
static int names_say_nothing(const sap_checkpoint *file) {
  static const char *const formats[] = {"onnx", "npz", "npy"};
  for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
    if (strcmp(sap_checkpoint_format(file), formats[i]) == 0) return 1;
  return 0;
}

static int ends_in_weight(const char *name) {
  const size_t length = strlen(name);
  return length >= 6 && strcmp(name + length - 6, "weight") == 0;
}

static int matches(const arguments *parsed, const char *filter, const char *name) {
  size_t at = 0;
  for (const char *glob; (glob = option_next(parsed, filter, &at)) != NULL;)
    if (fnmatch(glob, name, 0) == 0) return 1;
  return 0;
}

/* 1 if the tensor counts; else it is noted why not. */
static int counts(const arguments *parsed, const sap_tensor *tensor, int any_name, left_out *out) {
  size_t *why = NULL;
  if (!is_float(tensor->dtype))
    why = &out->type;
  else if (tensor->rank < 2)
    why = &out->rank;
  else if (option_given(parsed, "include") ? !matches(parsed, "include", tensor->name)
                                           : !any_name && !ends_in_weight(tensor->name))
    why = &out->name;
  else if (matches(parsed, "exclude", tensor->name))
    why = &out->excluded;
  if (why) ++*why;
  return !why;
}

/* Why tensors were left out, in words: "2 of rank below 2, 1 by name". */
static void left_out_words(const left_out *out, char *text, size_t size) {
  const struct {
    size_t count;
    const char *why;
  } reasons[] = {{out->type, "not of a float type"},
                 {out->rank, "of rank below 2"},
                 {out->name, "by name (--include chooses others)"},
                 {out->excluded, "by --exclude"}};
  size_t used = 0;
  text[0] = 0;
  for (size_t i = 0; i < 4; i++)
    if (reasons[i].count && used < size)
      used +=
          (size_t)snprintf(text + used, size - used, "%s%zu %s", used ? ", " : "", reasons[i].count, reasons[i].why);
}

static size_t left_out_sum(const left_out *out) { return out->type + out->rank + out->name + out->excluded; }

void left_out_print(const left_out *out) {
  const size_t sum = left_out_sum(out);
  char text[256];
  if (!sum) return;
  left_out_words(out, text, sizeof text);
  printf("left out: %zu tensor%s: %s\n", sum, sum == 1 ? "" : "s", text);
}

json_t *left_out_json(const left_out *out) {
  return json_pack("{s:I,s:I,s:I,s:I}", "dtype", (json_int_t)out->type, "rank", (json_int_t)out->rank, "name",
                   (json_int_t)out->name, "exclude", (json_int_t)out->excluded);
}

/* The format's own mask of the tensor as a copy that may be changed. */
static int take_own_mask(tensors *chosen, size_t i) {
  const uint64_t *own = sap_checkpoint_mask(chosen->file, chosen->places[i]);
  sap_layer *layer = &chosen->layers[i];
  if (!own || !layer->count) return 1;
  layer->mask = sap_mask_new(layer->count);
  if (layer->mask) memcpy(layer->mask, own, sap_mask_words(layer->count) * sizeof *own);
  return layer->mask != NULL;
}

/* Makes the chosen tensors readable. */
static int load(const char *title, tensors *chosen) {
  sap_error err;
  for (size_t i = 0; i < chosen->count; i++) {
    const size_t place = chosen->places[i];
    if (sap_checkpoint_load(chosen->file, place, &err) != SAP_OK) return failure(title, "%s", err.text);
    const sap_tensor *tensor = sap_checkpoint_at(chosen->file, place);
    chosen->layers[i] = (sap_layer){.name = tensor->name,
                                    .data = tensor->data,
                                    .dtype = tensor->dtype,
                                    .count = tensor->count,
                                    .rows = tensor->shape[0],
                                    .mapped = sap_checkpoint_mapped(chosen->file, place)};
    if (!take_own_mask(chosen, i)) return failure(title, "no memory for the masks");
    chosen->weights += tensor->count;
  }
  return EXIT_DONE;
}

int tensors_choose(const char *title, const arguments *parsed, sap_checkpoint *file, tensors *chosen) {
  const size_t all = sap_checkpoint_count(file);
  *chosen = (tensors){.file = file};
  chosen->places = calloc(all + 1, sizeof *chosen->places);
  chosen->layers = calloc(all + 1, sizeof *chosen->layers);
  if (!chosen->places || !chosen->layers) return failure(title, "no memory for %zu tensors", all);
  const int any_name = names_say_nothing(file);
  for (size_t i = 0; i < all; i++)
    if (counts(parsed, sap_checkpoint_at(file, i), any_name, &chosen->out)) chosen->places[chosen->count++] = i;
  if (chosen->count) return load(title, chosen);
  char text[256];
  left_out_words(&chosen->out, text, sizeof text);
  return failure(title, "%s: no tensor counts: %s", sap_checkpoint_path(file), *text ? text : "the file has none");
}

void tensors_free(tensors *chosen) {
  for (size_t i = 0; i < chosen->count && chosen->layers; i++) sap_mask_free(chosen->layers[i].mask);
  free(chosen->places);
  free(chosen->layers);
  sap_checkpoint_close(chosen->file);
  *chosen = (tensors){0};
}

/* ---- showing ---- */

const char *shape_text(const sap_tensor *tensor, char *text, size_t size) {
  size_t used = 0;
  text[0] = 0;
  for (int i = 0; i < tensor->rank && used < size; i++)
    used += (size_t)snprintf(text + used, size - used, "%s%" PRIu64, i ? "x" : "", tensor->shape[i]);
  return text;
}

void name_print(const char *name, int width) {
  int columns = 0;
  for (; *name; name++) {
    const unsigned char byte = (unsigned char)*name;
    putchar(byte < 0x20 || byte == 0x7f ? '?' : byte);
    columns += (byte & 0xc0) != 0x80; /* not a further byte of UTF-8 */
  }
  printf("%*s", columns < width ? width - columns : 0, "");
}

json_t *shape_json(const sap_tensor *tensor) {
  json_t *shape = json_array();
  for (int i = 0; i < tensor->rank; i++) json_array_append_new(shape, json_integer((json_int_t)tensor->shape[i]));
  return shape;
}

int tensors_name_width(const tensors *chosen, int least) {
  size_t width = (size_t)least;
  for (size_t i = 0; i < chosen->count; i++) {
    const size_t length = strlen(chosen->layers[i].name);
    if (length > width) width = length;
  }
  return width < 64 ? (int)width : 64;
}

/* ---- outputs ---- */

int output_check(const char *title, const arguments *parsed, const char *path, const char *const *inputs,
                 size_t count) {
  struct stat output, input;
  if (stat(path, &output) != 0) return EXIT_DONE; /* nothing there; what cannot be written fails when it is */
  for (size_t i = 0; i < count; i++)
    if (stat(inputs[i], &input) == 0 && input.st_dev == output.st_dev && input.st_ino == output.st_ino)
      return failure(title, "%s: the output is the input, expected another file", path);
  if (S_ISDIR(output.st_mode)) return EXIT_DONE; /* never overwritten; may be empty */
  if (!option_given(parsed, "force")) return failure(title, "%s: exists already; --force overwrites it", path);
  return EXIT_DONE;
}
