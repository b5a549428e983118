#include "io/onnx_form.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "io/file.h"
#include "sapwood/mask.h"

enum { BUFFER = 1 << 16 };
enum { TYPE_TENSOR = 4, TYPE_SPARSE_TENSOR = 11 }; /* AttributeProto.AttributeType */

/* ---- output ---- */

sap_status sap__onnx_out_start(sap__onnx_out *out, sap__atomic *file, sap_error *err) {
  *out = (sap__onnx_out){.file = file, .buffer = sap__alloc(BUFFER, 1), .err = err};
  if (!out->buffer) out->status = sap__fail_memory(err, BUFFER);
  return out->status;
}

static void flush(sap__onnx_out *out) {
  if (!out->status && out->used) out->status = sap__atomic_write(out->file, out->buffer, out->used, out->err);
  out->used = 0;
}

void sap__onnx_put(sap__onnx_out *out, const void *bytes, size_t size) {
  if (out->status || !size) return;
  out->written += size;
  if (size > BUFFER - out->used) flush(out);
  if (size >= BUFFER) {
    if (!out->status) out->status = sap__atomic_write(out->file, bytes, size, out->err);
    return;
  }
  memcpy(out->buffer + out->used, bytes, size);
  out->used += size;
}

sap_status sap__onnx_out_finish(sap__onnx_out *out) {
  if (out->buffer) flush(out);
  sap__free(out->buffer);
  out->buffer = NULL;
  return out->status;
}

static sap_status sink(void *user, const void *bytes, size_t size, sap_error *err) {
  sap__onnx_out *out = user;
  (void)err; /* the output has the same */
  sap__onnx_put(out, bytes, size);
  return out->status;
}

static void put_varint(sap__onnx_out *out, uint64_t value) {
  uint8_t bytes[WIRE_VARINT_MAX];
  sap__onnx_put(out, bytes, sap__varint_write(value, bytes));
}

static uint64_t key(uint32_t number, uint32_t type) { return (uint64_t)number << 3 | type; }

static void put_number(sap__onnx_out *out, uint32_t number, uint64_t value) {
  put_varint(out, key(number, WIRE_VARINT));
  put_varint(out, value);
}

/* Key and length; the bytes follow. */
static void put_head(sap__onnx_out *out, uint32_t number, uint64_t size) {
  put_varint(out, key(number, WIRE_BYTES));
  put_varint(out, size);
}

static uint64_t number_size(uint32_t number, uint64_t value) {
  return sap__varint_size(key(number, WIRE_VARINT)) + sap__varint_size(value);
}

static uint64_t bytes_size(uint32_t number, uint64_t size) {
  return sap__varint_size(key(number, WIRE_BYTES)) + sap__varint_size(size) + size;
}

/* ---- what a message held besides ---- */

/* 1 if a TensorProto's field goes along: all but its shape, unless that stays, and its values. */
static int goes_along(uint32_t number, int with_shape) {
  switch (number) {
    case TENSOR_DIMS: return with_shape;
    case TENSOR_SEGMENT:
    case TENSOR_FLOATS:
    case TENSOR_INT32S:
    case TENSOR_STRINGS:
    case TENSOR_INT64S:
    case TENSOR_RAW:
    case TENSOR_DOUBLES:
    case TENSOR_UINT64S:
    case TENSOR_EXTERNAL:
    case TENSOR_LOCATION: return 0;
    default: return 1;
  }
}

/* The size of the fields that go along, which are written if `out` is not NULL. */
static uint64_t along(const sap__onnx_tensor *tensor, int with_shape, sap__onnx_out *out) {
  sap__wire message = tensor->message;
  sap__field field;
  while (tensor->sparse && sap__wire_next(&message, &field) > 0)
    if (field.number == SPARSE_VALUES) {
      message = sap__wire_inside(&message, &field);
      break;
    }
  uint64_t size = 0;
  while (sap__wire_next(&message, &field) > 0) {
    if (!goes_along(field.number, with_shape)) continue;
    size += field.end - field.start;
    if (out) sap__onnx_put(out, message.bytes + field.start, (size_t)(field.end - field.start));
  }
  return size;
}

