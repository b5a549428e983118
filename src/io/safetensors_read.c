#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/by_name.h"
#include "base/error.h"
#include "base/memory.h"
#include "io/file.h"
#include "io/format_safetensors.h"
#include "io/json_tree.h"
#include "io/safetensors.h"
#include "io/safetensors_plain.h"
#include "sapwood/safetensors.h"

#define U64(x) ((unsigned long long)(x))

struct sap_safetensors {
  sap__pieces pieces; /* the header, and so the names and the metadata */
  size_t count;
  sap_tensor *tensors; /* in the order of their data */
  sap__by_name names;  /* of the tensors */
  size_t metadata_count;
  sap_metadata *metadata;
  sap__map map; /* empty: the bytes are the caller's */
};

/* What the checks work on. `begin` and `end` are relative to the first byte of the data. */
typedef struct entry {
  sap_tensor tensor;
  uint64_t begin, end;
} entry;

/* ---- one tensor's entry in the header ---- */

/* A whole number from 0 on. */
static int is_place(const sap__json *value) { return sap__json_is(value, SAP__JSON_INTEGER) && value->of.integer >= 0; }

static sap_status parse_shape(sap_tensor *tensor, const sap__json *shape, const char *name, sap_error *err) {
  if (!sap__json_is(shape, SAP__JSON_LIST))
    return sap__fail(err, SAP_ERROR_FORMAT, "%s: tensor %.80s: no \"shape\" list", name, tensor->name);
  const size_t rank = shape->size;
  if (rank > SAP_TENSOR_MAX_RANK)
    return sap__fail(err, SAP_ERROR_UNSUPPORTED, "%s: tensor %.80s: rank %zu, expected at most %d", name, tensor->name,
                     rank, SAP_TENSOR_MAX_RANK);
  for (const sap__json *length = sap__json_first(shape); length; length = sap__json_next(shape, length)) {
    if (!is_place(length))
      return sap__fail(err, SAP_ERROR_FORMAT, "%s: tensor %.80s: axis %d has no valid length", name, tensor->name,
                       tensor->rank);
    tensor->shape[tensor->rank++] = (uint64_t)length->of.integer;
  }
  return SAP_OK;
}

static sap_status parse_offsets(entry *e, const sap__json *offsets, const char *name, sap_error *err) {
  const sap__json *begin = sap__json_length(offsets) == 2 ? offsets + 1 : NULL;
  const sap__json *end = begin ? sap__json_next(offsets, begin) : NULL;
  if (!is_place(begin) || !is_place(end))
    return sap__fail(err, SAP_ERROR_FORMAT, "%s: tensor %.80s: \"data_offsets\" is not [begin, end]", name,
                     e->tensor.name);
  e->begin = (uint64_t)begin->of.integer;
  e->end = (uint64_t)end->of.integer;
  return SAP_OK;
}

static sap_status parse_entry(entry *e, const sap__json *value, const char *name, sap_error *err) {
  sap_tensor *tensor = &e->tensor;
  if (!sap__json_is(value, SAP__JSON_OBJECT))
    return sap__fail(err, SAP_ERROR_FORMAT, "%s: tensor %.80s: its entry is not a JSON object", name, tensor->name);
  const sap__json *at = NULL, *type = sap__json_seek(value, &at, "dtype");
  const char *dtype = sap__json_text(type);
  if (!dtype) return sap__fail(err, SAP_ERROR_FORMAT, "%s: tensor %.80s: no \"dtype\"", name, tensor->name);
  tensor->dtype = sap_dtype_from_name(dtype, type->size);
  if (tensor->dtype == SAP_DTYPE_COUNT)
    return sap__fail(err, SAP_ERROR_FORMAT, "%s: tensor %.60s: unknown dtype %.20s", name, tensor->name, dtype);
  sap_status code = parse_shape(tensor, sap__json_seek(value, &at, "shape"), name, err);
  return code ? code : parse_offsets(e, sap__json_seek(value, &at, "data_offsets"), name, err);
}

/* ---- the whole header ---- */

static sap_status parse_metadata(sap_safetensors *file, const sap__json *object, const char *name, sap_error *err) {
  if (!sap__json_is(object, SAP__JSON_OBJECT))
    return sap__fail(err, SAP_ERROR_FORMAT, "%s: \"__metadata__\" is not a JSON object", name);
  if (!(file->metadata = sap__calloc(object->size, sizeof *file->metadata)))
    return sap__fail_memory(err, object->size * sizeof *file->metadata);
  for (const sap__json *key = sap__json_first(object); key; key = sap__json_next(object, key + 1)) {
    sap_metadata *pair = &file->metadata[file->metadata_count++];
    *pair = (sap_metadata){key->of.text, sap__json_text(key + 1)};
    if (!pair->value)
      return sap__fail(err, SAP_ERROR_FORMAT, "%s: metadata %.80s: the value is not a string", name, pair->key);
  }
  return SAP_OK;
}

