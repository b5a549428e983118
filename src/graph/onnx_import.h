/* An import from within: what the driver (onnx_import.c) knows and the ops (onnx_ops.c) use. */
#ifndef SAP_GRAPH_ONNX_IMPORT_H
#define SAP_GRAPH_ONNX_IMPORT_H

#include "graph/onnx.h"
#include "io/onnx_graph.h"

/* A name that a node makes, or the graph's input. */
typedef struct sap__onnx_made {
  const char *name;
  int node;    /* −1: the graph's input */
  int value;   /* of our graph; −1: none */
  int readers; /* among the nodes that are taken, and the graph's output */
} sap__onnx_made;

typedef struct sap__onnx_importer {
  sap_checkpoint *file;
  sap__onnx_graph onnx;
  sap__onnx_made *made; /* (made_count) by name */
  size_t made_count;
  uint8_t *taken; /* (nodes) 1: leads to the output; 2: and another node has done its work */
  uint8_t *bound; /* (entries of the file) 1: a parameter */
  const char *output;
  int64_t batch; /* pictures that the input has; −1: any */
  sap__graph *graph;
  sap__onnx_source *source;
} sap__onnx_importer;

/* One op of ONNX: appends what it is in our graph. x: its first input. *y receives the value. */
typedef sap_status sap__onnx_op(sap__onnx_importer *im, const sap__onnx_node *node, int x, int *y, sap_error *err);

/* NULL: not known. *lazy 1: makes no value, but numbers that others ask for. */
sap__onnx_op *sap__onnx_find_op(const sap__onnx_node *node, int *lazy);

/* "FILE: node NAME: OP: …" as an error text. */
sap_status sap__onnx_refuse(const sap__onnx_importer *im, const sap__onnx_node *node, sap_error *err, sap_status code,
                            const char *format, ...) SAP_PRINTF(5, 6);

/* The made thing of that name; NULL if there is none. */
sap__onnx_made *sap__onnx_find_made(const sap__onnx_importer *im, const char *name);

/* The value that input i of a node is. SAP_ERROR_FORMAT or SAP_ERROR_UNSUPPORTED where it is none. */
sap_status sap__onnx_input(const sap__onnx_importer *im, const sap__onnx_node *node, size_t i, int *value,
                           sap_error *err);

/* The tensor of the file that input i of a node is, Identity nodes in between; NULL if it is none. */
const sap_tensor *sap__onnx_tensor_of(const sap__onnx_importer *im, const sap__onnx_node *node, size_t i);

/* Appends a node, whose first parameters are those tensors (NULL: none of that); the weight transposed or not. */
sap_status sap__onnx_append(sap__onnx_importer *im, const sap__onnx_node *node, sap__op op, sap__attributes attributes,
                            const int *inputs, int input_count, const sap_tensor *const *tensors, size_t tensor_count,
                            int transposed, int *y, sap_error *err);

/* Marks a node as done by another: its output is `value`. */
void sap__onnx_absorb(sap__onnx_importer *im, const sap__onnx_node *node, int value);

#endif
