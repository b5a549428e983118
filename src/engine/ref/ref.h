/* The reference engine: plain loops in double, complete, slow and obviously right. The oracle of the
 * tests and the fallback where no fast engine is built in. */
#ifndef SAP_ENGINE_REF_REF_H
#define SAP_ENGINE_REF_REF_H

#include "engine/engine.h"

/* Shapes of a node's input and output, and their lengths for one picture. */
static inline const sap__shape *sap__ref_input(const sap__op_context *op) {
  return &op->graph->values[op->node->inputs[0]].shape;
}
static inline const sap__shape *sap__ref_output(const sap__op_context *op) {
  return &op->graph->values[op->node->output].shape;
}
static inline int64_t sap__ref_inputs(const sap__op_context *op) { return sap__shape_count(sap__ref_input(op)); }
static inline int64_t sap__ref_outputs(const sap__op_context *op) { return sap__shape_count(sap__ref_output(op)); }

/* dx of input i, ready to be added to: zero unless another reader of the value was here before. */
static inline double *sap__ref_gradient(const sap__op_context *op, int i) {
  double *dx = op->dx[i];
  for (int64_t k = 0, n = op->count * sap__ref_inputs(op); k < n && !op->accumulate[i]; k++) dx[k] = 0;
  return dx;
}

#endif
