/* The passes over activations, written once; pass_<set>.c includes this and names the table. Plain loops over
 * floats are left to the compiler, which has the set's flags. */
#include <math.h>

#include "runtime/kernels/lanes.h"
#include "runtime/kernels/pass.h"

SIMD_INLINE vfloat expand_one(const int32_t *sources, const uint8_t *places, sap__expand_way way, const float *x,
                              int v) {
#if LANES_WINDOW
  if (way == SAP__EXPAND_WINDOWS) {
    const uint8_t *at = places + (size_t)v * 2 * SIMD_LANES;
    return (vfloat)((vuint)lanes_choose(x + sources[2 * v], at) |
                    (vuint)lanes_choose(x + sources[2 * v + 1], at + SIMD_LANES));
  }
#else
  (void)places;
#endif
  if (way == SAP__EXPAND_SHIFT) return lanes_load(x + sources[v]);
  if (way == SAP__EXPAND_GATHER) return lanes_gather(x, sources + (size_t)v * SIMD_LANES);
  return lanes_evens(lanes_load(x + sources[2 * v]), lanes_load(x + sources[2 * v + 1]));
}

/* What the loop reads of the job is in variables: y might lie over it, as far as the compiler knows. */
SIMD_INLINE void expand_channel(const sap__expand_job *job, sap__expand_way way, int scaled, int relu, const float *x,
                                float *y, float scale, float shift) {
  const int32_t *sources = job->sources;
  const uint16_t *bits = job->bits;
  const uint8_t *places = job->places;
  const vfloat scales = simd_all(scale), shifts = simd_all(shift);
  for (int r = 0; r < job->run_count; r++)
    for (int v = job->runs[r].first, last = job->runs[r].last; v < last; v++) {
      vfloat value = expand_one(sources, places, way, x, v);
      if (scaled) value = value * scales + shifts;
      if (relu) value = lanes_relu(value);
      lanes_store(y + (size_t)v * SIMD_LANES, (vfloat)simd_keep((vuint)value, bits[v]));
    }
}

/* A loop of its own for the two usual cases. */
SIMD_INLINE void expand_way(const sap__expand_job *job, sap__expand_way way, const float *x, float *y, float scale,
                            float shift) {
  if (!job->scale && !job->relu)
    expand_channel(job, way, 0, 0, x, y, scale, shift);
  else if (job->scale && job->relu)
    expand_channel(job, way, 1, 1, x, y, scale, shift);
  else
    expand_channel(job, way, job->scale != NULL, job->relu, x, y, scale, shift);
}

#ifdef LANES_PERMUTE
/* GATHER from a channel that is one vector: from a register. */
static void expand_vector(const sap__expand_job *job, const float *x, float *y, float scale, float shift) {
  const int32_t *sources = job->sources;
  const uint16_t *bits = job->bits;
  vfloat value = lanes_load(x);
  if (job->scale) value = value * simd_all(scale) + simd_all(shift);
  if (job->relu) value = lanes_relu(value);
  for (int r = 0; r < job->run_count; r++)
    for (int v = job->runs[r].first, last = job->runs[r].last; v < last; v++)
      lanes_store(y + (size_t)v * SIMD_LANES,
                  (vfloat)simd_keep((vuint)lanes_permute(value, sources + (size_t)v * SIMD_LANES), bits[v]));
}
#endif

static void expand(const sap__expand_job *job, const float *x, float *y, int first, int last) {
  for (int c = first; c < last; c++) {
    const float *from = x + c * job->from, scale = job->scale ? job->scale[c] : 1;
    float *to = y + c * job->to, shift = job->scale ? job->shift[c] : 0;
#ifdef LANES_PERMUTE
    if (job->way == SAP__EXPAND_GATHER && job->from == SIMD_LANES) {
      expand_vector(job, from, to, scale, shift);
      continue;
    }
#endif
    if (job->way == SAP__EXPAND_SHIFT)
      expand_way(job, SAP__EXPAND_SHIFT, from, to, scale, shift);
    else if (job->way == SAP__EXPAND_EVENS)
      expand_way(job, SAP__EXPAND_EVENS, from, to, scale, shift);
    else if (job->way == SAP__EXPAND_WINDOWS)
      expand_way(job, SAP__EXPAND_WINDOWS, from, to, scale, shift);
    else
      expand_way(job, SAP__EXPAND_GATHER, from, to, scale, shift);
  }
}

static inline float relu_one(float x) { return x < 0 ? 0 : x; }

