/* The sparse convolution, written once; conv_<set>.c includes this and names the table. */
#include "runtime/kernels/conv.h"
#include "runtime/kernels/lanes.h"

/* Loops over the vectors of a tile have constant bounds and must vanish, or the sums live in memory. */
#define UNROLL _Pragma("GCC unroll 64")

/* Writes a tile of sums. */
SIMD_INLINE void put(float *to, int64_t row, int relu, int rows, int columns, const vfloat *sums) {
  UNROLL
  for (int r = 0; r < rows; r++) UNROLL
  for (int c = 0; c < columns; c++) {
    vfloat sum = sums[r * columns + c];
    lanes_store(to + r * row + c * SIMD_LANES, relu ? lanes_relu(sum) : sum);
  }
}

/* What sums begin with: the bias, or what the weights before have left. */
SIMD_INLINE void begin(const sap__conv_job *job, const sap__tile_at *at, int64_t channel, int rows, int columns,
                       vfloat *sums) {
  const sap__strides *strides = at->y ? &job->y : &job->twin;
  const float *left = (at->y ? at->y : at->twin) + channel * strides->channel;
  vfloat bias = simd_all(job->bias[channel]);
  UNROLL
  for (int r = 0; r < rows; r++) UNROLL
  for (int c = 0; c < columns; c++)
    sums[r * columns + c] = job->resume ? lanes_load(left + r * strides->row + c * SIMD_LANES) : bias;
}

/* Leaves sums for the weights that follow. */
SIMD_INLINE void leave(const sap__conv_job *job, const sap__tile_at *at, int64_t channel, int rows, int columns,
                       const vfloat *sums) {
  if (at->y)
    put(at->y + channel * job->y.channel, job->y.row, 0, rows, columns, sums);
  else
    put(at->twin + channel * job->twin.channel, job->twin.row, 0, rows, columns, sums);
}

/* Bias is in the sums already. y and twin are written where the layer has them. */
SIMD_INLINE void finish(const sap__conv_job *job, const sap__tile_at *at, int64_t channel, int rows, int columns,
                        vfloat *sums) {
  if (at->residual) {
    const float *residual = at->residual + channel * job->residual.channel;
    UNROLL
    for (int r = 0; r < rows; r++) UNROLL
    for (int c = 0; c < columns; c++)
      sums[r * columns + c] += lanes_load(residual + r * job->residual.row + c * SIMD_LANES);
  }
  if (at->y) put(at->y + channel * job->y.channel, job->y.row, job->relu, rows, columns, sums);
  if (at->twin) {
    vfloat scale = simd_all(job->twin_scale[channel]), shift = simd_all(job->twin_shift[channel]);
    UNROLL
    for (int k = 0; k < rows * columns; k++) sums[k] = sums[k] * scale + shift;
    put(at->twin + channel * job->twin.channel, job->twin.row, job->twin_relu, rows, columns, sums);
  }
}

/* One weight into the sums of a tile. */
SIMD_INLINE void add(vfloat *sums, float weight, const float *x, int64_t row, int rows, int columns, int stride) {
  vfloat w = simd_all(weight);
  UNROLL
  for (int r = 0; r < rows; r++) UNROLL
  for (int c = 0; c < columns; c++) sums[r * columns + c] += w * lanes_load(x + r * row + c * stride * SIMD_LANES);
}

/* Inlined with constant sizes, so that all loops over rows, columns and chains unroll. */
SIMD_INLINE void tile(const sap__conv_job *job, const sap__tile_at *at, int first, int last, int rows, int columns,
                      int stride, int chains) {
  const float *x = at->x;
  const int64_t x_row = job->x_row;
  for (int i = first; i < last; i++) {
    const sap__weight_row *row = &job->rows[i];
    const sap__weight *w = job->weights + row->start, *end = w + row->count;
    vfloat sums[16 * 4];
    begin(job, at, row->channel, rows, columns, sums);
    UNROLL
    for (int k = rows * columns; k < rows * columns * chains; k++) sums[k] = (vfloat){0};
    for (; end - w >= chains; w += chains) {
      if (chains > 1) __builtin_prefetch(w + SAP__WEIGHTS_AHEAD); /* few vectors a weight: memory is what takes time */
      UNROLL
      for (int k = 0; k < chains; k++)
        add(sums + k * rows * columns, w[k].value, x + w[k].offset, x_row, rows, columns, stride);
    }
    for (; w < end; w++) add(sums, w->value, x + w->offset, x_row, rows, columns, stride);
    UNROLL
    for (int k = 1; k < chains; k++) UNROLL
    for (int j = 0; j < rows * columns; j++) sums[j] += sums[k * rows * columns + j];
    if (job->suspend)
      leave(job, at, row->channel, rows, columns, sums);
    else
      finish(job, at, row->channel, rows, columns, sums);
  }
}

#define TILE(r, c, s, u)                                                                                   \
  static void tile_##r##x##c##_stride##s(const sap__conv_job *job, sap__tile_at at, int first, int last) { \
    tile(job, &at, first, last, r, c, s, u);                                                               \
  }
SAP__TILE_LIST(TILE)
#undef TILE

/* What the lanes of step s multiply. */
SIMD_INLINE vfloat inputs(const sap__gather_rows *rows, const float *x, size_t s) {
#if LANES_WINDOW
  return lanes_choose(x + rows->bases[s], rows->places + s * SIMD_LANES);
#else
  return lanes_gather(x, rows->offsets + s * SIMD_LANES);
#endif
}

/* Four steps in flight: looking inputs up takes long, and each sum waits for its last. */
static void gather(const sap__gather_job *job, const sap__gather_rows *rows, const float *x, const float *residual,
                   float *y, int first, int last) {
  for (int g = first; g < last; g++) {
    const float *w = rows->values;
    size_t s = rows->starts[g], end = rows->starts[g + 1];
    vfloat sums[4] = {lanes_load(rows->bias + (size_t)g * SIMD_LANES)};
    for (; s + 4 <= end; s += 4) UNROLL
    for (size_t k = 0; k < 4; k++) sums[k] += lanes_load(w + (s + k) * SIMD_LANES) * inputs(rows, x, s + k);
    for (; s < end; s++) sums[0] += lanes_load(w + s * SIMD_LANES) * inputs(rows, x, s);
    float found[SIMD_LANES];
    lanes_store(found, (sums[0] + sums[1]) + (sums[2] + sums[3]));
    const int32_t *channels = rows->channels + (size_t)g * SIMD_LANES;
    int used = rows->count - g * SIMD_LANES < SIMD_LANES ? rows->count - g * SIMD_LANES : SIMD_LANES;
    for (int k = 0; k < used; k++) {
      float value = residual ? found[k] + residual[channels[k] * job->residual_channel] : found[k];
      y[channels[k]] = job->relu && value < 0 ? 0 : value;
    }
  }
}

#define TILE_ROW(r, c, s, u) {r, c, s, u, tile_##r##x##c##_stride##s},
#define CONV_KERNELS(most) \
  { SIMD_LANES, most, LANES_WINDOW, {SAP__TILE_LIST(TILE_ROW)}, gather }
