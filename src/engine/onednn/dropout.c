/* dropout: y = x · factor, dx = dy · factor. The factors are drawn again on the walk back. */
#include "engine/dropout.h"

#include "engine/onednn/loops.h"
#include "engine/onednn/onednn.h"

/* A picture's factors, in the order of its values' format: drawn in that of (C,H,W). */
static void draw(const sap__op_context *op, int picture, float *factors) {
  const sap__format *f = &op->y_format;
  const int64_t pixels = sap__format_pixels(f);
  sap__random random = sap__dropout_stream(op, picture);
  for (int64_t c = 0; c < f->channels; c++)
    for (int64_t p = 0; p < pixels; p++)
      factors[(c / f->block * pixels + p) * f->block + c % f->block] =
          (float)sap__dropout_factor(&random, op->node->attributes.dropout.rate);
}

static sap_status prepare(sap__op_context *op, sap_error *err) {
  (void)err;
  op->scratch_bytes = (size_t)sap__onednn_outputs(op) * sizeof(float);
  return SAP_OK;
}

static void multiply(const sap__op_context *op, const void *from, void *to, int accumulate) {
  const size_t picture = sap__format_bytes(&op->y_format);
  float *factors = op->scratch;
  for (int n = 0; n < op->count; n++) {
    draw(op, n, factors);
    sap__elementwise_active(op->y_format.bytes)
        ->multiply((const char *)from + (size_t)n * picture, factors, (char *)to + (size_t)n * picture, accumulate,
                   sap__onednn_outputs(op));
  }
}

static void forward(sap__op_context *op) {
  if (op->training)
    multiply(op, op->x[0], op->y, 0);
  else if (op->x[0] != op->y)
    sap__format_copy(&op->y_format, &op->y_format, op->count, op->x[0], op->y, 0);
}

static void backward_data(sap__op_context *op) { multiply(op, op->dy, op->dx[0], op->accumulate[0]); }

const sap__op_impl sap__onednn_dropout = {
    .in_place = 1, .prepare = prepare, .forward = forward, .backward_data = backward_data};
