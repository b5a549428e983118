#include <inttypes.h>
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "io/atomic.h"
#include "io/file.h"
#include "io/safetensors.h"
#include "sapwood/safetensors.h"

#define DATA_ALIGNMENT 64 /* of the first tensor in the file: a cache line, more than any element needs */
enum { GATHERED = 1 << 20, STRAIGHT = 1 << 19 }; /* bytes of pieces that are gathered, and that are not */

sap_tensor sap_tensor_vector(const char *name, sap_dtype dtype, const void *data, uint64_t count) {
  return (sap_tensor){.name = name,
                      .dtype = dtype,
                      .rank = 1,
                      .shape = {count},
                      .count = count,
                      .bytes = count * (sap_dtype_bits(dtype) / 8),
                      .data = data};
}

/* ---- checking what the caller gave ---- */

static sap_status check_tensor(const sap_tensor *tensor, size_t i, const char *path, sap_error *err) {
  if (!tensor->name || !sap__utf8_valid(tensor->name) || !strcmp(tensor->name, SAP__METADATA))
    return sap__fail(err, SAP_ERROR_ARGUMENT, "%s: tensor %zu: its name is missing, not UTF-8, or " SAP__METADATA, path,
                     i);
  if (!sap_dtype_bits(tensor->dtype))
    return sap__fail(err, SAP_ERROR_ARGUMENT, "%s: tensor %.80s: dtype %d does not exist", path, tensor->name,
                     (int)tensor->dtype);
  if (tensor->rank < 0 || tensor->rank > SAP_TENSOR_MAX_RANK)
    return sap__fail(err, SAP_ERROR_ARGUMENT, "%s: tensor %.80s: rank %d, expected 0 to %d", path, tensor->name,
                     tensor->rank, SAP_TENSOR_MAX_RANK);
  uint64_t count, bytes;
  if (sap__tensor_size(tensor, &count, &bytes))
    return sap__fail(err, SAP_ERROR_ARGUMENT, "%s: tensor %.80s: the shape's size overflows or is no whole bytes", path,
                     tensor->name);
  if (tensor->count != count || tensor->bytes != bytes)
    return sap__fail(err, SAP_ERROR_ARGUMENT,
                     "%s: tensor %.40s: %" PRIu64 " elements in %" PRIu64 " bytes, expected %" PRIu64 " in %" PRIu64,
                     path, tensor->name, tensor->count, tensor->bytes, count, bytes);
  for (int axis = 0; axis < tensor->rank; axis++)
    if (tensor->shape[axis] > INT64_MAX) /* beside an axis of 0; JSON readers stop there */
      return sap__fail(err, SAP_ERROR_ARGUMENT, "%s: tensor %.80s: axis %d is too long", path, tensor->name, axis);
  return SAP_OK;
}

static int by_alignment(const void *left, const void *right) {
  const sap_tensor *a = *(const sap_tensor *const *)left, *b = *(const sap_tensor *const *)right;
  if (a->dtype != b->dtype) return a->dtype > b->dtype ? -1 : 1;
  return strcmp(a->name, b->name);
}

/* Checks the tensors and puts them in the order of the file. */
static sap_status arrange(const sap_tensor *tensors, size_t count, const char *path, const sap_tensor **order,
                          sap_error *err) {
  for (size_t i = 0; i < count; i++) {
    sap_status code = check_tensor(&tensors[i], i, path, err);
    if (code) return code;
    order[i] = &tensors[i];
  }
  qsort(order, count, sizeof *order, by_alignment);
  return SAP_OK;
}

/* ---- the header ---- */

static sap_status add_metadata(json_t *header, const sap_metadata *metadata, size_t count, const char *path,
                               sap_error *err) {
  if (!count) return SAP_OK;
  json_t *object = json_object();
  if (json_object_set_new(header, SAP__METADATA, object)) return sap__fail_memory(err, 0);
  for (size_t i = 0; i < count; i++) {
    const char *key = metadata[i].key, *value = metadata[i].value;
    if (!key || !value || !sap__utf8_valid(key) || !sap__utf8_valid(value))
      return sap__fail(err, SAP_ERROR_ARGUMENT, "%s: metadata %zu: key or value is missing or not UTF-8", path, i);
    if (json_object_get(object, key))
      return sap__fail(err, SAP_ERROR_ARGUMENT, "%s: metadata %.80s: given twice", path, key);
    if (json_object_set_new(object, key, json_string(value))) return sap__fail_memory(err, strlen(value));
  }
  return SAP_OK;
}

static json_t *shape_list(const sap_tensor *tensor) {
  json_t *list = json_array();
  for (int i = 0; list && i < tensor->rank; i++)
    if (json_array_append_new(list, json_integer((json_int_t)tensor->shape[i]))) {
      json_decref(list);
      list = NULL;
    }
  return list;
}

static sap_status add_tensors(json_t *header, const sap_tensor *const *order, size_t count, const char *path,
                              sap_error *err) {
  uint64_t begin = 0;
  for (size_t i = 0; i < count; i++) {
    const sap_tensor *tensor = order[i];
    uint64_t end;
    if (__builtin_add_overflow(begin, tensor->bytes, &end) || end > INT64_MAX)
      return sap__fail(err, SAP_ERROR_ARGUMENT, "%s: tensor %.80s: the file would be too long", path, tensor->name);
    if (json_object_get(header, tensor->name))
      return sap__fail(err, SAP_ERROR_ARGUMENT, "%s: tensor %.80s: given twice", path, tensor->name);
    json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", sap_dtype_name(tensor->dtype), "shape",
                              shape_list(tensor), "data_offsets", (json_int_t)begin, (json_int_t)end);
    if (json_object_set_new(header, tensor->name, entry)) return sap__fail_memory(err, strlen(tensor->name));
    begin = end;
  }
  return SAP_OK;
}

