/* conv2d: every weight is a tap; the picture that it reads, shifted and strided, times the weight, is added to
 * the output's. */
#include "engine/ref/ref.h"

/* One weight W[o,i,ky,kx], for one picture: rows [row, row_end) and columns [col, col_end) of the output read pixel
 * (row · stride + dy, col · stride + dx) of the input, which lies inside. */
typedef struct tap {
  int64_t weight;         /* its index in W */
  int64_t in, out;        /* first pixels of channel i of the input and of channel o of the output */
  int64_t width, columns; /* pixels of a row of the input and of the output */
  int64_t row, row_end, col, col_end;
  int64_t stride[2], dy, dx;
} tap;

/* The windows on one axis that find a pixel at offset `at` of them: [*first, *end). */
static void inside(int64_t at, int64_t stride, int64_t length, int64_t windows, int64_t *first, int64_t *end) {
  *first = at < 0 ? (-at + stride - 1) / stride : 0;
  *end = at >= length ? 0 : (length - at + stride - 1) / stride;
  if (*end > windows) *end = windows;
}

/* The tap of weight number k for picture n. */
static tap find_tap(const sap__op_context *op, int64_t k, int64_t n) {
  const sap__conv2d *c = &op->node->attributes.conv2d;
  const sap__shape *in = sap__ref_input(op), *out = sap__ref_output(op);
  int64_t per_group = in->dim[0] / c->groups, area = c->kernel[0] * c->kernel[1];
  int64_t o = k / (per_group * area), i = k / area % per_group, ky = k % area / c->kernel[1], kx = k % c->kernel[1];
  int64_t channel = o / (c->out_channels / c->groups) * per_group + i;
  tap t = {.weight = k,
           .in = (n * in->dim[0] + channel) * in->dim[1] * in->dim[2],
           .out = (n * out->dim[0] + o) * out->dim[1] * out->dim[2],
           .width = in->dim[2],
           .columns = out->dim[2],
           .stride = {c->stride[0], c->stride[1]},
           .dy = ky * c->dilation[0] - c->pad[0],
           .dx = kx * c->dilation[1] - c->pad[1]};
  inside(t.dy, c->stride[0], in->dim[1], out->dim[1], &t.row, &t.row_end);
  inside(t.dx, c->stride[1], in->dim[2], out->dim[2], &t.col, &t.col_end);
  return t;
}

/* The pixel of the input that output pixel (row, 0) reads; column q reads the one q · stride[1] further. */
static int64_t in_row(const tap *t, int64_t row) { return t->in + (row * t->stride[0] + t->dy) * t->width + t->dx; }

static int64_t out_row(const tap *t, int64_t row) { return t->out + row * t->columns; }

static int64_t weights(const sap__op_context *op) { return (int64_t)op->graph->params[op->node->params[0]].count; }

static void forward(sap__op_context *op) {
  const sap__shape *out = sap__ref_output(op);
  const double *x = op->x[0];
  double *y = op->y;
  int64_t plane = out->dim[1] * out->dim[2];
  for (int64_t k = 0; k < op->count * sap__ref_outputs(op); k++)
    y[k] = op->node->attributes.conv2d.bias ? (double)op->w[1][k / plane % out->dim[0]] : 0;
  for (int64_t n = 0; n < op->count; n++)
    for (int64_t k = 0; k < weights(op); k++) {
      tap t = find_tap(op, k, n);
      double w = op->w[0][k];
      for (int64_t row = t.row; row < t.row_end; row++) {
        const double *from = x + in_row(&t, row);
        double *to = y + out_row(&t, row);
        for (int64_t q = t.col; q < t.col_end; q++) to[q] += w * from[q * t.stride[1]];
      }
    }
}

static void backward_data(sap__op_context *op) {
  const double *dy = op->dy;
  double *dx = sap__ref_gradient(op, 0);
  for (int64_t n = 0; n < op->count; n++)
    for (int64_t k = 0; k < weights(op); k++) {
      tap t = find_tap(op, k, n);
      double w = op->w[0][k];
      for (int64_t row = t.row; row < t.row_end; row++) {
        const double *from = dy + out_row(&t, row);
        double *to = dx + in_row(&t, row);
        for (int64_t q = t.col; q < t.col_end; q++) to[q * t.stride[1]] += w * from[q];
      }
    }
}

static void bias_gradient(sap__op_context *op) {
  const sap__shape *out = sap__ref_output(op);
  const double *dy = op->dy;
  int64_t plane = out->dim[1] * out->dim[2];
  for (int64_t o = 0; o < out->dim[0]; o++) {
    double sum = 0;
    for (int64_t n = 0; n < op->count; n++)
      for (int64_t p = 0; p < plane; p++) sum += dy[(n * out->dim[0] + o) * plane + p];
    op->dw[1][o] = (float)sum;
  }
}

static void backward_slice(sap__op_context *op) {
  const double *x = op->x[0], *dy = op->dy;
  for (int64_t k = 0; k < weights(op); k++) {
    double sum = 0;
    for (int64_t n = 0; n < op->count; n++) {
      tap t = find_tap(op, k, n);
      for (int64_t row = t.row; row < t.row_end; row++)
        for (int64_t q = t.col; q < t.col_end; q++)
          sum += dy[out_row(&t, row) + q] * x[in_row(&t, row) + q * t.stride[1]];
    }
    op->dw[0][k] = (float)sum;
  }
  if (op->node->attributes.conv2d.bias) bias_gradient(op);
}

const sap__op_impl sap__ref_conv2d = {
    .keeps = SAP__KEEPS_X, .forward = forward, .backward_data = backward_data, .backward_slice = backward_slice};
