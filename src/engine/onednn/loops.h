/* Element-wise loops between matrix products: one template, one instance an instruction set. */
#ifndef SAP_ENGINE_ONEDNN_LOOPS_H
#define SAP_ENGINE_ONEDNN_LOOPS_H

#include <stdint.h>

typedef struct sap__loops {
  /* y (rows,cols) += b (cols) */
  void (*add_bias)(float *y, const float *b, int64_t rows, int64_t cols);
  /* sums (cols) += Σ over rows of x (rows,cols), whose rows lie `stride` apart */
  void (*add_columns)(const float *x, int64_t stride, float *sums, int64_t rows, int64_t cols);
  /* y = max(x, 0) over n elements; a NaN passes through */
  void (*relu)(const float *x, float *y, int64_t n);
  /* dx = x > 0 ? dy : 0 */
  void (*relu_backward)(const float *x, const float *dy, float *dx, int64_t n);
  /* dx += x > 0 ? dy : 0 */
  void (*relu_backward_add)(const float *x, const float *dy, float *dx, int64_t n);
} sap__loops;

/* The table for the instruction set in use. */
const sap__loops *sap__loops_active(void);

#endif
