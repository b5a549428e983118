/* relu: y = max(x, 0). */
#include "engine/onednn/loops.h"
#include "engine/onednn/onednn.h"

static void forward(sap__op_context *op) {
  sap__loops_active()->relu(op->x[0], op->y, op->count * sap__onednn_outputs(op));
}

static void backward_data(sap__op_context *op) {
  const sap__loops *loops = sap__loops_active();
  int64_t n = op->count * sap__onednn_outputs(op);
  (op->accumulate[0] ? loops->relu_backward_add : loops->relu_backward)(op->x[0], op->dy, op->dx[0], n);
}

const sap__op_impl sap__onednn_relu = {.forward = forward, .backward_data = backward_data};
