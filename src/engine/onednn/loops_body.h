/* The element-wise loops for one element type; see loops_kernel.h. */
#include "engine/onednn/lanes.h"

/* For the k-th LANES elements, and for those left over one by one. */
#define EACH(n, wide, narrow)                  \
  do {                                         \
    int64_t k = 0;                             \
    for (; k + LANES <= (n); k += LANES) wide; \
    for (; k < (n); k++) narrow;               \
  } while (0)

static void TYPED(relu)(const void *from, void *to, int64_t n) {
  const elem *x = from;
  elem *y = to;
  EACH(
      n,
      {
        const lanes_f v = ELEM_LANES(x + k);
        ELEM_WRITE(y + k, lanes_pick(lanes_above((lanes_f){0}, v), (lanes_f){0}, v));
      },
      y[k] = ELEM_PUT(ELEM_GET(x[k]) < 0 ? 0 : ELEM_GET(x[k])));
}

static void TYPED(relu_backward)(const void *output, const void *gradient, void *to, int accumulate, int64_t n) {
  const elem *y = output, *dy = gradient;
  elem *dx = to;
  EACH(
      n,
      {
        const lanes_f d = lanes_pick(lanes_above(ELEM_LANES(y + k), (lanes_f){0}), ELEM_LANES(dy + k), (lanes_f){0});
        ELEM_WRITE(dx + k, accumulate ? ELEM_LANES(dx + k) + d : d);
      },
      {
        const float d = ELEM_GET(y[k]) > 0 ? ELEM_GET(dy[k]) : 0;
        dx[k] = ELEM_PUT(accumulate ? ELEM_GET(dx[k]) + d : d);
      });
}

static void TYPED(sigmoid)(const void *from, void *to, int64_t n) {
  const elem *x = from;
  elem *y = to;
  for (int64_t k = 0; k < n; k++) y[k] = ELEM_PUT(1 / (1 + expf(-ELEM_GET(x[k]))));
}

static void TYPED(sigmoid_backward)(const void *output, const void *gradient, void *to, int accumulate, int64_t n) {
  const elem *y = output, *dy = gradient;
  elem *dx = to;
  for (int64_t k = 0; k < n; k++) {
    const float s = ELEM_GET(y[k]), d = ELEM_GET(dy[k]) * s * (1 - s);
    dx[k] = ELEM_PUT(accumulate ? ELEM_GET(dx[k]) + d : d);
  }
}

static void TYPED(add)(const void *left, const void *right, void *to, int64_t n) {
  const elem *a = left, *b = right;
  elem *y = to;
  EACH(n, ELEM_WRITE(y + k, ELEM_LANES(a + k) + ELEM_LANES(b + k)), y[k] = ELEM_PUT(ELEM_GET(a[k]) + ELEM_GET(b[k])));
}

static void TYPED(multiply)(const void *from, const float *factors, void *to, int accumulate, int64_t n) {
  const elem *x = from;
  elem *y = to;
  for (int64_t k = 0; k < n; k++) y[k] = ELEM_PUT(ELEM_GET(x[k]) * factors[k] + (accumulate ? ELEM_GET(y[k]) : 0));
}
#undef EACH
