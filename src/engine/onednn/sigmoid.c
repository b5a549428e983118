/* sigmoid: y = 1 / (1 + exp(−x)). */
#include "engine/onednn/loops.h"
#include "engine/onednn/onednn.h"

static void forward(sap__op_context *op) {
  sap__elementwise_active(op->y_format.bytes)->sigmoid(op->x[0], op->y, op->count * sap__onednn_outputs(op));
}

static void backward_data(sap__op_context *op) {
  sap__elementwise_active(op->y_format.bytes)
      ->sigmoid_backward(op->y, op->dy, op->dx[0], op->accumulate[0], op->count * sap__onednn_outputs(op));
}

const sap__op_impl sap__onednn_sigmoid = {
    .keeps = SAP__KEEPS_Y, .in_place = 1, .forward = forward, .backward_data = backward_data};