/* The same of the attribute around a constant: all but its name, its type and the tensor. */
static uint64_t attribute_along(const sap__onnx_tensor *tensor, sap__onnx_out *out) {
  sap__wire wire = {tensor->message.bytes, tensor->start, tensor->end};
  sap__field field;
  if (sap__wire_next(&wire, &field) <= 0) return 0;
  wire = sap__wire_inside(&wire, &field);
  uint64_t size = 0;
  while (sap__wire_next(&wire, &field) > 0) {
    if (field.number == ATTRIBUTE_NAME || field.number == ATTRIBUTE_TENSOR || field.number == ATTRIBUTE_SPARSE ||
        field.number == ATTRIBUTE_TYPE)
      continue;
    size += field.end - field.start;
    if (out) sap__onnx_put(out, wire.bytes + field.start, (size_t)(field.end - field.start));
  }
  return size;
}

/* ---- sizes ---- */

static const sap_tensor *listed(const sap_checkpoint *checkpoint, const sap__onnx_tensor *tensor) {
  return tensor->entry == SAP__ONNX_NONE ? NULL : &checkpoint->entries[tensor->entry].tensor;
}

static const char *attribute_name(const sap__onnx_form *form) { return form->sparse ? "sparse_value" : "value"; }

/* The number of the tensor's field in its graph or attribute. */
static uint32_t field_number(const sap__onnx_form *form) {
  if (form->tensor->constant) return form->sparse ? ATTRIBUTE_SPARSE : ATTRIBUTE_TENSOR;
  if (form->sparse) return GRAPH_SPARSE_INITIALIZER;
  return form->tensor->sparse ? GRAPH_INITIALIZER : form->tensor->number;
}

/* Sizes of what is around the message. */
static void wrap(sap__onnx_form *form) {
  form->size = bytes_size(field_number(form), form->message);
  if (!form->tensor->constant) return;
  form->attribute = bytes_size(ATTRIBUTE_NAME, strlen(attribute_name(form))) + form->size +
                    number_size(ATTRIBUTE_TYPE, TYPE_TENSOR) + attribute_along(form->tensor, NULL);
  form->size = bytes_size(NODE_ATTRIBUTE, form->attribute);
}

static uint64_t shape_size(const sap_tensor *tensor, uint32_t number) {
  uint64_t size = 0;
  for (int i = 0; i < tensor->rank; i++) size += number_size(number, tensor->shape[i]);
  return size;
}

sap__onnx_form sap__onnx_form_dense(const sap_checkpoint *checkpoint, const sap__onnx_tensor *tensor) {
  const sap_tensor *entry = listed(checkpoint, tensor);
  sap__onnx_form form = {.tensor = tensor, .value_bytes = entry ? entry->bytes : tensor->bytes};
  form.message = along(tensor, !tensor->sparse, NULL);
  if (tensor->sparse) form.message += shape_size(entry, TENSOR_DIMS);
  if (form.value_bytes) form.message += bytes_size(TENSOR_RAW, form.value_bytes);
  wrap(&form);
  return form;
}

/* Bytes that the positions of the mask's bits take as varints. */
static uint64_t positions_size(const uint64_t *mask, uint64_t count) {
  uint64_t size = 0, begin = 0;
  for (unsigned bytes = 1; begin < count; bytes++) { /* bounds are multiples of 64: whole words of the mask */
    uint64_t end = (uint64_t)1 << 7 * bytes;
    if (end > count || bytes > 8) end = count;
    size += bytes * sap_mask_count(mask + begin / 64, end - begin);
    begin = end;
  }
  return size;
}

sap__onnx_form sap__onnx_form_sparse(const sap_checkpoint *checkpoint, const sap__onnx_tensor *tensor,
                                     const uint64_t *mask) {
  const sap_tensor *entry = listed(checkpoint, tensor);
  sap__onnx_form form = {.tensor = tensor, .sparse = 1};
  form.nnz = sap_mask_count(mask, entry->count);
  form.value_bytes = form.nnz * (sap_dtype_bits(entry->dtype) / 8);
  form.index_bytes = positions_size(mask, entry->count);
  form.values = number_size(TENSOR_DIMS, form.nnz) + along(tensor, 0, NULL);
  if (form.nnz) form.values += bytes_size(TENSOR_RAW, form.value_bytes);
  form.indices = number_size(TENSOR_DIMS, form.nnz) + number_size(TENSOR_TYPE, SAP__ONNX_INT64);
  if (form.nnz) form.indices += bytes_size(TENSOR_INT64S, form.index_bytes);
  form.message = bytes_size(SPARSE_VALUES, form.values) + bytes_size(SPARSE_INDICES, form.indices) +
                 shape_size(entry, SPARSE_DIMS);
  wrap(&form);
  return form;
}

