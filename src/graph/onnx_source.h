/* Writing an imported network back: onnx_export.c calls this for graphs that have a file. */
#ifndef SAP_GRAPH_ONNX_SOURCE_H
#define SAP_GRAPH_ONNX_SOURCE_H

#include "graph/onnx.h"

/* A copy of the graph's file in which the parameters' tensors have the values of the arena. External data is taken
 * in. SAP_ERROR_MISMATCH: the file is not what the graph was made of; SAP_ERROR_ARGUMENT: `path` is that file. */
sap_status sap__onnx_write_back(const sap__graph *graph, const float *weights, const char *path, sap_error *err);

#endif
