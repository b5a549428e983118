/* cross_entropy: softmax and the mean negative log likelihood.
 * The forward pass leaves softmax(x) in the op's state for the backward pass. */
#include <math.h>

#include "base/error.h"
#include "base/memory.h"
#include "engine/onednn/onednn.h"

static sap_status prepare(sap__op_context *op, sap_error *err) {
  size_t count = (size_t)op->count * (size_t)sap__onednn_inputs(op);
  op->state = sap__alloc(count, sizeof(float));
  return op->state ? SAP_OK : sap__fail_memory(err, count * sizeof(float));
}

/* softmax(x) into p; returns -log p[label]. Losses are in double: their mean must not lose digits. */
static double softmax(const float *x, int classes, int label, float *p) {
  float max = x[0], sum = 0;
  for (int c = 1; c < classes; c++) max = x[c] > max ? x[c] : max;
  for (int c = 0; c < classes; c++) sum += p[c] = expf(x[c] - max);
  for (int c = 0; c < classes; c++) p[c] /= sum;
  return log((double)sum) - ((double)x[label] - max);
}

static void forward(sap__op_context *op) {
  int classes = (int)sap__onednn_inputs(op);
  op->loss = (sap__loss){0, 0};
  for (int n = 0; n < op->count; n++) {
    const float *x = (const float *)op->x[0] + (int64_t)n * classes; /* (classes) */
    int label = op->labels[n], best = 0;
    for (int c = 1; c < classes; c++) best = x[c] > x[best] ? c : best;
    op->loss.sum += softmax(x, classes, label, (float *)op->state + (int64_t)n * classes);
    op->loss.correct += best == label;
  }
}

static void backward_data(sap__op_context *op) {
  int64_t classes = sap__onednn_inputs(op), count = op->count * classes;
  const float *p = op->state;
  float *dx = op->dx[0], scale = 1.0f / (float)op->batch;
  for (int64_t i = 0; i < count; i++) dx[i] = p[i] * scale + (op->accumulate[0] ? dx[i] : 0);
  for (int n = 0; n < op->count; n++) dx[n * classes + op->labels[n]] -= scale;
}

static void release(sap__op_context *op) { sap__free(op->state); }

const sap__op_impl sap__onednn_cross_entropy = {
    .prepare = prepare, .forward = forward, .backward_data = backward_data, .release = release};
