/* The template: the includer defines SAP_KERNEL(name) and its instruction set by compiler flags.
 * Bound by bytes (activations lie in the second-level cache), so plain loops that the compiler
 * vectorises are enough. */
#include "engine/onednn/loops.h"

static void add_bias(float *restrict y, const float *restrict b, int64_t rows, int64_t cols) {
  for (int64_t r = 0; r < rows; r++)
    for (int64_t c = 0; c < cols; c++) y[r * cols + c] += b[c];
}

static void add_columns(const float *restrict x, int64_t stride, float *restrict sums, int64_t rows, int64_t cols) {
  for (int64_t r = 0; r < rows; r++)
    for (int64_t c = 0; c < cols; c++) sums[c] += x[r * stride + c];
}

static void relu(const float *restrict x, float *restrict y, int64_t n) {
  for (int64_t i = 0; i < n; i++) y[i] = x[i] < 0 ? 0 : x[i];
}

static void relu_backward(const float *restrict x, const float *restrict dy, float *restrict dx, int64_t n) {
  for (int64_t i = 0; i < n; i++) dx[i] = x[i] > 0 ? dy[i] : 0;
}

static void relu_backward_add(const float *restrict x, const float *restrict dy, float *restrict dx, int64_t n) {
  for (int64_t i = 0; i < n; i++) dx[i] += x[i] > 0 ? dy[i] : 0;
}

extern const sap__loops SAP_KERNEL(sap__loops);
const sap__loops SAP_KERNEL(sap__loops) = {add_bias, add_columns, relu, relu_backward, relu_backward_add};
