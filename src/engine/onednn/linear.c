/* linear: y (N,O) = x (N,I) · Wᵀ + b.
 *
 * The matrix products run on the arenas' own row-major layout: oneDNN's blocked inner product is not
 * faster at these sizes once its reorders are counted, and it would copy the weights every step. */
#include <string.h>

#include "engine/onednn/compat.h"
#include "engine/onednn/loops.h"
#include "engine/onednn/onednn.h"

static void forward(sap__op_context *op) {
  int64_t in = sap__onednn_inputs(op), out = sap__onednn_outputs(op);
  sap__dnnl_gemm('N', 'T', op->count, out, in, 1, op->x[0], in, op->w[0], in, 0, op->y, out);
  if (op->node->attributes.linear.bias) sap__loops_active()->add_bias(op->y, op->w[1], op->count, out);
}

static void backward_data(sap__op_context *op) {
  int64_t in = sap__onednn_inputs(op), out = sap__onednn_outputs(op);
  sap__dnnl_gemm('N', 'N', op->count, in, out, 1, op->dy, out, op->w[0], in, (float)op->accumulate[0], op->dx[0], in);
}

/* The parts are ranges of outputs, of whole cache lines. */
static void backward_weights(const sap__op_context *op, int part, int parts) {
  int64_t in = sap__onednn_inputs(op), out = sap__onednn_outputs(op);
  int64_t lines = (out + 15) / 16, first = lines * part / parts * 16, last = lines * (part + 1) / parts * 16;
  if (last > out) last = out;
  if (first >= last) return;
  const float *dy = (const float *)op->dy + first; /* (N,O) from column `first` */
  float *dw = op->dw[0] + first * in;
  if (op->node->attributes.linear.bias) {
    float *db = op->dw[1] + first;
    memset(db, 0, (size_t)(last - first) * sizeof *db);
    sap__loops_active()->add_columns(dy, out, db, op->count, last - first);
  }
  sap__dnnl_gemm('T', 'N', last - first, in, op->count, 1, dy, out, op->x[0], in, 0, dw, in);
}

const sap__op_impl sap__onednn_linear = {.keeps = SAP__KEEPS_X | SAP__KEEPS_WHOLE,

                                         .forward = forward,
                                         .backward_data = backward_data,
                                         .backward_weights = backward_weights};
