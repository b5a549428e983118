/* Checkpoints: finding the format, and what all formats share. */
#include "sapwood/checkpoint.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "io/file.h"
#include "io/format.h"

extern const sap__format sap__format_npy, sap__format_npz, sap__format_pytorch, sap__format_safetensors;
extern const sap__format sap__format_onnx, sap__format_shards;

/* The formats, in the order they are asked. */
static const sap__format *const formats[] = {
    &sap__format_safetensors, &sap__format_shards, &sap__format_npy,
    &sap__format_pytorch,     &sap__format_npz, /* any other zip file */
    &sap__format_onnx,
};
enum { FORMATS = sizeof formats / sizeof formats[0], HEAD = 64 };

const char sap__form_dense[] = "dense", sap__form_sparse[] = "sparse", sap__form_deflated[] = "deflated";

sap_checkpoint_options sap_checkpoint_options_default(void) {
  return (sap_checkpoint_options){.lenient = 0, .max_expand = 1000};
}

sap_status sap__checkpoint_add_map(sap_checkpoint *checkpoint, const char *path, uint32_t *map, sap_error *err) {
  if (!sap__grow(&checkpoint->maps, checkpoint->map_count, sizeof *checkpoint->maps))
    return sap__fail_memory(err, sizeof *checkpoint->maps);
  sap_status status = sap__map_open(path, &checkpoint->maps[checkpoint->map_count], err);
  if (!status) *map = (uint32_t)checkpoint->map_count++;
  return status;
}

sap_status sap__checkpoint_expect(sap_checkpoint *checkpoint, size_t more, sap_error *err) {
  const size_t count = checkpoint->entry_count + more;
  return sap__make_room(&checkpoint->entries, &checkpoint->entry_room, count, sizeof *checkpoint->entries)
             ? SAP_OK
             : sap__fail_memory(err, count * sizeof *checkpoint->entries);
}

sap_status sap__checkpoint_take_entry(sap_checkpoint *checkpoint, const char *name, sap__entry **entry,
                                      sap_error *err) {
  sap_status status = sap__checkpoint_expect(checkpoint, 1, err);
  if (status) return status;
  *entry = &checkpoint->entries[checkpoint->entry_count++];
  **entry = (sap__entry){.tensor = {.name = name}};
  return SAP_OK;
}

sap_status sap__checkpoint_add_entry(sap_checkpoint *checkpoint, const char *name, size_t length, sap__entry **entry,
                                     sap_error *err) {
  const char *copy = sap__pieces_text(&checkpoint->pieces, name, length);
  return copy ? sap__checkpoint_take_entry(checkpoint, copy, entry, err) : sap__fail_memory(err, length + 1);
}

sap_status sap__checkpoint_take_metadata(sap_checkpoint *checkpoint, const sap_metadata *pair, sap_error *err) {
  if (!sap__grow(&checkpoint->metadata, checkpoint->metadata_count, sizeof *checkpoint->metadata))
    return sap__fail_memory(err, sizeof *pair);
  checkpoint->metadata[checkpoint->metadata_count++] = *pair;
  return SAP_OK;
}

sap_status sap__checkpoint_add_metadata(sap_checkpoint *checkpoint, const char *key, const char *value,
                                        sap_error *err) {
  const sap_metadata pair = {sap__pieces_text(&checkpoint->pieces, key, strlen(key)),
                             sap__pieces_text(&checkpoint->pieces, value, strlen(value))};
  if (!pair.key || !pair.value) return sap__fail_memory(err, strlen(key) + strlen(value));
  return sap__checkpoint_take_metadata(checkpoint, &pair, err);
}

sap_status sap__fail_entry(sap_error *err, sap_status code, const sap_checkpoint *checkpoint, const char *tensor,
                           const char *format, ...) {
  char text[SAP_ERROR_TEXT_SIZE];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return sap__fail(err, code, "%s: %.60s: %s", sap__path_tail(checkpoint->path), tensor, text);
}

