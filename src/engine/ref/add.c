/* add: y = a + b. */
#include "engine/ref/ref.h"

static void forward(sap__op_context *op) {
  const double *a = op->x[0], *b = op->x[1];
  double *y = op->y;
  for (int64_t k = 0, n = op->count * sap__ref_outputs(op); k < n; k++) y[k] = a[k] + b[k];
}

static void backward_data(sap__op_context *op) {
  const double *dy = op->dy;
  for (int i = 0; i < op->node->input_count; i++) {
    if (!op->dx[i]) continue;
    double *dx = sap__ref_gradient(op, i);
    for (int64_t k = 0, n = op->count * sap__ref_outputs(op); k < n; k++) dx[k] += dy[k];
  }
}

const sap__op_impl sap__ref_add = {.forward = forward, .backward_data = backward_data};
