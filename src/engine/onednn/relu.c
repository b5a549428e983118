/* relu: y = max(x, 0). */
#include "engine/onednn/loops.h"
#include "engine/onednn/onednn.h"

static void forward(sap__op_context *op) {
  sap__loops_active()->relu(op->x, op->y, op->count * sap__onednn_outputs(op));
}

static void backward_data(sap__op_context *op) {
  sap__loops_active()->relu_backward(op->x, op->dy, op->dx, op->count * sap__onednn_outputs(op));
}

const sap__op_impl sap__onednn_relu = {.forward = forward, .backward_data = backward_data};
