/* linear: y (N,O) = x (N,I) · Wᵀ + b. */
#include "engine/ref/ref.h"

static void forward(sap__op_context *op) {
  int64_t in = sap__ref_inputs(op), out = sap__ref_outputs(op);
  const double *x = op->x;   /* (N,I) */
  const float *w = op->w[0]; /* (O,I) */
  double *y = op->y;         /* (N,O) */
  for (int n = 0; n < op->batch; n++)
    for (int64_t o = 0; o < out; o++) {
      double sum = op->w[1][o];
      for (int64_t i = 0; i < in; i++) sum += x[n * in + i] * w[o * in + i];
      y[n * out + o] = sum;
    }
}

static void backward(sap__op_context *op) {
  int64_t in = sap__ref_inputs(op), out = sap__ref_outputs(op);
  const double *x = op->x, *dy = op->dy; /* (N,I), (N,O) */
  for (int64_t o = 0; o < out; o++) {
    double bias = 0;
    for (int n = 0; n < op->batch; n++) bias += dy[n * out + o];
    op->dw[1][o] = (float)bias;
    for (int64_t i = 0; i < in; i++) {
      double sum = 0;
      for (int n = 0; n < op->batch; n++) sum += dy[n * out + o] * x[n * in + i];
      op->dw[0][o * in + i] = (float)sum;
    }
  }
  double *dx = op->dx; /* (N,I) */
  for (int n = 0; dx && n < op->batch; n++)
    for (int64_t i = 0; i < in; i++) {
      double sum = 0;
      for (int64_t o = 0; o < out; o++) sum += dy[n * out + o] * op->w[0][o * in + i];
      dx[n * in + i] = sum;
    }
}

const sap__op_impl sap__ref_linear = {.forward = forward, .backward = backward};