static sap_status parse_entries(sap_safetensors *file, const sap__json *header, entry *entries, const char *name,
                                sap_error *err) {
  for (const sap__json *key = sap__json_first(header); key; key = sap__json_next(header, key + 1)) {
    sap_status code;
    if (!strcmp(key->of.text, SAP__METADATA)) {
      code = parse_metadata(file, key + 1, name, err);
    } else {
      entry *next = &entries[file->count++];
      next->tensor.name = key->of.text;
      code = parse_entry(next, key + 1, name, err);
    }
    if (code) return code;
  }
  return SAP_OK;
}

/* In the order of the data; empty tensors, which may share a place, by name. */
static int by_offsets(const void *left, const void *right) {
  const entry *a = left, *b = right;
  if (a->begin != b->begin) return a->begin < b->begin ? -1 : 1;
  if (a->end != b->end) return a->end < b->end ? -1 : 1;
  return strcmp(a->tensor.name, b->tensor.name);
}

/* Most files have them so already. */
static void sort_entries(entry *entries, size_t count) {
  size_t sorted = 1;
  while (sorted < count && by_offsets(&entries[sorted - 1], &entries[sorted]) <= 0) sorted++;
  if (sorted < count) qsort(entries, count, sizeof *entries, by_offsets);
}

/* The reference reader's checks: each tensor begins where the one before ended, so there is neither a hole
 * nor an overlap, is as long as shape and type say, and the last one ends with the file (lenient: or before). */
static sap_status check_layout(const entry *entries, size_t count, uint64_t data_size, int lenient, const char *name,
                               sap_error *err) {
  uint64_t expected = 0;
  for (size_t i = 0; i < count; i++) {
    const entry *e = &entries[i];
    const char *tensor = e->tensor.name;
    if (e->begin != expected || e->end < e->begin)
      return sap__fail(err, SAP_ERROR_FORMAT, "%s: tensor %.60s: data at %llu … %llu, expected to begin at %llu", name,
                       tensor, U64(e->begin), U64(e->end), U64(expected));
    uint64_t elements, bytes;
    if (sap__tensor_size(&e->tensor, &elements, &bytes))
      return sap__fail(err, SAP_ERROR_FORMAT, "%s: tensor %.60s: the shape's size overflows or is no whole bytes", name,
                       tensor);
    if (e->end - e->begin != bytes)
      return sap__fail(err, SAP_ERROR_FORMAT, "%s: tensor %.60s: %llu bytes of data, expected %llu for its shape", name,
                       tensor, U64(e->end - e->begin), U64(bytes));
    expected = e->end;
  }
  if (lenient ? expected > data_size : expected != data_size)
    return sap__fail(err, SAP_ERROR_FORMAT, "%s: %llu bytes of data, expected %llu as the header says", name,
                     U64(data_size), U64(expected));
  return SAP_OK;
}

/* Takes the checked entries over as the handle's tensors. */
static sap_status adopt(sap_safetensors *file, const entry *entries, const char *data, sap_error *err) {
  file->tensors = sap__alloc(file->count, sizeof *file->tensors);
  if (!file->tensors) return sap__fail_memory(err, file->count * sizeof *file->tensors);
  for (size_t i = 0; i < file->count; i++) {
    sap_tensor *tensor = &file->tensors[i];
    *tensor = entries[i].tensor;
    (void)sap__tensor_size(tensor, &tensor->count, &tensor->bytes);
    tensor->data = data + entries[i].begin;
  }
  return SAP_OK;
}

/* What of the file a header is read with. */
typedef struct header {
  const char *bytes; /* of the header, which the data follow */
  size_t size;
  uint64_t data_size;
  int lenient;
  const char *name; /* the file's */
} header;

/* A header of any form. */
static sap_status parse_any(sap_safetensors *file, const header *h, char *text, sap_error *err) {
  sap__json_tree tree;
  sap_status code = sap__json_read(&tree, sap__json_copy(text, h->bytes, h->size), h->size, h->name, "header", err);
  if (code) return code;
  const size_t most = tree.values->size;
  entry *entries = sap__calloc(most, sizeof *entries);
  code =
      entries ? parse_entries(file, tree.values, entries, h->name, err) : sap__fail_memory(err, most * sizeof *entries);
  sap__json_free(&tree);
  if (!code) {
    sort_entries(entries, file->count);
    code = check_layout(entries, file->count, h->data_size, h->lenient, h->name, err);
  }
  if (!code) code = adopt(file, entries, h->bytes + h->size, err);
  sap__free(entries);
  return code;
}

/* Indexes the names; *twice: 1 if one is there twice. */
static sap_status index_names(sap_safetensors *file, int *twice, sap_error *err) {
  size_t which;
  if (!sap__by_name_make(&file->names, file->tensors, sizeof *file->tensors, file->count, &which))
    return sap__fail_memory(err, file->count * sizeof *file->tensors);
  *twice = which < file->count;
  return SAP_OK;
}

