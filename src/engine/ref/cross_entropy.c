/* cross_entropy: loss = log Σ exp(x) − x[label]; d loss / d x = softmax(x) − [label], over the batch's mean. */
#include <math.h>

#include "engine/ref/ref.h"

static double log_sum_exp(const double *x, int64_t n) {
  double max = x[0], sum = 0;
  for (int64_t i = 1; i < n; i++) max = x[i] > max ? x[i] : max;
  for (int64_t i = 0; i < n; i++) sum += exp(x[i] - max);
  return max + log(sum);
}

static void forward(sap__op_context *op) {
  int64_t classes = sap__ref_inputs(op);
  op->loss = (sap__loss){0, 0};
  for (int n = 0; n < op->count; n++) {
    const double *x = (const double *)op->x[0] + n * classes; /* (classes) */
    int label = op->labels[n], best = 0;
    for (int c = 1; c < classes; c++) best = x[c] > x[best] ? c : best;
    op->loss.sum += log_sum_exp(x, classes) - x[label];
    op->loss.correct += best == label;
  }
}

static void backward_data(sap__op_context *op) {
  int64_t classes = sap__ref_inputs(op);
  double *dx = sap__ref_gradient(op, 0);
  for (int n = 0; n < op->count; n++) {
    const double *x = (const double *)op->x[0] + n * classes;
    double shift = log_sum_exp(x, classes);
    for (int c = 0; c < classes; c++) dx[n * classes + c] += (exp(x[c] - shift) - (c == op->labels[n])) / op->batch;
  }
}

const sap__op_impl sap__ref_cross_entropy = {.keeps = SAP__KEEPS_X, .forward = forward, .backward_data = backward_data};
