/* linear: y (N,O) = x (N,I) · Wᵀ + b.
 *
 * The matrix products run on the arenas' own row-major layout: oneDNN's blocked inner product is not
 * faster at these sizes once its reorders are counted, and it would copy the weights every step. */
#include <string.h>

#include "engine/onednn/compat.h"
#include "engine/onednn/loops.h"
#include "engine/onednn/onednn.h"

/* Rows a thread takes at a time in the loops between products. */
enum { ROWS = 32 };

static void forward(sap__op_context *op) {
  int64_t rows = op->batch, in = sap__onednn_inputs(op), out = sap__onednn_outputs(op);
  float *y = op->y; /* (N,O) */
  sap__dnnl_gemm('N', 'T', rows, out, in, 1, op->x, in, op->w[0], in, 0, y, out);
  const sap__loops *loops = sap__loops_active();
  const float *bias = op->w[1]; /* (O) */
#pragma omp parallel for if (rows * out > 1 << 16)
  for (int64_t r = 0; r < rows; r += ROWS) loops->add_bias(y + r * out, bias, rows - r < ROWS ? rows - r : ROWS, out);
}

static void backward(sap__op_context *op) {
  int64_t rows = op->batch, in = sap__onednn_inputs(op), out = sap__onednn_outputs(op);
  memset(op->dw[1], 0, (size_t)out * sizeof *op->dw[1]);
  sap__loops_active()->add_columns(op->dy, op->dw[1], rows, out);
  sap__dnnl_gemm('T', 'N', out, in, rows, 1, op->dy, out, op->x, in, 0, op->dw[0], in);
  if (op->dx) sap__dnnl_gemm('N', 'N', rows, in, out, 1, op->dy, out, op->w[0], in, 0, op->dx, in);
}

const sap__op_impl sap__onednn_linear = {.forward = forward, .backward = backward};