sap_status sap__checkpoint_decoded(sap_checkpoint *checkpoint, sap__entry *entry, sap_error *err) {
  double files = 0;
  for (size_t i = 0; i < checkpoint->map_count; i++) files += (double)checkpoint->maps[i].size;
  double wanted = (double)checkpoint->decoded_bytes + (double)entry->tensor.bytes;
  if (wanted > files * checkpoint->options.max_expand)
    return sap__fail_entry(err, SAP_ERROR_FORMAT, checkpoint, entry->tensor.name,
                           "decoded it has %llu bytes, expected at most %g times the file's",
                           (unsigned long long)entry->tensor.bytes, checkpoint->options.max_expand);
  entry->decoded = sap__alloc((size_t)entry->tensor.bytes, 1);
  if (!entry->decoded) return sap__fail_memory(err, (size_t)entry->tensor.bytes);
  checkpoint->decoded_bytes += entry->tensor.bytes;
  return SAP_OK;
}

void sap__checkpoint_unload(sap_checkpoint *checkpoint, sap__entry *entry) {
  if (!entry->decoded) return;
  sap__free(entry->decoded);
  sap__free(entry->mask);
  entry->decoded = NULL;
  entry->mask = NULL;
  entry->tensor.data = NULL;
  checkpoint->decoded_bytes -= entry->tensor.bytes;
}

void sap__checkpoint_replace(sap_checkpoint *checkpoint, size_t i, void *data) {
  sap__entry *entry = &checkpoint->entries[i];
  sap__checkpoint_unload(checkpoint, entry);
  entry->in_place = 0;
  entry->decoded = data;
  entry->tensor.data = data;
  checkpoint->decoded_bytes += entry->tensor.bytes;
}

/* ---- opening ---- */

/* Maps the file, if it is no folder. */
static sap_status map_path(sap_checkpoint *checkpoint, int *is_folder, sap_error *err) {
  if (!sap__grow(&checkpoint->maps, 0, sizeof *checkpoint->maps))
    return sap__fail_memory(err, sizeof *checkpoint->maps);
  sap_status status = sap__map_open_any(checkpoint->path, &checkpoint->maps[0], is_folder, err);
  if (!status) checkpoint->map_count = !*is_folder;
  return status;
}

/* Asks the formats. */
static sap_status find_format(sap_checkpoint *checkpoint, int is_folder, sap_error *err) {
  const char *path = checkpoint->path;
  const uint8_t *head = is_folder ? NULL : checkpoint->maps[0].bytes;
  const uint64_t size = is_folder ? 0 : checkpoint->maps[0].size;
  const size_t count = size < HEAD ? (size_t)size : HEAD;
  for (int i = 0; i < FORMATS; i++) {
    if (!formats[i]->probe(path, head, count, is_folder)) continue;
    checkpoint->format = formats[i];
    return SAP_OK;
  }
  return sap__fail(err, SAP_ERROR_UNSUPPORTED,
                   "%s: %s, expected a checkpoint (safetensors, ONNX, NPY, NPZ, or a zip file of PyTorch)",
                   sap__path_tail(path), count || is_folder ? "of no known format" : "empty");
}

/* The entries by name, which must all differ. */
static sap_status index_names(sap_checkpoint *checkpoint, sap_error *err) {
  const sap__entry *entries = checkpoint->entries;
  const size_t count = checkpoint->entry_count;
  size_t twice;
  if (!sap__by_name_make(&checkpoint->names, entries, sizeof *entries, count, &twice))
    return sap__fail_memory(err, count * sizeof *entries);
  return twice < count ? sap__fail_entry(err, SAP_ERROR_FORMAT, checkpoint, entries[twice].tensor.name,
                                         "two tensors of this name, expected one")
                       : SAP_OK;
}

