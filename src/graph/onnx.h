/* A network from a model in ONNX, and back.
 *
 * Opset 6 to 21; the ops that Sapwood has, in the forms that exporters write. What leads to the model's one output is
 * taken, one picture input is expected, and weights must be F32 tensors of the file. The model's initializers keep
 * their names in the graph's source, so that trained weights go back where they came from.
 */
#ifndef SAP_GRAPH_ONNX_H
#define SAP_GRAPH_ONNX_H

#include "graph/graph.h"

/* The tensor of the file that is a parameter. */
typedef struct sap__onnx_binding {
  char *tensor;
  int transposed; /* 1: (inputs, outputs) in the file */
} sap__onnx_binding;

/* Where a graph came from. */
typedef struct sap__onnx_source {
  char *path;
  sap__onnx_binding *bindings; /* (param_count) as the graph's params */
  int binding_count;
  int shared; /* 1: two parameters were one tensor, which cannot take both of their values */
} sap__onnx_source;

void sap__onnx_source_free(sap__onnx_source *source);

/* Builds the network of a model. input: the shape of a picture, (C,H,W), which the model must take; rank 0: as the
 * model says. classes: the logits that it must make; 0: as many as it does.
 * Errors: those of opening; SAP_ERROR_UNSUPPORTED naming node and op; SAP_ERROR_FORMAT (a cycle, an input that nobody
 * makes, a wrong shape); SAP_ERROR_MISMATCH: the model takes other pictures or makes other classes. */
sap_status sap__onnx_import(const char *path, sap__shape input, int classes, sap__graph **graph, sap_error *err);

/* Reads the weights of an imported graph's file into an arena of them (graph->arena_count). */
sap_status sap__onnx_load(const sap__graph *graph, float *weights, sap_error *err);

/* Writes a network with its weights (an arena) as a model in ONNX, for inference. For an imported graph that is its
 * file with new values, unless two parameters shared a tensor of it; else the graph in opset 17, from the pictures
 * "input" (N,C,H,W) to the logits "output" (N,classes), initializers named as the parameters. */
sap_status sap__onnx_export(const sap__graph *graph, const float *weights, const char *path, sap_error *err);

/* Makes `path`, which sap__onnx_export has written of the graph, the file that an imported graph comes from. */
sap_status sap__onnx_rebase(sap__graph *graph, const char *path, sap_error *err);

#endif