static void affine(const sap__grid *grid, const float *scale, const float *shift, int relu, const float *x, float *y,
                   int first, int last) {
  for (int c = first; c < last; c++)
    for (int r = 0; r < grid->rows; r++) {
      const float *from = x + c * grid->x.channel + r * grid->x.row, a = scale ? scale[c] : 1, b = scale ? shift[c] : 0;
      float *restrict to = y + c * grid->y.channel + r * grid->y.row;
      for (int64_t i = 0; i < grid->length; i++) {
        float value = scale ? from[i] * a + b : from[i];
        to[i] = relu ? relu_one(value) : value;
      }
    }
}

static void affine_blocks(const sap__grid *grid, const float *scale, const float *shift, int relu, const float *x,
                          float *y, int first, int last) {
  for (int c = first; c < last; c++) {
    vfloat a = lanes_load(scale + c * SIMD_LANES), b = lanes_load(shift + c * SIMD_LANES);
    for (int r = 0; r < grid->rows; r++) {
      const float *from = x + c * grid->x.channel + r * grid->x.row;
      float *to = y + c * grid->y.channel + r * grid->y.row;
      for (int64_t i = 0; i < grid->length; i += SIMD_LANES) {
        vfloat value = lanes_load(from + i) * a + b;
        lanes_store(to + i, relu ? lanes_relu(value) : value);
      }
    }
  }
}

static void add(const sap__grid *grid, int relu, const float *x, const float *residual, float *y, int first, int last) {
  for (int c = first; c < last; c++)
    for (int r = 0; r < grid->rows; r++) {
      const float *a = x + c * grid->x.channel + r * grid->x.row;
      const float *b = residual + c * grid->residual.channel + r * grid->residual.row;
      float *restrict to = y + c * grid->y.channel + r * grid->y.row;
      for (int64_t i = 0; i < grid->length; i++) to[i] = relu ? relu_one(a[i] + b[i]) : a[i] + b[i];
    }
}

static void sigmoid(const sap__grid *grid, const float *x, float *y, int first, int last) {
  for (int c = first; c < last; c++)
    for (int r = 0; r < grid->rows; r++) {
      const float *from = x + c * grid->x.channel + r * grid->x.row;
      float *to = y + c * grid->y.channel + r * grid->y.row;
      for (int64_t i = 0; i < grid->length; i++) to[i] = 1 / (1 + expf(-from[i]));
    }
}

/* The pixels [*from, *to) of a window on one axis, and how many it counts with its padding. */
static inline int window(int position, int kernel, int stride, int pad, int length, int after, int *from, int *to) {
  int start = position * stride - pad, end = start + kernel;
  int counted = (end < length + after ? end : length + after) - start;
  *from = start < 0 ? 0 : start;
  *to = end < length ? end : length;
  return counted;
}

/* Takes x into the largest so far; a NaN stays. */
static inline float larger(float best, float x) { return x > best || x != x ? x : best; }

static float pool_pixel(const sap__window_job *job, const float *x, int from_y, int to_y, int from_x, int to_x,
                        int counted) {
  float best = -INFINITY, sum = 0;
  for (int iy = from_y; iy < to_y; iy++)
    for (int ix = from_x; ix < to_x; ix++) {
      float value = x[iy * job->x.row + ix];
      sum += value;
      best = larger(best, value);
    }
  return job->average ? sum / (float)counted : best;
}

/* The commonest window, two by two side by side. */
static void pool_halves(const sap__window_job *job, const float *x, float *restrict y) {
  for (int r = 0; r < job->out_height; r++) {
    const float *a = x + 2 * r * job->x.row, *b = a + job->x.row;
    float *restrict to = y + r * job->y.row;
    for (int c = 0; c < job->out_width; c++)
      to[c] = larger(larger(a[2 * c], a[2 * c + 1]), larger(b[2 * c], b[2 * c + 1]));
  }
}

static int is_halves(const sap__window_job *job) {
  return !job->average && job->kernel[0] == 2 && job->kernel[1] == 2 && job->stride[0] == 2 && job->stride[1] == 2 &&
         job->pad[0] == 0 && job->pad[1] == 0 && 2 * job->out_height <= job->height && 2 * job->out_width <= job->width;
}