/* *folder, if it is given: 1 if the path is one, which is then not opened, and *out not set. */
static sap_status open_path(const char *path, const sap_checkpoint_options *options, int *folder, sap_checkpoint **out,
                            sap_error *err) {
  sap_checkpoint *checkpoint = sap__calloc(1, sizeof *checkpoint);
  if (!checkpoint) return sap__fail_memory(err, sizeof *checkpoint);
  int is_folder = 0;
  checkpoint->options = options ? *options : sap_checkpoint_options_default();
  checkpoint->path = sap__strdup(path);
  sap_status status = checkpoint->path ? SAP_OK : sap__fail_memory(err, strlen(path) + 1);
  if (!status) status = map_path(checkpoint, &is_folder, err);
  if (folder) *folder = is_folder;
  const int done = folder && is_folder;
  if (!status && !done) status = find_format(checkpoint, is_folder, err);
  if (!status && !done) status = checkpoint->format->open(checkpoint, err);
  if (!status && !done) status = index_names(checkpoint, err);
  if (status || done)
    sap_checkpoint_close(checkpoint);
  else
    *out = checkpoint;
  return status;
}

sap_status sap_checkpoint_open(const char *path, const sap_checkpoint_options *options, sap_checkpoint **out,
                               sap_error *err) {
  return open_path(path, options, NULL, out, err);
}

sap_status sap__checkpoint_open_file(const char *path, sap_checkpoint **out, int *is_folder, sap_error *err) {
  return open_path(path, NULL, is_folder, out, err);
}

static void free_entry(sap__entry *entry) {
  sap__free(entry->decoded);
  sap__free(entry->mask);
}

void sap_checkpoint_close(sap_checkpoint *checkpoint) {
  if (!checkpoint) return;
  if (checkpoint->format && checkpoint->format->close) checkpoint->format->close(checkpoint);
  for (size_t i = 0; i < checkpoint->entry_count; i++) free_entry(&checkpoint->entries[i]);
  for (size_t i = 0; i < checkpoint->map_count; i++) sap__map_close(&checkpoint->maps[i]);
  sap__free(checkpoint->maps);
  sap__free(checkpoint->entries);
  sap__free(checkpoint->metadata);
  sap__by_name_free(&checkpoint->names);
  sap__pieces_free(&checkpoint->pieces);
  sap__free(checkpoint->path);
  sap__free(checkpoint);
}

/* ---- looking ---- */

const char *sap_checkpoint_format(const sap_checkpoint *checkpoint) { return checkpoint->format->name; }

const char *sap_checkpoint_path(const sap_checkpoint *checkpoint) { return checkpoint->path; }

size_t sap_checkpoint_count(const sap_checkpoint *checkpoint) { return checkpoint->entry_count; }

const sap_tensor *sap_checkpoint_at(const sap_checkpoint *checkpoint, size_t i) {
  return i < checkpoint->entry_count ? &checkpoint->entries[i].tensor : NULL;
}

size_t sap_checkpoint_find(const sap_checkpoint *checkpoint, const char *name) {
  return sap__by_name_find(&checkpoint->names, name);
}

sap_status sap_checkpoint_load(sap_checkpoint *checkpoint, size_t i, sap_error *err) {
  if (i >= checkpoint->entry_count)
    return sap__fail(err, SAP_ERROR_ARGUMENT, "tensor %zu: expected below %zu", i, checkpoint->entry_count);
  sap__entry *entry = &checkpoint->entries[i];
  if (entry->tensor.data) return SAP_OK;
  if (!entry->in_place && !entry->decoded) {
    sap_status status = (entry->load ? entry->load : checkpoint->format->load)(checkpoint, entry, err);
    if (status) return status;
  }
  static const uint64_t nothing; /* what a tensor without elements points to */
  const uint8_t *bytes = entry->in_place ? checkpoint->maps[entry->map].bytes : NULL;
  entry->tensor.data = entry->in_place ? bytes + entry->offset : entry->decoded;
  if (!entry->tensor.bytes) entry->tensor.data = &nothing;
  return SAP_OK;
}

