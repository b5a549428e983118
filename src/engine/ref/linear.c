/* linear: y (N,O) = x (N,I) · Wᵀ + b. */
#include "engine/ref/ref.h"

static void forward(sap__op_context *op) {
  int64_t in = sap__ref_inputs(op), out = sap__ref_outputs(op);
  const double *x = op->x[0]; /* (N,I) */
  const float *w = op->w[0];  /* (O,I) */
  double *y = op->y;          /* (N,O) */
  for (int n = 0; n < op->count; n++)
    for (int64_t o = 0; o < out; o++) {
      double sum = op->node->attributes.linear.bias ? (double)op->w[1][o] : 0;
      for (int64_t i = 0; i < in; i++) sum += x[n * in + i] * w[o * in + i];
      y[n * out + o] = sum;
    }
}

static void backward_data(sap__op_context *op) {
  int64_t in = sap__ref_inputs(op), out = sap__ref_outputs(op);
  const double *dy = op->dy;             /* (N,O) */
  double *dx = sap__ref_gradient(op, 0); /* (N,I) */
  for (int n = 0; n < op->count; n++)
    for (int64_t i = 0; i < in; i++)
      for (int64_t o = 0; o < out; o++) dx[n * in + i] += dy[n * out + o] * op->w[0][o * in + i];
}

/* The parts are ranges of outputs. */
static void backward_weights(const sap__op_context *op, int part, int parts) {
  int64_t in = sap__ref_inputs(op), out = sap__ref_outputs(op);
  const double *x = op->x[0], *dy = op->dy; /* (N,I), (N,O) */
  for (int64_t o = out * part / parts; o < out * (part + 1) / parts; o++) {
    double bias = 0;
    for (int n = 0; n < op->count; n++) bias += dy[n * out + o];
    if (op->node->attributes.linear.bias) op->dw[1][o] = (float)bias;
    for (int64_t i = 0; i < in; i++) {
      double sum = 0;
      for (int n = 0; n < op->count; n++) sum += dy[n * out + o] * x[n * in + i];
      op->dw[0][o * in + i] = (float)sum;
    }
  }
}

const sap__op_impl sap__ref_linear = {.keeps = SAP__KEEPS_X | SAP__KEEPS_WHOLE,
                                      .forward = forward,
                                      .backward_data = backward_data,
                                      .backward_weights = backward_weights};
