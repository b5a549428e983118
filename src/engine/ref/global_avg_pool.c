/* global_avg_pool: the mean of each channel of each picture. */
#include "engine/ref/ref.h"

static void forward(sap__op_context *op) {
  int64_t means = op->count * sap__ref_outputs(op), plane = sap__ref_inputs(op) / sap__ref_outputs(op);
  const double *x = op->x[0];
  double *y = op->y;
  for (int64_t k = 0; k < means; k++) {
    double sum = 0;
    for (int64_t p = 0; p < plane; p++) sum += x[k * plane + p];
    y[k] = sum / (double)plane;
  }
}

static void backward_data(sap__op_context *op) {
  int64_t means = op->count * sap__ref_outputs(op), plane = sap__ref_inputs(op) / sap__ref_outputs(op);
  const double *dy = op->dy;
  double *dx = sap__ref_gradient(op, 0);
  for (int64_t k = 0; k < means; k++)
    for (int64_t p = 0; p < plane; p++) dx[k * plane + p] += dy[k] / (double)plane;
}

const sap__op_impl sap__ref_global_avg_pool = {.forward = forward, .backward_data = backward_data};
