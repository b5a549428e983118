/* The template: the includer defines SAP_KERNEL(name) and its instruction set by compiler flags.
 * Bound by bytes. */
#include <math.h>

#include "engine/onednn/loops.h"

static void add_bias(float *restrict y, const float *restrict b, int64_t rows, int64_t cols) {
  for (int64_t r = 0; r < rows; r++)
    for (int64_t c = 0; c < cols; c++) y[r * cols + c] += b[c];
}

static void add_columns(const float *restrict x, int64_t stride, float *restrict sums, int64_t rows, int64_t cols) {
  for (int64_t r = 0; r < rows; r++)
    for (int64_t c = 0; c < cols; c++) sums[c] += x[r * stride + c];
}

#define SAP_BODY "engine/onednn/loops_body.h"
#include "engine/onednn/lanes_both.h"

extern const sap__loops SAP_KERNEL(sap__loops);
const sap__loops SAP_KERNEL(sap__loops) = {
    add_bias,
    add_columns,
    {relu_f32, relu_backward_f32, sigmoid_f32, sigmoid_backward_f32, add_f32, multiply_f32},
    {relu_bf16, relu_backward_bf16, sigmoid_bf16, sigmoid_backward_bf16, add_bf16, multiply_bf16},
};
