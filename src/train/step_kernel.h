/* The template of the optimizer's two loops; the includer defines SAP_KERNEL(name).
 * Bound by bytes: 4 read an element for the sum; 12 read and 8 written for the update. */
#include "base/simd.h"
#include "train/step_table.h"

/* Partial sums of doubles, as many for every instruction set: enough to hide the adders' latency. */
enum { SUMS = 32 / SIMD_LANES };

/* Σ g² of squares in double: gradients of 1e-30 count, and 1e30 does not overflow. */
static double sum_squares(const float *g, uint64_t n) {
  vdouble sums[2 * SUMS] = {{0}};
  for (uint64_t i = 0; i < n; i += 32)
    for (int k = 0; k < SUMS; k++) {
      vfloat x = simd_float(simd_load_u(g + i + k * SIMD_LANES));
      vdouble low = simd_low(x), high = simd_high(x);
      sums[2 * k] = simd_fma_d(low, low, sums[2 * k]);
      sums[2 * k + 1] = simd_fma_d(high, high, sums[2 * k + 1]);
    }
  double sum = 0;
  for (int k = 0; k < 2 * SUMS; k++) sum += simd_sum_d(sums[k]);
  return sum;
}

static void update(const sap__step *step, float *w, const float *g, float *v, const uint64_t *mask, uint64_t n) {
  const vfloat clip = simd_all(step->clip), decay = simd_all(step->weight_decay);
  const vfloat momentum = simd_all(step->momentum), lr = simd_all(step->lr);
  for (uint64_t i = 0; i < n; i += 64) {
    uint64_t bits = mask[i / 64];
    for (uint64_t k = i; k < i + 64; k += SIMD_LANES, bits >>= SIMD_LANES) {
      vfloat weight = simd_float(simd_load_u(w + k)), velocity = simd_float(simd_load_u(v + k));
      vfloat gradient = simd_float(simd_keep(simd_load_u(g + k), bits & ((1u << SIMD_LANES) - 1)));
      gradient = simd_fma(gradient, clip, decay * weight);
      velocity = simd_fma(momentum, velocity, gradient);
      weight = simd_fnma(lr, simd_fma(momentum, velocity, gradient), weight);
      memcpy(v + k, &velocity, sizeof velocity);
      memcpy(w + k, &weight, sizeof weight);
    }
  }
}

extern const sap__step_table SAP_KERNEL(sap__step_table);
const sap__step_table SAP_KERNEL(sap__step_table) = {sum_squares, update};
