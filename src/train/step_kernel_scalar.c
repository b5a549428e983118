/* The optimizer's loops as they are written down: the reference, and the fallback. */
#include "train/step_table.h"

static double sum_squares(const float *g, uint64_t n) {
  double sum = 0;
  for (uint64_t i = 0; i < n; i++) sum += (double)g[i] * (double)g[i];
  return sum;
}

static void update(const sap__step *step, float *w, const float *g, float *v, const uint64_t *mask, uint64_t n) {
  for (uint64_t i = 0; i < n; i++) {
    int kept = (int)(mask[i / 64] >> i % 64 & 1);
    float gradient = (kept ? g[i] * step->clip : 0) + step->weight_decay * w[i];
    v[i] = step->momentum * v[i] + gradient;
    w[i] -= step->lr * (gradient + step->momentum * v[i]);
  }
}

extern const sap__step_table sap__step_table_scalar;
const sap__step_table sap__step_table_scalar = {sum_squares, update};
