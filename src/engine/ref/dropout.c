/* dropout: y = x · factor, dx = dy · factor, the factors drawn anew from the same stream. */
#include "engine/dropout.h"

#include "engine/ref/ref.h"

/* Calls for each activation: to += from · factor. */
static void multiply(const sap__op_context *op, const double *from, double *to) {
  int64_t length = sap__ref_outputs(op);
  for (int n = 0; n < op->count; n++) {
    sap__random random = sap__dropout_stream(op, n);
    for (int64_t k = 0; k < length; k++)
      to[n * length + k] +=
          from[n * length + k] * (op->training ? sap__dropout_factor(&random, op->node->attributes.dropout.rate) : 1);
  }
}

static void forward(sap__op_context *op) {
  double *y = op->y;
  for (int64_t k = 0, n = op->count * sap__ref_outputs(op); k < n; k++) y[k] = 0;
  multiply(op, op->x[0], y);
}

static void backward_data(sap__op_context *op) { multiply(op, op->dy, sap__ref_gradient(op, 0)); }

const sap__op_impl sap__ref_dropout = {.forward = forward, .backward_data = backward_data};
