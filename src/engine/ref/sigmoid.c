/* sigmoid: y = 1 / (1 + exp(−x)); dx = y·(1 − y)·dy. */
#include <math.h>

#include "engine/ref/ref.h"

static void forward(sap__op_context *op) {
  const double *x = op->x[0];
  double *y = op->y;
  for (int64_t k = 0, n = op->count * sap__ref_outputs(op); k < n; k++) y[k] = 1 / (1 + exp(-x[k]));
}

static void backward_data(sap__op_context *op) {
  const double *y = op->y, *dy = op->dy;
  double *dx = sap__ref_gradient(op, 0);
  for (int64_t k = 0, n = op->count * sap__ref_outputs(op); k < n; k++) dx[k] += y[k] * (1 - y[k]) * dy[k];
}

const sap__op_impl sap__ref_sigmoid = {.keeps = SAP__KEEPS_Y, .forward = forward, .backward_data = backward_data};
