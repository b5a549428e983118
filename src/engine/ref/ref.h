/* The reference engine: plain loops in double, complete, slow and obviously right. The oracle of the
 * tests and the fallback where no fast engine is built in. */
#ifndef SAP_ENGINE_REF_REF_H
#define SAP_ENGINE_REF_REF_H

#include "engine/engine.h"

/* Lengths of a node's input and output for one picture. */
static inline int64_t sap__ref_inputs(const sap__op_context *op) {
  return sap__shape_count(&op->graph->values[op->node->inputs[0]].shape);
}
static inline int64_t sap__ref_outputs(const sap__op_context *op) {
  return sap__shape_count(&op->graph->values[op->node->output].shape);
}

#endif
