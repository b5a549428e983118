/* relu: y = max(x, 0). */
#include "engine/onednn/loops.h"
#include "engine/onednn/onednn.h"

/* Elements a thread takes at a time. */
enum { PIECE = 1 << 14 };

static int64_t piece(int64_t n, int64_t i) { return n - i < PIECE ? n - i : PIECE; }

static void forward(sap__op_context *op) {
  const sap__loops *loops = sap__loops_active();
  int64_t n = op->batch * sap__onednn_outputs(op);
  const float *x = op->x;
  float *y = op->y;
#pragma omp parallel for if (n > 4 * PIECE)
  for (int64_t i = 0; i < n; i += PIECE) loops->relu(x + i, y + i, piece(n, i));
}

static void backward(sap__op_context *op) {
  if (!op->dx) return;
  const sap__loops *loops = sap__loops_active();
  int64_t n = op->batch * sap__onednn_outputs(op);
  const float *x = op->x, *dy = op->dy;
  float *dx = op->dx;
#pragma omp parallel for if (n > 4 * PIECE)
  for (int64_t i = 0; i < n; i += PIECE) loops->relu_backward(x + i, dy + i, dx + i, piece(n, i));
}

const sap__op_impl sap__onednn_relu = {.forward = forward, .backward = backward};
