/* relu: y = max(x, 0). */
#include "engine/onednn/loops.h"
#include "engine/onednn/onednn.h"

static void forward(sap__op_context *op) {
  sap__elementwise_active(op->y_format.bytes)->relu(op->x[0], op->y, op->count * sap__onednn_outputs(op));
}

static void backward_data(sap__op_context *op) {
  sap__elementwise_active(op->y_format.bytes)
      ->relu_backward(op->y, op->dy, op->dx[0], op->accumulate[0], op->count * sap__onednn_outputs(op));
}

const sap__op_impl sap__onednn_relu = {
    .keeps = SAP__KEEPS_Y, .in_place = 1, .forward = forward, .backward_data = backward_data};
