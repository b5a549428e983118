/* ONNX models as checkpoints. What is read, and how: onnx.h; bytes: onnx_wire.h, onnx_tensor.h; writing:
 * onnx_write.c. Left alone are the graphs of training_info and sparse tensors in external files.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "io/file.h"
#include "io/onnx.h"
#include "io/safetensors.h"
#include "sapwood/mask.h"

/* ---- one tensor ---- */

/* Sets type, shape, count and bytes. */
static sap_status set_tensor(const sap_checkpoint *checkpoint, sap_tensor *tensor, uint32_t type, unsigned rank,
                             const uint64_t *shape, sap_error *err) {
  if (rank > SAP_TENSOR_MAX_RANK)
    return sap__fail_entry(err, SAP_ERROR_UNSUPPORTED, checkpoint, tensor->name, "rank %u, expected at most %d", rank,
                           SAP_TENSOR_MAX_RANK);
  tensor->dtype = sap__onnx_dtype(type);
  tensor->rank = (int)rank;
  memcpy(tensor->shape, shape, rank * sizeof *shape);
  if (sap__tensor_size(tensor, &tensor->count, &tensor->bytes))
    return sap__fail_entry(err, SAP_ERROR_FORMAT, checkpoint, tensor->name, "its shape exceeds 64 bits");
  return SAP_OK;
}

/* The values inside the message are as many as the shape says; those of variable length are counted when they
 * are decoded. `bytes`: what they take as raw data. */
static sap_status check_values(const sap_checkpoint *checkpoint, const char *name, const sap__onnx_proto *proto,
                               uint64_t count, uint64_t bytes, sap_error *err) {
  uint64_t size = sap__slice_size(proto->raw);
  if (!proto->field) {
    if (size == bytes || (size > bytes && checkpoint->options.lenient)) return SAP_OK;
    return sap__fail_entry(err, SAP_ERROR_FORMAT, checkpoint, name, "%llu bytes of raw data, expected %llu",
                           (unsigned long long)size, (unsigned long long)bytes);
  }
  if (proto->field != sap__onnx_field(proto->type))
    return sap__fail_entry(err, SAP_ERROR_FORMAT, checkpoint, name, "values in field %u, expected %u", proto->field,
                           sap__onnx_field(proto->type));
  int fixed = proto->field == TENSOR_FLOATS || proto->field == TENSOR_DOUBLES;
  if (fixed ? proto->value_bytes == bytes
            : proto->value_bytes >= count && proto->value_bytes / WIRE_VARINT_MAX <= count)
    return SAP_OK;
  return sap__fail_entry(err, SAP_ERROR_FORMAT, checkpoint, name, "%llu bytes of values, expected %s%llu",
                         (unsigned long long)proto->value_bytes, fixed ? "" : "one or more for each of ",
                         (unsigned long long)(fixed ? bytes : count));
}

static sap_status set_dense(const sap_checkpoint *checkpoint, sap__entry *entry, const sap__onnx_proto *proto,
                            sap_error *err) {
  sap_tensor *tensor = &entry->tensor;
  sap_status status = set_tensor(checkpoint, tensor, proto->type, proto->rank, proto->shape, err);
  if (status || proto->external) return status; /* the file is looked at when all tensors are known */
  status = check_values(checkpoint, tensor->name, proto, tensor->count, tensor->bytes, err);
  if (!status) entry->in_place = sap__onnx_in_place(proto, &entry->offset);
  return status;
}

static sap_status check_indices(const sap_checkpoint *checkpoint, const char *name, const sap__onnx_sparse *sparse,
                                sap_error *err) {
  const sap__onnx_proto *indices = &sparse->indices;
  uint64_t nnz = sparse->values.shape[0];
  sap_dtype dtype = sap__onnx_dtype(indices->type);
  if (!sparse->has_indices && !nnz) return SAP_OK;
  if (dtype != SAP_I64 && dtype != SAP_I32 && dtype != SAP_I16 && dtype != SAP_I8)
    return sap__fail_entry(err, SAP_ERROR_FORMAT, checkpoint, name, "indices of data_type %u, expected integers",
                           indices->type);
  if ((indices->rank != 1 && indices->rank != 2) || indices->shape[0] != nnz ||
      (indices->rank == 2 && indices->shape[1] != sparse->rank))
    return sap__fail_entry(err, SAP_ERROR_FORMAT, checkpoint, name,
                           "indices of rank %u and length %llu, expected [%llu] or [%llu,%u]", indices->rank,
                           (unsigned long long)(indices->rank ? indices->shape[0] : 1), (unsigned long long)nnz,
                           (unsigned long long)nnz, sparse->rank);
  uint64_t count = nnz * (indices->rank == 2 ? sparse->rank : 1); /* rank is at most 8, nnz at most the dense count */
  uint64_t bytes;
  if (__builtin_mul_overflow(count, (uint64_t)sap_dtype_bits(dtype) / 8, &bytes))
    return sap__fail_entry(err, SAP_ERROR_FORMAT, checkpoint, name, "its indices exceed 64 bits");
  return check_values(checkpoint, name, indices, count, bytes, err);
}

