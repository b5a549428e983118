#include "graph/onnx_numbers.h"

#include <string.h>

enum { DEEP = 16 }; /* ops between a shape and who reads it */

typedef struct numbers {
  int64_t at[SAP__ONNX_NUMBERS];
  size_t count;
} numbers;

static int integers_of(sap__onnx_importer *im, const sap__onnx_node *node, size_t i, int depth, numbers *out);

/* Little-endian elements, as the machine has them. */
static int64_t element(sap_dtype dtype, const void *data, size_t i) {
  int32_t narrow;
  int64_t wide;
  if (dtype == SAP_I32) return memcpy(&narrow, (const char *)data + 4 * i, sizeof narrow), narrow;
  return memcpy(&wide, (const char *)data + 8 * i, sizeof wide), wide;
}

static int from_data(sap_dtype dtype, const void *data, uint64_t count, numbers *out) {
  if ((dtype != SAP_I64 && dtype != SAP_I32) || count > SAP__ONNX_NUMBERS) return 0;
  out->count = (size_t)count;
  for (size_t i = 0; i < out->count; i++) out->at[i] = element(dtype, data, i);
  return 1;
}

/* A tensor of the file. */
static int from_file(sap__onnx_importer *im, const char *name, numbers *out) {
  size_t entry = sap_checkpoint_find(im->file, name);
  const sap_tensor *tensor = sap_checkpoint_at(im->file, entry);
  if (!tensor || tensor->count > SAP__ONNX_NUMBERS || sap_checkpoint_load(im->file, entry, NULL)) return 0;
  return from_data(tensor->dtype, tensor->data, tensor->count, out);
}

/* The tensor of a Constant without axes: the only one that is not in the file's list. */
static int decode_one(const sap__onnx_node *node, sap_dtype *dtype, uint64_t *bits) {
  sap__onnx_proto tensor;
  if (!sap__onnx_attribute_tensor(node, "value", &tensor) || tensor.rank || tensor.external) return 0;
  *dtype = sap__onnx_dtype(tensor.type);
  *bits = 0;
  if (*dtype != SAP_I64 && *dtype != SAP_I32 && *dtype != SAP_F32 && *dtype != SAP_F64) return 0;
  return !sap__onnx_decode(&tensor, *dtype, 1, bits);
}

static int from_constant(const sap__onnx_node *node, numbers *out) {
  sap_dtype dtype;
  uint64_t bits;
  out->count = 1;
  if (sap__onnx_attribute_ints(node, "value_ints", out->at, SAP__ONNX_NUMBERS, &out->count))
    return out->count <= SAP__ONNX_NUMBERS;
  out->count = 1;
  if (sap__onnx_attribute_int(node, "value_int", &out->at[0])) return 1;
  return decode_one(node, &dtype, &bits) && from_data(dtype, &bits, 1, out);
}

/* The shape of a value, the pictures counted in. */
static int from_shape(sap__onnx_importer *im, const sap__onnx_node *node, numbers *out) {
  int value;
  if (sap__onnx_input(im, node, 0, &value, NULL)) return 0;
  const sap__shape *shape = &im->graph->values[value].shape;
  out->at[0] = SAP__ONNX_BATCH;
  for (int i = 0; i < shape->rank; i++) out->at[i + 1] = shape->dim[i];
  out->count = (size_t)shape->rank + 1;
  return 1;
}

static int gather(const numbers *from, const numbers *places, numbers *out) {
  out->count = places->count;
  for (size_t i = 0; i < places->count; i++) {
    int64_t place = places->at[i] < 0 ? places->at[i] + (int64_t)from->count : places->at[i];
    if (place < 0 || place >= (int64_t)from->count) return 0;
    out->at[i] = from->at[place];
  }
  return 1;
}

/* What a node computes from numbers. */
static int from_node(sap__onnx_importer *im, const sap__onnx_node *node, int depth, numbers *out) {
  numbers first, second;
  if (!depth) return 0;
  if (!strcmp(node->op, "Constant")) return from_constant(node, out);
  if (!strcmp(node->op, "Shape")) return from_shape(im, node, out);
  if (!strcmp(node->op, "Concat")) {
    out->count = 0;
    for (size_t i = 0; i < node->input_count; i++) {
      if (!integers_of(im, node, i, depth - 1, &first) || out->count + first.count > SAP__ONNX_NUMBERS) return 0;
      memcpy(out->at + out->count, first.at, first.count * sizeof *first.at);
      out->count += first.count;
    }
    return 1;
  }
  if (!integers_of(im, node, 0, depth - 1, &first)) return 0;
  if (!strcmp(node->op, "Gather")) return integers_of(im, node, 1, depth - 1, &second) && gather(&first, &second, out);
  *out = first; /* Unsqueeze, Squeeze, Cast: the same numbers */
  return !strcmp(node->op, "Unsqueeze") || !strcmp(node->op, "Squeeze") || !strcmp(node->op, "Cast");
}

static int integers_of(sap__onnx_importer *im, const sap__onnx_node *node, size_t i, int depth, numbers *out) {
  if (i >= node->input_count || !*node->inputs[i]) return 0;
  if (sap__onnx_tensor_of(im, node, i)) return from_file(im, node->inputs[i], out);
  const sap__onnx_made *made = sap__onnx_find_made(im, node->inputs[i]);
  return made && made->node >= 0 && from_node(im, &im->onnx.nodes[made->node], depth, out);
}

int sap__onnx_integers(sap__onnx_importer *im, const sap__onnx_node *node, size_t i, int64_t out[SAP__ONNX_NUMBERS],
                       size_t *count) {
  numbers found;
  if (!integers_of(im, node, i, DEEP, &found)) return 0;
  memcpy(out, found.at, found.count * sizeof *out);
  *count = found.count;
  return 1;
}

static int real_of(sap_dtype dtype, const void *data, double *number) {
  float narrow;
  if (dtype == SAP_F64) return memcpy(number, data, sizeof *number), 1;
  if (dtype != SAP_F32) return 0;
  memcpy(&narrow, data, sizeof narrow);
  *number = (double)narrow;
  return 1;
}

int sap__onnx_real(sap__onnx_importer *im, const sap__onnx_node *node, size_t i, double *number) {
  const sap_tensor *tensor = sap__onnx_tensor_of(im, node, i);
  if (tensor)
    return tensor->count == 1 && !sap_checkpoint_load(im->file, sap_checkpoint_find(im->file, tensor->name), NULL) &&
           real_of(tensor->dtype, tensor->data, number);
  const sap__onnx_made *made = i < node->input_count ? sap__onnx_find_made(im, node->inputs[i]) : NULL;
  if (!made || made->node < 0 || strcmp(im->onnx.nodes[made->node].op, "Constant")) return 0;
  const sap__onnx_node *constant = &im->onnx.nodes[made->node];
  sap_dtype dtype;
  uint64_t bits;
  if (sap__onnx_attribute_float(constant, "value_float", number)) return 1;
  return decode_one(constant, &dtype, &bits) && real_of(dtype, &bits, number);
}
