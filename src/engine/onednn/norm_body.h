/* Batch norm's loops for one element type; see norm_kernel.h. Channels go LANES at a time where a block holds that
 * many (blocked and channels-last), and one by one elsewhere. */
#include "engine/onednn/lanes.h"

/* Rows of a pass: float sums stay exact enough, and channels-last rows stay in the first-level cache while the
 * passes go through their channels. */
#define NORM_ROWS(block) ((block) <= 64 ? 256 : 16384 / (block) + 1)

/* Calls the two loops for all channels of all pictures: `wide` for LANES channels from c on, whose pixels lie
 * `stride` apart, `narrow` for channel c alone; `at` is the first pixel's place in the value. */
#define NORM_EACH(f, count, wide, narrow)                                                                          \
  do {                                                                                                             \
    const int64_t block = (f)->block, pixels = sap__format_pixels(f), chunk = NORM_ROWS(block);                    \
    for (int64_t plane = 0, planes = (count) * (f)->channels / block; plane < planes; plane++)                     \
      for (int64_t row = 0; row < pixels; row += chunk) {                                                          \
        const int64_t rows = pixels - row < chunk ? pixels - row : chunk, first = plane % ((f)->channels / block); \
        int64_t lane = 0;                                                                                          \
        for (; lane + LANES <= block; lane += LANES) {                                                             \
          const int64_t at = (plane * pixels + row) * block + lane, c = first * block + lane;                      \
          wide;                                                                                                    \
        }                                                                                                          \
        for (; lane < block; lane++) {                                                                             \
          const int64_t at = (plane * pixels + row) * block + lane, c = first * block + lane;                      \
          narrow;                                                                                                  \
        }                                                                                                          \
      }                                                                                                            \
  } while (0)

LANES_INLINE void TYPED(add_lanes)(double *sums, lanes_f x) {
  for (int i = 0; i < LANES; i++) sums[i] += (double)x[i];
}

LANES_INLINE void TYPED(statistics_wide)(const elem *x, int64_t rows, int64_t stride, const float *around, double *sum,
                                         double *square) {
  const lanes_f middle = lanes_read(around);
  lanes_f s0 = {0}, s1 = {0}, q0 = {0}, q1 = {0};
  int64_t r = 0;
  for (; r + 2 <= rows; r += 2, x += 2 * stride) {
    lanes_f a = ELEM_LANES(x) - middle, b = ELEM_LANES(x + stride) - middle;
    s0 += a, s1 += b, q0 += a * a, q1 += b * b;
  }
  if (r < rows) {
    lanes_f a = ELEM_LANES(x) - middle;
    s0 += a, q0 += a * a;
  }
  TYPED(add_lanes)(sum, s0 + s1);
  TYPED(add_lanes)(square, q0 + q1);
}

LANES_INLINE void TYPED(statistics_narrow)(const elem *x, int64_t rows, int64_t stride, float around, double *sum,
                                           double *square) {
  for (int64_t r = 0; r < rows; r++) {
    double a = (double)ELEM_GET(x[r * stride]) - (double)around;
    *sum += a, *square += a * a;
  }
}

static void TYPED(statistics)(const sap__format *f, int64_t count, const void *values, const float *around, double *sum,
                              double *square) {
  const elem *x = values;
  NORM_EACH(f, count, TYPED(statistics_wide)(x + at, rows, block, around + c, sum + c, square + c),
            TYPED(statistics_narrow)(x + at, rows, block, around[c], sum + c, square + c));
}

LANES_INLINE void TYPED(forward_wide)(const elem *x, int64_t rows, int64_t stride, const sap__norm_map *map, int64_t c,
                                      elem *y, int relu) {
  const lanes_f scale = lanes_read(map->scale + c), shift = lanes_read(map->shift + c), zero = {0};
  for (int64_t r = 0; r < rows; r++, x += stride, y += stride) {
    lanes_f out = ELEM_LANES(x) * scale + shift;
    ELEM_WRITE(y, relu ? lanes_pick(lanes_above(zero, out), zero, out) : out);
  }
}

LANES_INLINE void TYPED(forward_narrow)(const elem *x, int64_t rows, int64_t stride, const sap__norm_map *map,
                                        int64_t c, elem *y) {
  for (int64_t r = 0; r < rows; r++) {
    float out = ELEM_GET(x[r * stride]) * map->scale[c] + map->shift[c];
    y[r * stride] = ELEM_PUT(map->relu && out < 0 ? 0 : out);
  }
}

static void TYPED(forward)(const sap__format *f, int64_t count, const void *values, const sap__norm_map *map,
                           void *out) {
  const elem *x = values;
  elem *y = out;
  if (map->relu)
    NORM_EACH(f, count, TYPED(forward_wide)(x + at, rows, block, map, c, y + at, 1),
              TYPED(forward_narrow)(x + at, rows, block, map, c, y + at));
  else
    NORM_EACH(f, count, TYPED(forward_wide)(x + at, rows, block, map, c, y + at, 0),
              TYPED(forward_narrow)(x + at, rows, block, map, c, y + at));
}

/* dy where the output counts. */
LANES_INLINE lanes_f TYPED(gate)(lanes_f x, lanes_f dy, lanes_f scale, lanes_f shift, int relu) {
  return relu ? lanes_pick(lanes_above(x * scale + shift, (lanes_f){0}), dy, (lanes_f){0}) : dy;
}
LANES_INLINE float TYPED(gate_one)(float x, float dy, const sap__norm_map *map, int64_t c) {
  return map->relu && !(x * map->scale[c] + map->shift[c] > 0) ? 0 : dy;
}