static sap_status set_sparse(const sap_checkpoint *checkpoint, sap__entry *entry, const sap__onnx_sparse *sparse,
                             sap_error *err) {
  sap_tensor *tensor = &entry->tensor;
  const sap__onnx_proto *values = &sparse->values;
  sap_status status = set_tensor(checkpoint, tensor, values->type, sparse->rank, sparse->shape, err);
  if (status) return status;
  if (!sparse->rank || !tensor->count)
    return sap__fail_entry(err, SAP_ERROR_FORMAT, checkpoint, tensor->name,
                           "a sparse tensor without elements, expected lengths of at least 1");
  if (values->external || sparse->indices.external)
    return sap__fail_entry(err, SAP_ERROR_UNSUPPORTED, checkpoint, tensor->name, "a sparse tensor in an external file");
  if (values->rank != 1 || values->shape[0] > tensor->count)
    return sap__fail_entry(err, SAP_ERROR_FORMAT, checkpoint, tensor->name,
                           "%llu sparse values of rank %u, expected at most %llu of rank 1",
                           (unsigned long long)(values->rank ? values->shape[0] : 1), values->rank,
                           (unsigned long long)tensor->count);
  uint64_t bytes = tensor->bytes / tensor->count * values->shape[0]; /* no type here is below a byte */
  status = check_values(checkpoint, tensor->name, values, values->shape[0], bytes, err);
  return status ? status : check_indices(checkpoint, tensor->name, sparse, err);
}

/* Names become C strings, shown and written: text without NUL. */
static int is_text(const char *text, size_t size) {
  while (size) {
    size_t step = sap__utf8_step(text, size);
    if (!step || !*text) return 0;
    text += step;
    size -= step;
  }
  return 1;
}

static sap_status add_entry(sap_checkpoint *checkpoint, const char *prefix, const char *name, size_t size,
                            sap__entry **entry, sap_error *err) {
  size_t before = strlen(prefix);
  char *whole = sap__alloc(before + size + 1, 1);
  if (!whole) return sap__fail_memory(err, before + size + 1);
  memcpy(whole, prefix, before);
  memcpy(whole + before, name, size);
  whole[before + size] = 0;
  sap_status status = is_text(whole, before + size)
                          ? sap__checkpoint_add_entry(checkpoint, whole, before + size, entry, err)
                          : sap__fail_entry(err, SAP_ERROR_FORMAT, checkpoint, whole, "a name that is not UTF-8 text");
  sap__free(whole);
  return status;
}

sap_status sap__onnx_add(sap_checkpoint *checkpoint, const sap__onnx_tensor *tensor, const char *prefix,
                         sap__slice name, sap_error *err) {
  sap__onnx_model *model = checkpoint->own;
  sap__onnx_sparse sparse;
  sap__onnx_proto dense, *proto = tensor->sparse ? &sparse.values : &dense;
  const char *wrong =
      tensor->sparse ? sap__onnx_parse_sparse(tensor->message, &sparse) : sap__onnx_parse(tensor->message, &dense);
  if (wrong) return sap__onnx_fail_at(checkpoint, tensor->message.at, wrong, err);
  unsigned rank = tensor->sparse ? sparse.rank : dense.rank;
  int listed = sap__slice_size(name) && sap__onnx_dtype(proto->type) != SAP_DTYPE_COUNT && (!tensor->constant || rank);
  if (!listed && (tensor->sparse || !dense.external)) return SAP_OK;
  sap__entry *entry = NULL;
  sap_status status = SAP_OK;
  if (listed) {
    const char *text = (const char *)tensor->message.bytes + name.begin;
    status = add_entry(checkpoint, prefix, text, (size_t)sap__slice_size(name), &entry, err);
    if (!status && proto->segmented)
      status = sap__fail_entry(err, SAP_ERROR_UNSUPPORTED, checkpoint, entry->tensor.name, "stored in segments");
    if (!status)
      status = tensor->sparse ? set_sparse(checkpoint, entry, &sparse, err) : set_dense(checkpoint, entry, &dense, err);
    if (!status && tensor->sparse) {
      entry->form = sap__form_sparse;
      entry->stored = tensor->end - tensor->start;
    }
  }
  if (status) return status;
  if (!sap__grow(&model->tensors, model->tensor_count, sizeof *model->tensors))
    return sap__fail_memory(err, sizeof *model->tensors);
  sap__onnx_tensor *added = &model->tensors[model->tensor_count++];
  *added = *tensor;
  added->entry = listed ? (uint32_t)(checkpoint->entry_count - 1) : SAP__ONNX_NONE;
  return SAP_OK;
}

