/* relu: y = max(x, 0); a NaN passes through, so that it is seen. */
#include "engine/ref/ref.h"

static void forward(sap__op_context *op) {
  const double *x = op->x[0];
  double *y = op->y;
  for (int64_t i = 0, n = op->count * sap__ref_outputs(op); i < n; i++) y[i] = x[i] < 0 ? 0 : x[i];
}

static void backward_data(sap__op_context *op) {
  const double *x = op->x[0], *dy = op->dy;
  double *dx = sap__ref_gradient(op, 0);
  for (int64_t i = 0, n = op->count * sap__ref_outputs(op); i < n; i++) dx[i] += x[i] > 0 ? dy[i] : 0;
}

const sap__op_impl sap__ref_relu = {.keeps = SAP__KEEPS_X, .forward = forward, .backward_data = backward_data};
