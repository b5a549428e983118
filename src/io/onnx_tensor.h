/* TensorProto and SparseTensorProto of ONNX, seen where they lie in the model, and their decoding.
 *
 * Format: https://github.com/onnx/onnx, onnx/onnx.proto and docs/ExternalData.md.
 */
#ifndef SAP_IO_ONNX_TENSOR_H
#define SAP_IO_ONNX_TENSOR_H

#include "io/onnx_wire.h"
#include "sapwood/safetensors.h"

/* Fields of TensorProto. */
enum {
  TENSOR_DIMS = 1,
  TENSOR_TYPE = 2,
  TENSOR_SEGMENT = 3,
  TENSOR_FLOATS = 4,
  TENSOR_INT32S = 5,
  TENSOR_STRINGS = 6,
  TENSOR_INT64S = 7,
  TENSOR_NAME = 8,
  TENSOR_RAW = 9,
  TENSOR_DOUBLES = 10,
  TENSOR_UINT64S = 11,
  TENSOR_EXTERNAL = 13,
  TENSOR_LOCATION = 14,
};
/* Fields of SparseTensorProto. */
enum { SPARSE_VALUES = 1, SPARSE_INDICES = 2, SPARSE_DIMS = 3 };

enum { SAP__ONNX_INT64 = 7 }; /* TensorProto.DataType of indices */

/* Bytes [begin, end) of the model. */
typedef struct sap__slice {
  uint64_t begin, end;
} sap__slice;

static inline uint64_t sap__slice_size(sap__slice slice) { return slice.end - slice.begin; }

/* A TensorProto. Slices that are absent are empty. */
typedef struct sap__onnx_proto {
  sap__wire message;
  uint32_t type; /* TensorProto.DataType */
  unsigned rank; /* may exceed SAP_TENSOR_MAX_RANK; the shape then holds the first */
  uint64_t shape[SAP_TENSOR_MAX_RANK];
  sap__slice name, raw;
  uint32_t field;       /* of the typed values; 0: none */
  uint32_t chunks;      /* stretches they come in: one, when packed as writers do */
  sap__slice chunk;     /* the first */
  uint64_t value_bytes; /* in all of them */
  int segmented;
  int external; /* the values are in [offset, offset + length) of another file */
  sap__slice location;
  uint64_t offset, length;
  int has_length;
} sap__onnx_proto;

/* A SparseTensorProto. */
typedef struct sap__onnx_sparse {
  sap__onnx_proto values, indices;
  int has_values, has_indices;
  unsigned rank;
  uint64_t shape[SAP_TENSOR_MAX_RANK];
} sap__onnx_sparse;

/* Reads the fields. NULL, or what is wrong with the message, in static storage; slices lie inside then. */
const char *sap__onnx_parse(sap__wire message, sap__onnx_proto *proto);
const char *sap__onnx_parse_sparse(sap__wire message, sap__onnx_sparse *sparse);

/* The type of elements; SAP_DTYPE_COUNT where Sapwood has none (strings, 4-bit integers, …). */
sap_dtype sap__onnx_dtype(uint32_t type);

/* Bits an element takes in raw and external data; 0 for strings and unknown types. */
unsigned sap__onnx_bits(uint32_t type);

/* The field that holds typed values of the type. */
uint32_t sap__onnx_field(uint32_t type);

/* 1 if all values lie side by side as sap_tensor.data wants them, from *offset on. */
int sap__onnx_in_place(const sap__onnx_proto *proto, uint64_t *offset);

/* Decodes `count` values (C64: pairs) of dtype into `out`. NULL, or what is wrong. */
const char *sap__onnx_decode(const sap__onnx_proto *proto, sap_dtype dtype, uint64_t count, void *out);

/* Decodes into zeroed `dense` (elements of dtype; sizes as the shape says) and zeroed `mask`, which gets a bit
 * for each value. `values`: nnz elements. NULL, or what is wrong: indices not strictly ascending, outside, or
 * not as many as values. */
const char *sap__onnx_scatter(const sap__onnx_sparse *sparse, sap_dtype dtype, const void *values, void *dense,
                              uint64_t *mask);

#endif