/* ---- the model ---- */

/* A model begins with its version, as all writers have it, and goes on with another field of a model. */
static int probe(const char *path, const uint8_t *head, size_t count, int is_folder) {
  static const char suffix[] = ".onnx";
  size_t length = strlen(path), tail = sizeof suffix - 1;
  if (is_folder) return 0;
  if (length > tail && !strcmp(path + length - tail, suffix)) return 1;
  return count > 4 && head[0] == 0x08 && head[1] > 0 && head[1] < 0x80 &&
         (head[2] == 0x12 || head[2] == 0x3a || head[2] == 0x42) && head[3] > 0;
}

/* One pair of metadata_props; one that is not text, which the format does not forbid, is left out. */
static sap_status add_metadata(sap_checkpoint *checkpoint, sap__wire pair, sap_error *err) {
  sap__field field;
  char *texts[2] = {NULL, NULL}; /* key, value */
  int more, usable = 1;
  sap_status status = SAP_OK;
  while (!status && (more = sap__wire_next(&pair, &field)) > 0) {
    if (field.type != WIRE_BYTES || field.number < 1 || field.number > 2) continue;
    const char *text = (const char *)pair.bytes + field.begin;
    size_t size = (size_t)(field.end - field.begin);
    usable &= is_text(text, size);
    sap__free(texts[field.number - 1]);
    char *copy = texts[field.number - 1] = sap__alloc(size + 1, 1);
    if (!copy) {
      status = sap__fail_memory(err, size + 1);
      break;
    }
    memcpy(copy, text, size);
    copy[size] = 0;
  }
  if (!status && usable && texts[0])
    status = sap__checkpoint_add_metadata(checkpoint, texts[0], texts[1] ? texts[1] : "", err);
  sap__free(texts[0]);
  sap__free(texts[1]);
  return status;
}

/* The version of the operators of the default domain. */
static void read_opset(sap__onnx_model *model, sap__wire opset) {
  sap__field field;
  uint64_t version = 0;
  int standard = 1;
  while (sap__wire_next(&opset, &field) > 0) {
    if (field.number == 1 && field.type == WIRE_BYTES)
      standard = field.begin == field.end ||
                 (field.end - field.begin == 7 && !memcmp(opset.bytes + field.begin, "ai.onnx", 7));
    if (field.number == 2 && field.type == WIRE_VARINT) version = field.value;
  }
  if (standard) model->opset = version;
}

static sap_status read_model(sap_checkpoint *checkpoint, sap_error *err) {
  const sap__map *map = &checkpoint->maps[0];
  sap__onnx_model *model = checkpoint->own;
  sap__wire wire = {map->bytes, 0, map->size};
  sap__field field;
  sap_status status = SAP_OK;
  int more, graphs = 0;
  while (!status && (more = sap__wire_next(&wire, &field)) != 0) {
    if (more < 0) return sap__onnx_fail_at(checkpoint, wire.at, "not a field of an ONNX model", err);
    uint32_t type = field.number == MODEL_VERSION ? WIRE_VARINT : WIRE_BYTES;
    if (field.number == MODEL_VERSION || field.number == MODEL_GRAPH || field.number == MODEL_OPSET ||
        field.number == MODEL_METADATA || field.number == MODEL_FUNCTION)
      if (field.type != type) return sap__onnx_fail_at(checkpoint, field.start, "not a field of an ONNX model", err);
    if (field.number == MODEL_VERSION) model->ir_version = field.value;
    if (field.number == MODEL_OPSET) read_opset(model, sap__wire_inside(&wire, &field));
    if (field.number == MODEL_METADATA) status = add_metadata(checkpoint, sap__wire_inside(&wire, &field), err);
    if (field.number == MODEL_GRAPH && graphs++)
      return sap__onnx_fail_at(checkpoint, field.start, "a second graph, expected one", err);
    if (field.number == MODEL_GRAPH || field.number == MODEL_FUNCTION) status = sap__onnx_walk(checkpoint, &field, err);
  }
  if (!status && !graphs)
    status = sap__fail(err, SAP_ERROR_FORMAT, "%s: no graph, expected one", sap__path_tail(checkpoint->path));
  return status;
}

