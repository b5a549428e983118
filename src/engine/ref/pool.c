/* max_pool and avg_pool: the windows of each plane (one channel of one picture). */
#include "engine/ref/ref.h"

/* Where a window of the output lies on the input, cut to the picture; `area` counts it with its padding. */
typedef struct window {
  int64_t top, bottom, left, right; /* [top, bottom) × [left, right) */
  int64_t area;
} window;

static int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }

static window window_at(const sap__op_context *op, int64_t row, int64_t col) {
  const sap__pool *p = &op->node->attributes.pool;
  const sap__shape *in = sap__ref_input(op);
  int64_t top = row * p->stride[0] - p->pad[0], left = col * p->stride[1] - p->pad[1];
  /* With `ceil` the last window may reach over the padding: that part counts nowhere. */
  int64_t bottom = min(top + p->kernel[0], in->dim[1] + p->pad[2]);
  int64_t right = min(left + p->kernel[1], in->dim[2] + p->pad[3]);
  return (window){.top = max(top, 0),
                  .bottom = min(bottom, in->dim[1]),
                  .left = max(left, 0),
                  .right = min(right, in->dim[2]),
                  .area = (bottom - top) * (right - left)};
}

/* Calls visit for every window: x and dx are the plane it lies on, y and dy its own number. */
static void each_window(sap__op_context *op, double *dx,
                        void (*visit)(const sap__op_context *op, window at, const double *x, double *dx, int64_t y)) {
  const sap__shape *in = sap__ref_input(op), *out = sap__ref_output(op);
  int64_t plane = in->dim[1] * in->dim[2], y = 0;
  for (int64_t k = 0; k < op->count * in->dim[0]; k++)
    for (int64_t row = 0; row < out->dim[1]; row++)
      for (int64_t col = 0; col < out->dim[2]; col++)
        visit(op, window_at(op, row, col), (const double *)op->x[0] + k * plane, dx ? dx + k * plane : NULL, y++);
}

/* The first of the largest, in reading order; a NaN is larger than anything. */
static int64_t largest(const sap__op_context *op, window w, const double *x) {
  int64_t width = sap__ref_input(op)->dim[2], best = w.top * width + w.left;
  for (int64_t row = w.top; row < w.bottom; row++)
    for (int64_t col = w.left; col < w.right; col++)
      if (x[row * width + col] > x[best] || x[row * width + col] != x[row * width + col]) best = row * width + col;
  return best;
}

static void max_window(const sap__op_context *op, window w, const double *x, double *dx, int64_t y) {
  (void)dx;
  ((double *)op->y)[y] = x[largest(op, w, x)];
}

static void max_window_back(const sap__op_context *op, window w, const double *x, double *dx, int64_t y) {
  dx[largest(op, w, x)] += ((const double *)op->dy)[y];
}

static double divisor(const sap__op_context *op, window w) {
  return (double)(op->node->attributes.pool.count_include_pad ? w.area : (w.bottom - w.top) * (w.right - w.left));
}

static void avg_window(const sap__op_context *op, window w, const double *x, double *dx, int64_t y) {
  (void)dx;
  int64_t width = sap__ref_input(op)->dim[2];
  double sum = 0;
  for (int64_t row = w.top; row < w.bottom; row++)
    for (int64_t col = w.left; col < w.right; col++) sum += x[row * width + col];
  ((double *)op->y)[y] = sum / divisor(op, w);
}

static void avg_window_back(const sap__op_context *op, window w, const double *x, double *dx, int64_t y) {
  (void)x;
  int64_t width = sap__ref_input(op)->dim[2];
  for (int64_t row = w.top; row < w.bottom; row++)
    for (int64_t col = w.left; col < w.right; col++)
      dx[row * width + col] += ((const double *)op->dy)[y] / divisor(op, w);
}

static void max_forward(sap__op_context *op) { each_window(op, NULL, max_window); }
static void max_backward(sap__op_context *op) { each_window(op, sap__ref_gradient(op, 0), max_window_back); }
static void avg_forward(sap__op_context *op) { each_window(op, NULL, avg_window); }
static void avg_backward(sap__op_context *op) { each_window(op, sap__ref_gradient(op, 0), avg_window_back); }

const sap__op_impl sap__ref_max_pool = {.keeps = SAP__KEEPS_X, .forward = max_forward, .backward_data = max_backward};
const sap__op_impl sap__ref_avg_pool = {.forward = avg_forward, .backward_data = avg_backward};
