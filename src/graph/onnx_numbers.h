/* Numbers that a model's nodes read: constants, and what exporters compute from shapes. */
#ifndef SAP_GRAPH_ONNX_NUMBERS_H
#define SAP_GRAPH_ONNX_NUMBERS_H

#include "graph/onnx_import.h"

enum { SAP__ONNX_NUMBERS = 8 };

/* The number of pictures, where a shape is computed from that of a value. */
#define SAP__ONNX_BATCH INT64_MIN

/* Integers that input i of a node is: a tensor of the file, a Constant, or Shape, Gather, Unsqueeze, Squeeze, Concat
 * and Cast over them. 1, or 0 where it is none or of more than SAP__ONNX_NUMBERS. */
int sap__onnx_integers(sap__onnx_importer *im, const sap__onnx_node *node, size_t i, int64_t numbers[SAP__ONNX_NUMBERS],
                       size_t *count);

/* The one real number that input i of a node is. */
int sap__onnx_real(sap__onnx_importer *im, const sap__onnx_node *node, size_t i, double *number);

#endif