static sap_status open_model(sap_checkpoint *checkpoint, sap_error *err) {
  sap__onnx_model *model = checkpoint->own = sap__calloc(1, sizeof *model);
  if (!model) return sap__fail_memory(err, sizeof *model);
  if (checkpoint->maps[0].size > SAP__ONNX_MAX)
    return sap__fail(err, SAP_ERROR_FORMAT, "%s: %llu bytes, expected at most %u", sap__path_tail(checkpoint->path),
                     (unsigned long long)checkpoint->maps[0].size, SAP__ONNX_MAX);
  sap_status status = read_model(checkpoint, err);
  if (!status) status = sap__onnx_external(checkpoint, err);
  for (size_t i = 0; i < model->tensor_count && !status; i++) /* they have stopped moving */
    if (model->tensors[i].entry != SAP__ONNX_NONE)
      checkpoint->entries[model->tensors[i].entry].source = &model->tensors[i];
  return status;
}

static void close_model(sap_checkpoint *checkpoint) {
  sap__onnx_model *model = checkpoint->own;
  if (!model) return;
  for (size_t i = 0; i < model->location_count; i++) sap__free(model->locations[i]);
  sap__free(model->locations);
  sap__free(model->spans);
  sap__free(model->tensors);
  sap__free(model);
}

/* ---- loading ---- */

static sap_status load_sparse(sap__entry *entry, const char **wrong, sap_error *err) {
  const sap__onnx_tensor *source = entry->source;
  const sap_tensor *tensor = &entry->tensor;
  sap__onnx_sparse sparse;
  *wrong = sap__onnx_parse_sparse(source->message, &sparse);
  if (*wrong) return SAP_OK;
  size_t words = sap_mask_words(tensor->count);
  entry->mask = sap__calloc(words, sizeof *entry->mask);
  if (!entry->mask) return sap__fail_memory(err, words * sizeof *entry->mask);
  memset(entry->decoded, 0, (size_t)tensor->bytes);
  uint64_t offset, nnz = sparse.values.shape[0];
  const void *values;
  void *decoded = NULL;
  if (sap__onnx_in_place(&sparse.values, &offset)) {
    values = source->message.bytes + offset;
  } else {
    values = decoded = sap__alloc((size_t)nnz, sap_dtype_bits(tensor->dtype) / 8);
    if (!decoded) return sap__fail_memory(err, (size_t)nnz);
    *wrong = sap__onnx_decode(&sparse.values, tensor->dtype, nnz, decoded);
  }
  if (!*wrong) *wrong = sap__onnx_scatter(&sparse, tensor->dtype, values, entry->decoded, entry->mask);
  sap__free(decoded);
  return SAP_OK;
}

static sap_status load(sap_checkpoint *checkpoint, sap__entry *entry, sap_error *err) {
  const sap__onnx_tensor *source = entry->source;
  const char *wrong = NULL;
  sap_status status = sap__checkpoint_decoded(checkpoint, entry, err);
  if (status) return status;
  if (source->sparse) {
    status = load_sparse(entry, &wrong, err);
  } else {
    sap__onnx_proto proto;
    wrong = sap__onnx_parse(source->message, &proto);
    if (!wrong) wrong = sap__onnx_decode(&proto, entry->tensor.dtype, entry->tensor.count, entry->decoded);
  }
  if (wrong) status = sap__fail_entry(err, SAP_ERROR_FORMAT, checkpoint, entry->tensor.name, "%s", wrong);
  if (status) sap__checkpoint_unload(checkpoint, entry);
  return status;
}

const sap__format sap__format_onnx = {
    .name = "onnx",
    .probe = probe,
    .open = open_model,
    .load = load,
    .rewrite = sap__onnx_rewrite,
    .convert = sap__onnx_convert,
    .suffix = ".onnx",
    .sparse = 1,
    .close = close_model,
};
