#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "io/file.h"
#include "io/format_safetensors.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "sapwood/safetensors.h"

#define U64(x) ((unsigned long long)(x))

struct sap_safetensors {
  json_t *header; /* owns the names and the metadata */
  size_t count;
  sap_tensor *tensors;      /* in the order of their data */
  const sap_tensor **named; /* the same, by name */
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

static sap_status parse_shape(sap_tensor *tensor, const json_t *shape, const char *name, sap_error *err) {
  if (!json_is_array(shape))
    return sap__fail(err, SAP_ERROR_FORMAT, "%s: tensor %.80s: no \"shape\" list", name, tensor->name);
  size_t rank = json_array_size(shape);
  if (rank > SAP_TENSOR_MAX_RANK)
    return sap__fail(err, SAP_ERROR_UNSUPPORTED, "%s: tensor %.80s: rank %zu, expected at most %d", name, tensor->name,
                     rank, SAP_TENSOR_MAX_RANK);
  tensor->rank = (int)rank;
  for (size_t i = 0; i < rank; i++) {
    const json_t *length = json_array_get(shape, i);
    if (!json_is_integer(length) || json_integer_value(length) < 0)
      return sap__fail(err, SAP_ERROR_FORMAT, "%s: tensor %.80s: axis %zu has no valid length", name, tensor->name, i);
    tensor->shape[i] = (uint64_t)json_integer_value(length);
  }
  return SAP_OK;
}

static sap_status parse_offsets(entry *e, const json_t *offsets, const char *name, sap_error *err) {
  const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
  if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end) ||
      json_integer_value(begin) < 0 || json_integer_value(end) < 0)
    return sap__fail(err, SAP_ERROR_FORMAT, "%s: tensor %.80s: \"data_offsets\" is not [begin, end]", name,
                     e->tensor.name);
  e->begin = (uint64_t)json_integer_value(begin);
  e->end = (uint64_t)json_integer_value(end);
  return SAP_OK;
}

static sap_status parse_entry(entry *e, const json_t *value, const char *name, sap_error *err) {
  sap_tensor *tensor = &e->tensor;
  if (!json_is_object(value))
    return sap__fail(err, SAP_ERROR_FORMAT, "%s: tensor %.80s: its entry is not a JSON object", name, tensor->name);
  const char *dtype = json_string_value(json_object_get(value, "dtype"));
  if (!dtype) return sap__fail(err, SAP_ERROR_FORMAT, "%s: tensor %.80s: no \"dtype\"", name, tensor->name);
  tensor->dtype = sap_dtype_from_name(dtype, strlen(dtype));
  if (tensor->dtype == SAP_DTYPE_COUNT)
    return sap__fail(err, SAP_ERROR_FORMAT, "%s: tensor %.60s: unknown dtype %.20s", name, tensor->name, dtype);
  sap_status code = parse_shape(tensor, json_object_get(value, "shape"), name, err);
  return code ? code : parse_offsets(e, json_object_get(value, "data_offsets"), name, err);
}

/* ---- the whole header ---- */

static sap_status parse_metadata(sap_safetensors *file, const json_t *value, const char *name, sap_error *err) {
  if (!json_is_object(value))
    return sap__fail(err, SAP_ERROR_FORMAT, "%s: \"__metadata__\" is not a JSON object", name);
  size_t count = json_object_size(value);
  if (!(file->metadata = sap__calloc(count, sizeof *file->metadata)))
    return sap__fail_memory(err, count * sizeof *file->metadata);
  for (void *at = json_object_iter((json_t *)value); at; at = json_object_iter_next((json_t *)value, at)) {
    sap_metadata *pair = &file->metadata[file->metadata_count++];
    pair->key = json_object_iter_key(at);
    pair->value = json_string_value(json_object_iter_value(at));
    if (!pair->value)
      return sap__fail(err, SAP_ERROR_FORMAT, "%s: metadata %.80s: the value is not a string", name, pair->key);
  }
  return SAP_OK;
}

static sap_status parse_entries(sap_safetensors *file, entry *entries, const char *name, sap_error *err) {
  for (void *at = json_object_iter(file->header); at; at = json_object_iter_next(file->header, at)) {
    const char *key = json_object_iter_key(at);
    const json_t *value = json_object_iter_value(at);
    sap_status code;
    if (!strcmp(key, SAP__METADATA)) {
      code = parse_metadata(file, value, name, err);
    } else {
      entry *next = &entries[file->count++];
      next->tensor.name = key;
      code = parse_entry(next, value, name, err);
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

static int by_name(const void *left, const void *right) {
  const sap_tensor *const *a = left, *const *b = right;
  return strcmp((*a)->name, (*b)->name);
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
  file->tensors = sap__calloc(file->count, sizeof *file->tensors);
  file->named = sap__calloc(file->count, sizeof *file->named);
  if (!file->tensors || !file->named) return sap__fail_memory(err, file->count * sizeof *file->tensors);
  for (size_t i = 0; i < file->count; i++) {
    sap_tensor *tensor = &file->tensors[i];
    *tensor = entries[i].tensor;
    (void)sap__tensor_size(tensor, &tensor->count, &tensor->bytes);
    tensor->data = data + entries[i].begin;
    file->named[i] = tensor;
  }
  qsort(file->named, file->count, sizeof *file->named, by_name);
  return SAP_OK;
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
  sap_status code = sap__json_object(&file->header, bytes + 8, (size_t)length, name, "header", err);
  if (code) return code;
  size_t most = json_object_size(file->header);
  entry *entries = sap__calloc(most, sizeof *entries);
  if (!entries) return sap__fail_memory(err, most * sizeof *entries);
  code = parse_entries(file, entries, name, err);
  if (!code) {
    qsort(entries, file->count, sizeof *entries, by_offsets);
    code = check_layout(entries, file->count, size - 8 - length, lenient, name, err);
  }
  if (!code) code = adopt(file, entries, bytes + 8 + length, err);
  sap__free(entries);
  return code;
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
  json_decref(file->header);
  sap__free(file->tensors);
  sap__free(file->named);
  sap__free(file->metadata);
  sap__map_close(&file->map);
  sap__free(file);
}

size_t sap_safetensors_count(const sap_safetensors *file) { return file->count; }

const sap_tensor *sap_safetensors_at(const sap_safetensors *file, size_t i) {
  return i < file->count ? &file->tensors[i] : NULL;
}

const sap_tensor *sap_safetensors_find(const sap_safetensors *file, const char *name) {
  size_t low = 0, high = file->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    int order = strcmp(name, file->named[middle]->name);
    if (!order) return file->named[middle];
    if (order < 0)
      high = middle;
    else
      low = middle + 1;
  }
  return NULL;
}

const char *sap_safetensors_metadata(const sap_safetensors *file, const char *key) {
  return json_string_value(json_object_get(json_object_get(file->header, SAP__METADATA), key));
}

const sap_metadata *sap_safetensors_metadata_all(const sap_safetensors *file, size_t *count) {
  *count = file->metadata_count;
  return file->metadata;
}
