/* The main graph of a model in ONNX as a list of nodes, for those who want to compute it; its tensors are the
 * checkpoint's entries. Names are copied, attributes are read where they lie.
 *
 * Format: https://github.com/onnx/onnx, onnx/onnx.proto and docs/IR.md.
 */
#ifndef SAP_IO_ONNX_GRAPH_H
#define SAP_IO_ONNX_GRAPH_H

#include "io/format.h"
#include "io/onnx_tensor.h"

enum { SAP__ONNX_MAX_NODES = 10000, SAP__ONNX_MAX_AXES = 8 };

/* An input or output of the graph. */
typedef struct sap__onnx_value {
  const char *name;
  int rank;                        /* −1: not said */
  int64_t dim[SAP__ONNX_MAX_AXES]; /* −1: any */
} sap__onnx_value;

typedef struct sap__onnx_node {
  const char *name, *op, *domain; /* "" where absent */
  const char **inputs, **outputs; /* "" for one that is left out */
  size_t input_count, output_count;
  sap__wire message;
} sap__onnx_node;

typedef struct sap__onnx_graph {
  sap__onnx_node *nodes;
  sap__onnx_value *inputs, *outputs;
  size_t node_count, input_count, output_count;
  uint64_t opset; /* of the default domain */
  const char **names;
  char *text;
} sap__onnx_graph;

/* Reads the graph of an open checkpoint, which must outlive it, whose format is ONNX. Freed with
 * sap__onnx_graph_free, also after an error. SAP_ERROR_FORMAT: a malformed node, a name that is no text;
 * SAP_ERROR_UNSUPPORTED: more than SAP__ONNX_MAX_NODES nodes, or an input of more than SAP__ONNX_MAX_AXES axes. */
sap_status sap__onnx_graph_read(const sap_checkpoint *checkpoint, sap__onnx_graph *graph, sap_error *err);
void sap__onnx_graph_free(sap__onnx_graph *graph);

/* ---- attributes of a node: 1 if it has that one, of that kind ---- */

int sap__onnx_attribute_int(const sap__onnx_node *node, const char *name, int64_t *value);
int sap__onnx_attribute_float(const sap__onnx_node *node, const char *name, double *value);

/* As many of the integers as fit; *count receives how many there are. */
int sap__onnx_attribute_ints(const sap__onnx_node *node, const char *name, int64_t *values, size_t room, size_t *count);

/* The bytes of a text, not terminated. */
int sap__onnx_attribute_text(const sap__onnx_node *node, const char *name, const char **text, size_t *size);

/* A tensor, parsed; 0 also where it is malformed. */
int sap__onnx_attribute_tensor(const sap__onnx_node *node, const char *name, sap__onnx_proto *tensor);

#endif
