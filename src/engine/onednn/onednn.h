/* The CPU engine: matrix products by oneDNN, what lies between them by loops of our own.
 *
 * Nothing outside this folder knows oneDNN. Activations are float or bf16; pictures lie in blocks of channels or
 * channels-last.
 */
#ifndef SAP_ENGINE_ONEDNN_ONEDNN_H
#define SAP_ENGINE_ONEDNN_ONEDNN_H

#include "engine/engine.h"

/* Lengths of a node's input and output for one picture. */
static inline int64_t sap__onednn_inputs(const sap__op_context *op) {
  return sap__shape_count(&op->graph->values[op->node->inputs[0]].shape);
}
static inline int64_t sap__onednn_outputs(const sap__op_context *op) {
  return sap__shape_count(&op->graph->values[op->node->output].shape);
}

#endif
