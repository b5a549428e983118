/* Element-wise loops between matrix products and convolutions: one template, one instance an instruction set. */
#ifndef SAP_ENGINE_ONEDNN_LOOPS_H
#define SAP_ENGINE_ONEDNN_LOOPS_H

#include <stdint.h>

/* Of activations of one element type, n of them. Where `accumulate` is set, dx is added to. y may be x, and dx dy. */
typedef struct sap__elementwise {
  /* y = max(x, 0); a NaN passes through */
  void (*relu)(const void *x, void *y, int64_t n);
  /* dx = y > 0 ? dy : 0 */
  void (*relu_backward)(const void *y, const void *dy, void *dx, int accumulate, int64_t n);
  /* y = 1 / (1 + exp(−x)), and dx = dy · y · (1 − y) */
  void (*sigmoid)(const void *x, void *y, int64_t n);
  void (*sigmoid_backward)(const void *y, const void *dy, void *dx, int accumulate, int64_t n);
  /* y = a + b */
  void (*add)(const void *a, const void *b, void *y, int64_t n);
  /* y = x · factors, which are floats, or added to y */
  void (*multiply)(const void *x, const float *factors, void *y, int accumulate, int64_t n);
} sap__elementwise;

typedef struct sap__loops {
  /* y (rows,cols) += b (cols) */
  void (*add_bias)(float *y, const float *b, int64_t rows, int64_t cols);
  /* sums (cols) += Σ over rows of x (rows,cols), whose rows lie `stride` apart */
  void (*add_columns)(const float *x, int64_t stride, float *sums, int64_t rows, int64_t cols);
  sap__elementwise f32, bf16;
} sap__loops;

/* The table for the instruction set in use. */
const sap__loops *sap__loops_active(void);

/* Those for elements of `bytes` (4: float, 2: bf16). */
static inline const sap__elementwise *sap__elementwise_active(int bytes) {
  return bytes == 2 ? &sap__loops_active()->bf16 : &sap__loops_active()->f32;
}

#endif