static void pool_picture(const sap__window_job *job, const float *x, float *y, int first, int last) {
  int halves = is_halves(job);
  for (int c = first; c < last; c++) {
    const float *from = x + c * job->x.channel;
    float *to = y + c * job->y.channel;
    if (halves) {
      pool_halves(job, from, to);
      continue;
    }
    for (int r = 0; r < job->out_height; r++)
      for (int k = 0; k < job->out_width; k++) {
        int y0, y1, x0, x1;
        int high = window(r, job->kernel[0], job->stride[0], job->pad[0], job->height, job->bottom, &y0, &y1);
        int wide = window(k, job->kernel[1], job->stride[1], job->pad[1], job->width, job->right, &x0, &x1);
        int counted = job->count_include_pad ? high * wide : (y1 - y0) * (x1 - x0);
        to[r * job->y.row + k] = pool_pixel(job, from, y0, y1, x0, x1, counted);
      }
  }
}

static vfloat pool_vector(const sap__window_job *job, const float *x, int from_y, int to_y, int from_x, int to_x,
                          int counted) {
  vfloat best = simd_all(-INFINITY), sum = {0};
  for (int iy = from_y; iy < to_y; iy++)
    for (int ix = from_x; ix < to_x; ix++) {
      vfloat value = lanes_load(x + iy * job->x.row + ix * SIMD_LANES);
      vuint take = (vuint)(value > best) | (vuint)(value != value);
      sum += value;
      best = (vfloat)(((vuint)value & take) | ((vuint)best & ~take));
    }
  return job->average ? sum / simd_all((float)counted) : best;
}

static void pool_lanes(const sap__window_job *job, const float *x, float *y, int first, int last) {
  for (int c = first; c < last; c++)
    for (int r = 0; r < job->out_height; r++)
      for (int k = 0; k < job->out_width; k++) {
        int y0, y1, x0, x1;
        int high = window(r, job->kernel[0], job->stride[0], job->pad[0], job->height, job->bottom, &y0, &y1);
        int wide = window(k, job->kernel[1], job->stride[1], job->pad[1], job->width, job->right, &x0, &x1);
        int counted = job->count_include_pad ? high * wide : (y1 - y0) * (x1 - x0);
        lanes_store(y + c * job->y.channel + r * job->y.row + k * SIMD_LANES,
                    pool_vector(job, x + c * job->x.channel, y0, y1, x0, x1, counted));
      }
}

static void mean_picture(const sap__grid *grid, const float *x, float *y, int first, int last) {
  float count = (float)grid->rows * (float)grid->length;
  for (int c = first; c < last; c++) {
    float sums[8] = {0};
    for (int r = 0; r < grid->rows; r++) {
      const float *from = x + c * grid->x.channel + r * grid->x.row;
      for (int64_t i = 0; i < grid->length; i++) sums[i & 7] += from[i];
    }
    for (int i = 1; i < 8; i++) sums[0] += sums[i];
    y[c * grid->y.channel] = sums[0] / count;
  }
}

static void mean_lanes(const sap__grid *grid, const float *x, float *y, int first, int last) {
  vfloat count = simd_all((float)grid->rows * (float)(grid->length / SIMD_LANES));
  for (int c = first; c < last; c++) {
    vfloat sum = {0};
    for (int r = 0; r < grid->rows; r++)
      for (int64_t i = 0; i < grid->length; i += SIMD_LANES)
        sum += lanes_load(x + c * grid->x.channel + r * grid->x.row + i);
    lanes_store(y + c * grid->y.channel, sum / count);
  }
}

static void interleave(const sap__grid *grid, int64_t picture, int count, const float *x, float *y, int first,
                       int last) {
  for (int c = first; c < last; c++)
    for (int r = 0; r < grid->rows; r++) {
      const float *from = x + c * grid->x.channel + r * grid->x.row;
      float *restrict to = y + c * grid->y.channel + r * grid->y.row;
      for (int64_t i = 0; i < grid->length; i++)
        for (int k = 0; k < SIMD_LANES; k++) to[i * SIMD_LANES + k] = k < count ? from[k * picture + i] : 0;
    }
}

static void separate(const sap__grid *grid, int64_t picture, int count, const float *x, float *y, int first, int last) {
  for (int c = first; c < last; c++)
    for (int r = 0; r < grid->rows; r++) {
      const float *from = x + c * grid->x.channel + r * grid->x.row;
      for (int k = 0; k < count; k++) {
        float *restrict to = y + k * picture + c * grid->y.channel + r * grid->y.row;
        for (int64_t i = 0; i < grid->length; i++) to[i] = from[i * SIMD_LANES + k];
      }
    }
}

#define PASS_KERNELS                                                                                             \
  {                                                                                                              \
    expand, affine, affine_blocks, add, sigmoid, pool_picture, pool_lanes, mean_picture, mean_lanes, interleave, \
        separate                                                                                                 \
  }
