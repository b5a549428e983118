/* add: y = a + b. The plan lets y lie over an input, and gradients where dy does, so that most of it costs nothing. */
#include <string.h>

#include "engine/onednn/loops.h"
#include "engine/onednn/onednn.h"

static void forward(sap__op_context *op) {
  sap__elementwise_active(op->y_format.bytes)->add(op->x[0], op->x[1], op->y, op->count * sap__onednn_outputs(op));
}

static void backward_data(sap__op_context *op) {
  const int64_t n = op->count * sap__onednn_outputs(op);
  for (int i = 0; i < op->node->input_count; i++) {
    if (!op->dx[i] || op->dx[i] == op->dy) continue;
    if (op->accumulate[i])
      sap__elementwise_active(op->y_format.bytes)->add(op->dx[i], op->dy, op->dx[i], n);
    else
      memcpy(op->dx[i], op->dy, (size_t)n * (size_t)op->y_format.bytes);
  }
}

const sap__op_impl sap__onednn_add = {
    .in_place = 1, .passes_gradients = 1, .forward = forward, .backward_data = backward_data};