/* The first bytes of the file: the length, the JSON text and the padding. *block is freed with sap__free. */
static sap_status encode(const json_t *header, const char *path, char **block, size_t *size, sap_error *err) {
  size_t text = json_dumpb(header, NULL, 0, JSON_COMPACT);
  if (!text) return sap__fail_memory(err, 0);
  size_t total = (8 + text + DATA_ALIGNMENT - 1) / DATA_ALIGNMENT * DATA_ALIGNMENT;
  if (total - 8 > SAP__HEADER_MAX)
    return sap__fail(err, SAP_ERROR_ARGUMENT, "%s: the header would take %zu bytes, the format allows %d", path,
                     total - 8, SAP__HEADER_MAX);
  char *bytes = sap__alloc(total, 1);
  if (!bytes) return sap__fail_memory(err, total);
  for (int i = 0; i < 8; i++) bytes[i] = (char)((uint64_t)(total - 8) >> 8 * i & 0xFF);
  memset(bytes + 8, ' ', total - 8);
  if (json_dumpb(header, bytes + 8, text, JSON_COMPACT) != text) {
    sap__free(bytes);
    return sap__fail_memory(err, text);
  }
  *block = bytes;
  *size = total;
  return SAP_OK;
}

static sap_status build_header(const sap_tensor *const *order, size_t count, const sap_metadata *metadata,
                               size_t metadata_count, const char *path, char **block, size_t *size, sap_error *err) {
  json_t *header = json_object();
  if (!header) return sap__fail_memory(err, 0);
  sap_status code = add_metadata(header, metadata, metadata_count, path, err);
  if (!code) code = add_tensors(header, order, count, path, err);
  if (!code) code = encode(header, path, block, size, err);
  json_decref(header);
  return code;
}

/* ---- the file ---- */

/* Where the data goes. Small pieces are gathered. */
typedef struct output {
  sap__atomic *file;
  uint8_t *gathered; /* room for GATHERED bytes */
  size_t used;
  const char *tensor; /* the one being written */
  uint64_t left;      /* bytes that it still lacks */
} output;

static sap_status fail_changed(const output *out, sap_error *err) {
  return sap__fail(err, SAP_ERROR_IO, "%.80s: changed while it was read", out->tensor);
}

static sap_status flush(output *out, sap_error *err) {
  const size_t size = out->used;
  out->used = 0;
  return size ? sap__atomic_write(out->file, out->gathered, size, err) : SAP_OK;
}

/* A sap__sink. */
static sap_status to_output(void *user, const void *bytes, size_t size, sap_error *err) {
  output *out = user;
  sap_status code = SAP_OK;
  if (size > out->left) return fail_changed(out, err);
  out->left -= size;
  if (size > GATHERED - out->used || size >= STRAIGHT) code = flush(out, err);
  if (code) return code;
  if (size >= STRAIGHT) return sap__atomic_write(out->file, bytes, size, err);
  memcpy(out->gathered + out->used, bytes, size);
  out->used += size;
  return SAP_OK;
}

static sap_status write_data(output *out, const sap_tensor *tensors, const sap_tensor *const *order, size_t count,
                             sap__safetensors_source *source, void *user, sap_error *err) {
  sap_status code = SAP_OK;
  for (size_t i = 0; i < count && !code; i++) {
    out->tensor = order[i]->name;
    out->left = order[i]->bytes;
    if (out->left) code = source(user, (size_t)(order[i] - tensors), to_output, out, err);
    if (!code && out->left) code = fail_changed(out, err);
  }
  return code ? code : flush(out, err);
}

sap_status sap__safetensors_stream(sap__atomic *file, const sap_tensor *tensors, size_t count,
                                   const sap_metadata *metadata, size_t metadata_count, sap__safetensors_source *source,
                                   void *user, sap_error *err) {
  const char *name = sap__path_tail(file->requested);
  const sap_tensor **order = sap__calloc(count, sizeof *order);
  if (!order) return sap__fail_memory(err, count * sizeof *order);
  char *header = NULL;
  size_t size = 0;
  output out = {.file = file, .gathered = sap__alloc(GATHERED, 1)};
  sap_status code = out.gathered ? arrange(tensors, count, name, order, err) : sap__fail_memory(err, GATHERED);
  if (!code) code = build_header(order, count, metadata, metadata_count, name, &header, &size, err);
  if (!code) code = sap__atomic_write(file, header, size, err);
  if (!code) code = write_data(&out, tensors, order, count, source, user, err);
  sap__free(out.gathered);
  sap__free(header);
  sap__free(order);
  return code;
}

/* ---- data that lies in memory ---- */

static sap_status from_memory(void *user, size_t i, sap__sink *sink, void *sink_user, sap_error *err) {
  const sap_tensor *tensor = (const sap_tensor *)user + i;
  return sink(sink_user, tensor->data, (size_t)tensor->bytes, err);
}

sap_status sap_safetensors_write(const char *path, const sap_tensor *tensors, size_t count,
                                 const sap_metadata *metadata, size_t metadata_count, sap_error *err) {
  for (size_t i = 0; i < count; i++)
    if (tensors[i].bytes && !tensors[i].data)
      return sap__fail(err, SAP_ERROR_ARGUMENT, "%s: tensor %zu: no data", sap__path_tail(path), i);
  sap__atomic file;
  sap_status code = sap__atomic_open(&file, path, err);
  if (!code)
    code = sap__safetensors_stream(&file, tensors, count, metadata, metadata_count, from_memory,
                                   (void *)(uintptr_t)tensors, err);
  if (!code) code = sap__atomic_commit(&file, err);
  sap__atomic_abort(&file);
  return code;
}