LANES_INLINE void TYPED(backward_statistics_wide)(const elem *x, const elem *dy, int64_t rows, int64_t stride,
                                                  const sap__norm_map *map, int64_t c, double *sum, double *product,
                                                  int relu) {
  const lanes_f scale = lanes_read(map->scale + c), shift = lanes_read(map->shift + c),
                mean = lanes_read(map->mean + c);
  lanes_f s0 = {0}, s1 = {0}, p0 = {0}, p1 = {0};
  int64_t r = 0;
  for (; r + 2 <= rows; r += 2, x += 2 * stride, dy += 2 * stride) {
    lanes_f a = ELEM_LANES(x), b = ELEM_LANES(x + stride);
    lanes_f ga = TYPED(gate)(a, ELEM_LANES(dy), scale, shift, relu);
    lanes_f gb = TYPED(gate)(b, ELEM_LANES(dy + stride), scale, shift, relu);
    s0 += ga, s1 += gb, p0 += ga * (a - mean), p1 += gb * (b - mean);
  }
  if (r < rows) {
    lanes_f a = ELEM_LANES(x), ga = TYPED(gate)(a, ELEM_LANES(dy), scale, shift, relu);
    s0 += ga, p0 += ga * (a - mean);
  }
  TYPED(add_lanes)(sum + c, s0 + s1);
  TYPED(add_lanes)(product + c, p0 + p1);
}

LANES_INLINE void TYPED(backward_statistics_narrow)(const elem *x, const elem *dy, int64_t rows, int64_t stride,
                                                    const sap__norm_map *map, int64_t c, double *sum, double *product) {
  for (int64_t r = 0; r < rows; r++) {
    float a = ELEM_GET(x[r * stride]), g = TYPED(gate_one)(a, ELEM_GET(dy[r * stride]), map, c);
    sum[c] += (double)g, product[c] += (double)g * ((double)a - (double)map->mean[c]);
  }
}

static void TYPED(backward_statistics)(const sap__format *f, int64_t count, const void *values, const void *gradients,
                                       const sap__norm_map *map, double *sum, double *product) {
  const elem *x = values, *dy = gradients;
  if (map->relu)
    NORM_EACH(f, count, TYPED(backward_statistics_wide)(x + at, dy + at, rows, block, map, c, sum, product, 1),
              TYPED(backward_statistics_narrow)(x + at, dy + at, rows, block, map, c, sum, product));
  else
    NORM_EACH(f, count, TYPED(backward_statistics_wide)(x + at, dy + at, rows, block, map, c, sum, product, 0),
              TYPED(backward_statistics_narrow)(x + at, dy + at, rows, block, map, c, sum, product));
}

LANES_INLINE void TYPED(backward_wide)(const elem *x, const elem *dy, int64_t rows, int64_t stride,
                                       const sap__norm_map *map, int64_t c, elem *dx, int relu, int accumulate) {
  const lanes_f scale = lanes_read(map->scale + c), shift = lanes_read(map->shift + c),
                mean = lanes_read(map->mean + c);
  const lanes_f slope = lanes_read(map->slope + c), offset = lanes_read(map->offset + c);
  for (int64_t r = 0; r < rows; r++, x += stride, dy += stride, dx += stride) {
    lanes_f a = ELEM_LANES(x), g = TYPED(gate)(a, ELEM_LANES(dy), scale, shift, relu);
    lanes_f d = g * scale + ((a - mean) * slope + offset);
    ELEM_WRITE(dx, accumulate ? ELEM_LANES(dx) + d : d);
  }
}

LANES_INLINE void TYPED(backward_narrow)(const elem *x, const elem *dy, int64_t rows, int64_t stride,
                                         const sap__norm_map *map, int64_t c, elem *dx, int accumulate) {
  for (int64_t r = 0; r < rows; r++) {
    float a = ELEM_GET(x[r * stride]), g = TYPED(gate_one)(a, ELEM_GET(dy[r * stride]), map, c);
    float d = g * map->scale[c] + ((a - map->mean[c]) * map->slope[c] + map->offset[c]);
    dx[r * stride] = ELEM_PUT(accumulate ? ELEM_GET(dx[r * stride]) + d : d);
  }
}

static void TYPED(backward)(const sap__format *f, int64_t count, const void *values, const void *gradients,
                            const sap__norm_map *map, void *out, int accumulate) {
  const elem *x = values, *dy = gradients;
  elem *dx = out;
#define NORM_BACKWARD(relu, add)                                                                      \
  NORM_EACH(f, count, TYPED(backward_wide)(x + at, dy + at, rows, block, map, c, dx + at, relu, add), \
            TYPED(backward_narrow)(x + at, dy + at, rows, block, map, c, dx + at, add))
  if (map->relu && accumulate)
    NORM_BACKWARD(1, 1);
  else if (map->relu)
    NORM_BACKWARD(1, 0);
  else if (accumulate)
    NORM_BACKWARD(0, 1);
  else
    NORM_BACKWARD(0, 0);
#undef NORM_BACKWARD
}
#undef NORM_EACH
#undef NORM_ROWS