int sap_checkpoint_mapped(const sap_checkpoint *checkpoint, size_t i) {
  return i < checkpoint->entry_count && checkpoint->entries[i].in_place;
}

const char *sap_checkpoint_stored(const sap_checkpoint *checkpoint, size_t i, uint64_t *bytes) {
  if (i >= checkpoint->entry_count) return NULL;
  const sap__entry *entry = &checkpoint->entries[i];
  *bytes = entry->stored ? entry->stored : entry->tensor.bytes;
  return entry->form ? entry->form : sap__form_dense;
}

const uint64_t *sap_checkpoint_mask(const sap_checkpoint *checkpoint, size_t i) {
  return i < checkpoint->entry_count ? checkpoint->entries[i].mask : NULL;
}

const sap_metadata *sap_checkpoint_metadata(const sap_checkpoint *checkpoint, size_t *count) {
  *count = checkpoint->metadata_count;
  return checkpoint->metadata;
}

/* ---- writing: the formats' part ---- */

/* The format that the path's ending names; NULL if it is none to convert to. */
static const sap__format *target(const char *path) {
  size_t length = strlen(path);
  for (int i = 0; i < FORMATS; i++) {
    size_t suffix = formats[i]->suffix ? strlen(formats[i]->suffix) : 0;
    if (formats[i]->convert && length > suffix && !strcmp(path + length - suffix, formats[i]->suffix))
      return formats[i];
  }
  return NULL;
}

sap_status sap_checkpoint_rewrite(sap_checkpoint *checkpoint, const uint64_t *const *masks, const char *path,
                                  sap_error *err) {
  sap_status status = sap__checkpoint_refuse_input(checkpoint, path, err);
  if (status) return status;
  const sap__format *format = checkpoint->format, *named = target(path);
  if (named && named != format)
    return sap__fail(err, SAP_ERROR_ARGUMENT,
                     "%s: would hold the input's format, %s: expected a name that does not end in %s, or a conversion",
                     sap__path_tail(path), format->name, named->suffix);
  return (format->rewrite ? format->rewrite : sap__checkpoint_patch)(checkpoint, masks, path, err);
}

static int has_sparse(const sap_checkpoint *checkpoint) {
  for (size_t i = 0; i < checkpoint->entry_count; i++)
    if (checkpoint->entries[i].form == sap__form_sparse) return 1;
  return 0;
}

sap_status sap_checkpoint_convert(sap_checkpoint *checkpoint, const uint64_t *const *masks, sap_encoding encoding,
                                  const char *path, sap_error *err) {
  const sap__format *format = target(path);
  if (!format) {
    char known[96] = "";
    for (int i = 0, used = 0; i < FORMATS && used < (int)sizeof known; i++)
      if (formats[i]->convert && !strstr(known, formats[i]->suffix))
        used += snprintf(known + used, sizeof known - (size_t)used, "%s%s", used ? ", " : "", formats[i]->suffix);
    return sap__fail(err, SAP_ERROR_ARGUMENT, "%s: expected a name that ends in one of %s", sap__path_tail(path),
                     known);
  }
  if (encoding == SAP_ENCODING_AS_IS)
    encoding = format->sparse && has_sparse(checkpoint) ? SAP_ENCODING_SPARSE : SAP_ENCODING_DENSE;
  if (encoding == SAP_ENCODING_SPARSE && !format->sparse)
    return sap__fail(err, SAP_ERROR_UNSUPPORTED, "%s: %s stores tensors dense; write to a .safetensors file",
                     sap__path_tail(path), format->name);
  sap_status status = sap__checkpoint_refuse_input(checkpoint, path, err);
  return status ? status : format->convert(checkpoint, masks, encoding, path, err);
}