static void forget(sap_safetensors *file) {
  sap__by_name_free(&file->names);
  sap__free(file->tensors);
  sap__free(file->metadata);
  file->tensors = NULL;
  file->metadata = NULL;
  file->count = file->metadata_count = 0;
}

/* A header of the plain form; *done: 0 if it is not that, or not right. */
static sap_status parse_plain(sap_safetensors *file, const header *h, char *text, int *done, sap_error *err) {
  sap__plain_header plain;
  int twice = 0;
  *done = sap__plain_header_read(sap__json_copy(text, h->bytes, h->size), h->size, h->bytes + h->size, h->data_size,
                                 h->lenient, &plain);
  if (*done < 0) return sap__fail_memory(err, h->size);
  if (!*done) return SAP_OK;
  file->tensors = plain.tensors;
  file->count = plain.count;
  file->metadata = plain.metadata;
  file->metadata_count = plain.metadata_count;
  sap_status code = index_names(file, &twice, err);
  *done = !twice;
  if (twice) forget(file);
  return code;
}

static sap_status parse_header(sap_safetensors *file, const char *bytes, size_t size, int lenient, const char *name,
                               sap_error *err) {
  if (size < 8) return sap__fail(err, SAP_ERROR_FORMAT, "%s: %zu bytes, expected at least 8", name, size);
  uint64_t length = 0;
  for (int i = 7; i >= 0; i--) length = length << 8 | (unsigned char)bytes[i];
  if (length > SAP__HEADER_MAX)
    return sap__fail(err, SAP_ERROR_FORMAT, "%s: header of %llu bytes, expected at most %d: not safetensors?", name,
                     U64(length), SAP__HEADER_MAX);
  if (length > size - 8)
    return sap__fail(err, SAP_ERROR_FORMAT, "%s: header of %llu bytes, but only %zu follow", name, U64(length),
                     size - 8);
  const header h = {bytes + 8, (size_t)length, size - 8 - length, lenient, name};
  char *text = sap__pieces_take(&file->pieces, h.size + SAP__JSON_PADDING);
  if (!text) return sap__fail_memory(err, h.size);
  int done, twice; /* no key is twice in what parse_any() accepts */
  sap_status code = parse_plain(file, &h, text, &done, err);
  if (code || done) return code;
  code = parse_any(file, &h, text, err);
  return code ? code : index_names(file, &twice, err);
}

/* ---- the public side ---- */

sap_status sap__safetensors_parse(const void *bytes, size_t size, const char *name, int lenient, sap_safetensors **file,
                                  sap_error *err) {
  sap_safetensors *parsed = sap__calloc(1, sizeof *parsed);
  if (!parsed) return sap__fail_memory(err, sizeof *parsed);
  sap_status code = parse_header(parsed, bytes, size, lenient, sap__path_tail(name), err);
  if (code)
    sap_safetensors_close(parsed);
  else
    *file = parsed;
  return code;
}

sap_status sap_safetensors_parse(const void *bytes, size_t size, const char *name, sap_safetensors **file,
                                 sap_error *err) {
  return sap__safetensors_parse(bytes, size, name, 0, file, err);
}

sap_status sap_safetensors_open(const char *path, sap_safetensors **file, sap_error *err) {
  sap__map map;
  sap_status code = sap__map_open(path, &map, err);
  if (code) return code;
  code = sap_safetensors_parse(map.bytes, (size_t)map.size, path, file, err);
  if (code)
    sap__map_close(&map);
  else
    (*file)->map = map;
  return code;
}

void sap_safetensors_close(sap_safetensors *file) {
  if (!file) return;
  forget(file);
  sap__pieces_free(&file->pieces);
  sap__map_close(&file->map);
  sap__free(file);
}

void sap__safetensors_move_pieces(sap_safetensors *file, sap__pieces *to) { sap__pieces_move(&file->pieces, to); }

size_t sap_safetensors_count(const sap_safetensors *file) { return file->count; }

const sap_tensor *sap_safetensors_at(const sap_safetensors *file, size_t i) {
  return i < file->count ? &file->tensors[i] : NULL;
}

const sap_tensor *sap__safetensors_find_joined(const sap_safetensors *file, const char *stem, size_t length,
                                               const char *suffix) {
  return sap_safetensors_at(file, sap__by_name_find_joined(&file->names, stem, length, suffix));
}

const sap_tensor *sap_safetensors_find(const sap_safetensors *file, const char *name) {
  return sap_safetensors_at(file, sap__by_name_find(&file->names, name));
}

const char *sap_safetensors_metadata(const sap_safetensors *file, const char *key) {
  for (size_t i = 0; i < file->metadata_count; i++)
    if (!strcmp(file->metadata[i].key, key)) return file->metadata[i].value;
  return NULL;
}

const sap_metadata *sap_safetensors_metadata_all(const sap_safetensors *file, size_t *count) {
  *count = file->metadata_count;
  return file->metadata;
}