/* ---- writing ---- */

static void put_dense(sap_checkpoint *checkpoint, const sap__onnx_form *form, const uint64_t *mask,
                      sap__onnx_out *out) {
  const sap__onnx_tensor *tensor = form->tensor;
  const sap_tensor *entry = listed(checkpoint, tensor);
  for (int i = 0; tensor->sparse && i < entry->rank; i++) put_number(out, TENSOR_DIMS, entry->shape[i]);
  along(tensor, !tensor->sparse, out);
  if (!form->value_bytes) return;
  put_head(out, TENSOR_RAW, form->value_bytes);
  if (!entry) {
    sap__onnx_put(out, checkpoint->maps[tensor->map].bytes + tensor->offset, (size_t)tensor->bytes);
    return;
  }
  sap_status status = sap__checkpoint_stream(checkpoint, tensor->entry, mask, sink, out, out->err);
  if (!out->status) out->status = status;
}

/* Calls for each bit of the mask, in order. */
#define FOR_EACH_KEPT(mask, count, index)                                                                            \
  for (uint64_t word_ = 0; word_ < sap_mask_words(count); word_++)                                                   \
    for (uint64_t bits_ = (mask)[word_], index; bits_ && (index = word_ * 64 + (uint64_t)__builtin_ctzll(bits_), 1); \
         bits_ &= bits_ - 1)

static void put_sparse(sap_checkpoint *checkpoint, const sap__onnx_form *form, const uint64_t *mask,
                       sap__onnx_out *out) {
  const sap_tensor *entry = listed(checkpoint, form->tensor);
  size_t size = sap_dtype_bits(entry->dtype) / 8;
  sap_status status = sap_checkpoint_load(checkpoint, form->tensor->entry, out->err);
  if (!out->status) out->status = status;
  if (out->status) return;
  const uint8_t *data = entry->data;
  put_head(out, SPARSE_VALUES, form->values);
  put_number(out, TENSOR_DIMS, form->nnz);
  along(form->tensor, 0, out);
  if (form->nnz) {
    put_head(out, TENSOR_RAW, form->value_bytes);
    FOR_EACH_KEPT(mask, entry->count, i) sap__onnx_put(out, data + i * size, size);
  }
  put_head(out, SPARSE_INDICES, form->indices);
  put_number(out, TENSOR_DIMS, form->nnz);
  put_number(out, TENSOR_TYPE, SAP__ONNX_INT64);
  if (form->nnz) {
    put_head(out, TENSOR_INT64S, form->index_bytes);
    FOR_EACH_KEPT(mask, entry->count, i) put_varint(out, i);
  }
  for (int i = 0; i < entry->rank; i++) put_number(out, SPARSE_DIMS, entry->shape[i]);
}

void sap__onnx_form_write(sap_checkpoint *checkpoint, const sap__onnx_form *form, const uint64_t *mask,
                          sap__onnx_out *out) {
  const char *name = attribute_name(form);
  if (form->tensor->constant) {
    put_head(out, NODE_ATTRIBUTE, form->attribute);
    put_head(out, ATTRIBUTE_NAME, strlen(name));
    sap__onnx_put(out, name, strlen(name));
  }
  put_head(out, field_number(form), form->message);
  if (form->sparse)
    put_sparse(checkpoint, form, mask, out);
  else
    put_dense(checkpoint, form, mask, out);
  if (form->tensor->constant) {
    put_number(out, ATTRIBUTE_TYPE, form->sparse ? TYPE_SPARSE_TENSOR : TYPE_TENSOR);
    attribute_along(form->tensor, out);
  }
}
