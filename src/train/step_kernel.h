/* The template of the optimizer's two loops; the includer defines SAP_KERNEL(name). */
#include "train/step_table.h"

/* Lanes of partial sums: fixed, so that the order of additions does not depend on the vector's width. */
enum { LANES = 16 };

/* Σ g² in double of products in double: gradients of 1e-30 count, and 1e30 does not overflow. */
static double sum_squares(const float *restrict g, uint64_t n) {
  double sums[LANES] = {0};
  for (uint64_t i = 0; i < n; i += LANES)
    for (int k = 0; k < LANES; k++) sums[k] += (double)g[i + k] * (double)g[i + k];
  double sum = 0;
  for (int k = 0; k < LANES; k++) sum += sums[k];
  return sum;
}

/* 64 weights share one word of mask; a word of all ones, the usual case at first, needs no select. */
static void update(const sap__step *step, float *restrict w, const float *restrict g, float *restrict v,
                   const uint64_t *restrict mask, uint64_t n) {
  const float clip = step->clip, decay = step->weight_decay, momentum = step->momentum, lr = step->lr;
  for (uint64_t i = 0; i < n; i += 64) {
    uint64_t bits = mask[i / 64];
    float factor[64];
    for (int k = 0; k < 64; k++) factor[k] = bits >> k & 1 ? clip : 0.0f;
    for (int k = 0; k < 64; k++) {
      float gradient = g[i + k] * factor[k] + decay * w[i + k];
      float velocity = momentum * v[i + k] + gradient;
      v[i + k] = velocity;
      w[i + k] -= lr * (gradient + momentum * velocity);
    }
  }
}

extern const sap__step_table SAP_KERNEL(sap__step_table);
const sap__step_table SAP_KERNEL(sap__step_table) = {sum_squares, update};
