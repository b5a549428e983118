/* The pools' loops for one element type; see pool_kernel.h. */
#include "engine/onednn/lanes.h"

/* Goes over all windows of all planes. In the statement: `w`, the window; `at`, the output's place in y; x0, the
 * place of the plane's first pixel in x; `block`. */
#define POOL_EACH(...)                                                                    \
  do {                                                                                    \
    const int64_t block = in->block, planes = count * in->channels / block;               \
    for (int64_t plane = 0; plane < planes; plane++)                                      \
      for (int64_t row = 0; row < out->height; row++)                                     \
        for (int64_t column = 0; column < out->width; column++) {                         \
          const inside w = window(pool, in, row, column);                                 \
          const int64_t at = ((plane * out->height + row) * out->width + column) * block; \
          const int64_t x0 = plane * in->height * in->width * block;                      \
          __VA_ARGS__;                                                                    \
        }                                                                                 \
  } while (0)

/* Goes over the pixels of window w: `pixel` is the place in x, `place` that in the window. */
#define POOL_PIXELS(...)                                               \
  for (int64_t iy = w.top; iy < w.bottom; iy++)                        \
    for (int64_t ix = w.left; ix < w.right; ix++) {                    \
      const int64_t pixel = x0 + (iy * in->width + ix) * block + lane; \
      const int64_t place = (iy - w.y) * pool->kernel[1] + (ix - w.x); \
      (void)place;                                                     \
      __VA_ARGS__;                                                     \
    }

LANES_INLINE void TYPED(max_wide)(const sap__pool *pool, const sap__format *in, inside w, int64_t x0, int64_t block,
                                  int64_t lane, const elem *x, elem *y, uint16_t *which) {
  lanes_f best = lanes_all(-__builtin_inff());
  lanes_u found = {0};
  POOL_PIXELS({
    const lanes_f v = ELEM_LANES(x + pixel);
    const lanes_m better = lanes_above(v, best) | lanes_nan(v);
    best = lanes_pick(better, v, best);
    found = lanes_pick_bits(better, (lanes_u){0} + (uint32_t)place, found);
  });
  ELEM_WRITE(y, best);
  const lanes_h places = lanes_narrow(found);
  memcpy(which, &places, sizeof places);
}

LANES_INLINE void TYPED(max_narrow)(const sap__pool *pool, const sap__format *in, inside w, int64_t x0, int64_t block,
                                    int64_t lane, const elem *x, elem *y, uint16_t *which) {
  float best = -__builtin_inff();
  int64_t found = 0;
  POOL_PIXELS({
    float v = ELEM_GET(x[pixel]);
    if (v > best || v != v) best = v, found = place;
  });
  *y = ELEM_PUT(best);
  *which = (uint16_t)found;
}

static void TYPED(max)(const sap__pool *pool, const sap__format *in, const sap__format *out, int64_t count,
                       const void *values, void *result, uint16_t *which) {
  const elem *x = values;
  elem *y = result;
  POOL_EACH({
    int64_t lane = 0;
    for (; lane + LANES <= block; lane += LANES)
      TYPED(max_wide)(pool, in, w, x0, block, lane, x, y + at + lane, which + at + lane);
    for (; lane < block; lane++) TYPED(max_narrow)(pool, in, w, x0, block, lane, x, y + at + lane, which + at + lane);
  });
}

static void TYPED(max_backward)(const sap__pool *pool, const sap__format *in, const sap__format *out, int64_t count,
                                const uint16_t *which, const void *gradients, void *result) {
  const elem *dy = gradients;
  elem *dx = result;
  POOL_EACH({
    int64_t lane = 0;
    for (; lane + LANES <= block; lane += LANES) {
      lanes_h places;
      memcpy(&places, which + at + lane, sizeof places);
      const lanes_i found = (lanes_i)lanes_widen(places);
      const lanes_f d = ELEM_LANES(dy + at + lane);
      POOL_PIXELS(ELEM_WRITE(dx + pixel,
                             ELEM_LANES(dx + pixel) + lanes_pick(lanes_equal(found, (int32_t)place), d, (lanes_f){0})));
    }
    for (; lane < block; lane++)
      POOL_PIXELS(if (which[at + lane] == place) dx[pixel] = ELEM_PUT(ELEM_GET(dx[pixel]) + ELEM_GET(dy[at + lane])));
  });
}

LANES_INLINE void TYPED(mean_wide)(const sap__pool *pool, const sap__format *in, inside w, int64_t x0, int64_t block,
                                   int64_t lane, const elem *x, elem *y) {
  lanes_f sum = {0};
  POOL_PIXELS(sum += ELEM_LANES(x + pixel));
  ELEM_WRITE(y, sum / (float)w.area);
}

LANES_INLINE void TYPED(mean_narrow)(const sap__pool *pool, const sap__format *in, inside w, int64_t x0, int64_t block,
                                     int64_t lane, const elem *x, elem *y) {
  float sum = 0;
  POOL_PIXELS(sum += ELEM_GET(x[pixel]));
  *y = ELEM_PUT(sum / (float)w.area);
}

static void TYPED(mean)(const sap__pool *pool, const sap__format *in, const sap__format *out, int64_t count,
                        const void *values, void *result) {
  const elem *x = values;
  elem *y = result;
  POOL_EACH({
    int64_t lane = 0;
    for (; lane + LANES <= block; lane += LANES) TYPED(mean_wide)(pool, in, w, x0, block, lane, x, y + at + lane);
    for (; lane < block; lane++) TYPED(mean_narrow)(pool, in, w, x0, block, lane, x, y + at + lane);
  });
}

static void TYPED(mean_backward)(const sap__pool *pool, const sap__format *in, const sap__format *out, int64_t count,
                                 const void *gradients, void *result) {
  const elem *dy = gradients;
  elem *dx = result;
  POOL_EACH({
    int64_t lane = 0;
    for (; lane + LANES <= block; lane += LANES) {
      const lanes_f d = ELEM_LANES(dy + at + lane) / (float)w.area;
      POOL_PIXELS(ELEM_WRITE(dx + pixel, ELEM_LANES(dx + pixel) + d));
    }
    for (; lane < block; lane++) {
      const float d = ELEM_GET(dy[at + lane]) / (float)w.area;
      POOL_PIXELS(dx[pixel] = ELEM_PUT(ELEM_GET(dx[pixel]) + d));
    }
  });
}
#undef POOL_EACH
#undef POOL_PIXELS
