/* A model in ONNX as a checkpoint: which of its bytes are tensors, and which messages lie around them.
 *
 * Tensors are the initializers and sparse initializers of all graphs, and the constants of rank 1 and more (the
 * value of a Constant node, under the name of the node's output: converters from other frameworks leave all
 * weights there). Those of a subgraph get the way to it before their names, "NODE/ATTRIBUTE/NAME", since
 * branches may use a name again.
 */
#ifndef SAP_IO_ONNX_H
#define SAP_IO_ONNX_H

#include "io/format.h"
#include "io/onnx_tensor.h"

#define SAP__ONNX_MAX 2147483647u /* bytes of a model; the limit of Protocol Buffers */
#define SAP__ONNX_NONE UINT32_MAX

/* Fields of messages around tensors. */
enum { MODEL_VERSION = 1, MODEL_GRAPH = 7, MODEL_OPSET = 8, MODEL_METADATA = 14, MODEL_FUNCTION = 25 };
enum { GRAPH_NODE = 1, GRAPH_INITIALIZER = 5, GRAPH_SPARSE_INITIALIZER = 15 };
enum { FUNCTION_NODE = 7 };
enum { NODE_OUTPUT = 2, NODE_NAME = 3, NODE_OPERATOR = 4, NODE_ATTRIBUTE = 5, NODE_DOMAIN = 7 };
enum {
  ATTRIBUTE_NAME = 1,
  ATTRIBUTE_TENSOR = 5,
  ATTRIBUTE_GRAPH = 6,
  ATTRIBUTE_TENSORS = 10,
  ATTRIBUTE_GRAPHS = 11,
  ATTRIBUTE_TYPE = 20,
  ATTRIBUTE_SPARSE = 22,
};

/* A message with tensors somewhere inside: when they change size, so does its length. Outer ones come first. */
typedef struct sap__onnx_span {
  uint64_t length; /* where its length is */
  uint64_t begin, end;
  uint32_t parent; /* SAP__ONNX_NONE: the file */
} sap__onnx_span;

/* A tensor that is listed, or lies in an external file. */
typedef struct sap__onnx_tensor {
  uint64_t start, end; /* the field to replace: the tensor's, or for a constant the node's attribute */
  sap__wire message;   /* TensorProto or SparseTensorProto */
  uint32_t number;     /* of the tensor's field, for a constant of the attribute's */
  uint32_t span;       /* what the field is in */
  uint32_t entry;      /* of the checkpoint; SAP__ONNX_NONE: not listed */
  uint8_t sparse, constant;
  uint32_t map;           /* of an external file; 0: the values are in the model */
  uint64_t offset, bytes; /* in that file */
} sap__onnx_tensor;

typedef struct sap__onnx_model {
  sap__onnx_span *spans;
  size_t span_count;
  sap__onnx_tensor *tensors;
  size_t tensor_count;
  char **locations; /* (map_count − 1) of the external files, relative to the model's folder */
  size_t location_count;
  uint64_t ir_version, opset; /* of the default domain */
} sap__onnx_model;

extern const sap__format sap__format_onnx;

/* "FILE: byte N: WHAT" as an error text. */
sap_status sap__onnx_fail_at(const sap_checkpoint *checkpoint, uint64_t byte, const char *what, sap_error *err);

/* Walks over a graph (or a function) and all graphs inside it; `field` is the one of the model that holds it. */
sap_status sap__onnx_walk(sap_checkpoint *checkpoint, const sap__field *field, sap_error *err);

/* Appends a tensor: listed under its name, or, where it has none or is of no type that Sapwood has, only if its
 * values are in an external file. `span` is left to the caller. */
sap_status sap__onnx_add(sap_checkpoint *checkpoint, const sap__onnx_tensor *tensor, const char *prefix,
                         sap__slice name, sap_error *err);

/* Opens the external files and finds every external tensor in them. */
sap_status sap__onnx_external(sap_checkpoint *checkpoint, sap_error *err);

/* The format's rewrite and convert. */
sap_status sap__onnx_rewrite(sap_checkpoint *checkpoint, const uint64_t *const *masks, const char *path,
                             sap_error *err);
sap_status sap__onnx_convert(sap_checkpoint *checkpoint, const uint64_t *const *masks, sap_encoding encoding,
                             const char *path, sap_error *err);

#endif
