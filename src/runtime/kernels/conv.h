/* The sparse convolution kernels: one table an instruction set.
 *
 * The weights of an output channel are a row: values, and for each the distance from where a tile begins in the
 * input to what the weight multiplies. The layout of the input makes that one shifted read of consecutive vectors,
 * so a weight costs one broadcast and one multiply-add a vector: no coordinates, no bounds, no gathers.
 *
 * A tile is R rows of C vectors of the output. The accumulators of one row of weights and one tile stay in
 * registers; the epilogue adds bias and residual, clamps, and writes what the next layers want to read.
 */
#ifndef SAP_RUNTIME_KERNELS_CONV_H
#define SAP_RUNTIME_KERNELS_CONV_H

#include <stddef.h>
#include <stdint.h>

#include "base/kernels.h"

/* A weight and what it multiplies. Both are in one place, so that a kernel reads one stream. */
typedef struct sap__weight {
  float value;
  int32_t offset; /* floats from the beginning of a tile in the input */
} sap__weight;

/* The weights of one output channel. */
typedef struct sap__weight_row {
  int32_t channel; /* of the output */
  int32_t count;   /* weights */
  uint32_t start;  /* the first of them */
} sap__weight_row;

/* One layer's weights for one layout. The input's channels are cut into blocks, so that what a tile reads of one stays
 * in the first cache while all outputs take their weights of it. In a block, rows of equal length follow each other, so
 * that loops end predictably. */
typedef struct sap__weight_rows {
  int count, blocks;     /* rows are the outputs; each has its part in every block */
  sap__weight_row *rows; /* (blocks, count) each thread's share by rising length */
  sap__weight *weights;  /* in a block of the schedule's */
} sap__weight_rows;

/* How far ahead kernels ask for weights; so many there are behind the last. */
enum { SAP__WEIGHTS_AHEAD = 256 };

/* A buffer that tiles are written to or read from: floats from one channel and one row of the picture to the next. */
typedef struct sap__strides {
  int64_t channel, row;
} sap__strides;

/* What every tile of a layer shares. */
typedef struct sap__conv_job {
  const sap__weight_row *rows;
  const sap__weight *weights;
  const float *bias; /* (channels) */
  int64_t x_row;     /* floats between the input's rows that neighbouring output rows begin at */
  sap__strides y, residual, twin;
  int relu;                             /* y is clamped at 0 */
  const float *twin_scale, *twin_shift; /* (channels): twin = scale · y + shift, of y before its own clamp */
  int twin_relu;
  int resume, suspend; /* the weights are not a layer's first: sums begin with what lies in y, else twin; not its last:
                        * sums are left there as they are */
} sap__conv_job;

/* Where one tile lies: the first float of channel 0. residual, twin and y may be NULL: none. */
typedef struct sap__tile_at {
  const float *x, *residual;
  float *y, *twin;
} sap__tile_at;

/* Computes the tile for rows [first, last) of the job's. */
typedef void sap__tile_run(const sap__conv_job *job, sap__tile_at at, int first, int last);

/* Every tile: X(rows, columns, column stride in vectors, chains). Chains are independent sums of the same outputs:
 * small tiles need several, as one sum waits for the last. */
/* clang-format off */
#define SAP__TILE_LIST(X)                                                                               \
  X(1, 1, 1, 4) X(1, 2, 1, 4) X(1, 3, 1, 3) X(1, 4, 1, 2) X(1, 5, 1, 2) X(1, 6, 1, 1) X(1, 7, 1, 1)     \
  X(1, 8, 1, 1) X(1, 9, 1, 1) X(1, 10, 1, 1) X(1, 11, 1, 1) X(1, 12, 1, 1) X(1, 14, 1, 1) X(1, 16, 1, 1) \
  X(2, 2, 1, 2) X(2, 3, 1, 1) X(2, 4, 1, 1) X(2, 5, 1, 1) X(2, 6, 1, 1) X(2, 7, 1, 1) X(2, 8, 1, 1)     \
  X(3, 3, 1, 1) X(4, 4, 1, 1)                                                                           \
  X(1, 2, 2, 4) X(1, 3, 2, 3) X(1, 4, 2, 2) X(1, 5, 2, 2) X(1, 6, 2, 1) X(1, 7, 2, 1) X(1, 8, 2, 1)     \
  X(2, 2, 2, 2) X(2, 3, 2, 1) X(2, 4, 2, 1) X(2, 5, 2, 1) X(2, 6, 2, 1) X(2, 7, 2, 1) X(2, 8, 2, 1)     \
  X(3, 3, 2, 1) X(4, 4, 2, 1)
/* clang-format on */

typedef struct sap__tile {
  int rows, columns, stride, chains;
  sap__tile_run *run;
} sap__tile;

enum {
#define SAP__TILE_ONE(r, c, s, u) +1
  SAP__TILE_COUNT = SAP__TILE_LIST(SAP__TILE_ONE)
#undef SAP__TILE_ONE
};

/* A fully connected layer, lanes across its outputs: groups of `lanes` rows, interleaved. In a step every lane takes a
 * weight of its row or, for lack of one, a 0 that multiplies a 0. Kernels that look inputs up in registers have all
 * lanes of a step read from the same few floats: bases and places. The others read offsets. */
typedef struct sap__gather_rows {
  int count;         /* outputs */
  int groups;        /* of `lanes` rows */
  int32_t *channels; /* (count): output of each lane; the last group's last lanes may have none */
  float *bias;       /* (groups × lanes) */
  uint32_t *starts;  /* (groups + 1): first step of a group */
  float *values;     /* (steps, lanes) */
  int32_t *bases;    /* (steps) floats into x */
  uint8_t *places;   /* (steps, lanes) floats from the base on; the kernels' window: reads 0 */
  int32_t *offsets;  /* (steps, lanes) floats into x */
} sap__gather_rows;

/* y[channel] = Σ w · x + bias + residual, clamped at 0 if relu. residual_channel: floats between its channels. */
typedef struct sap__gather_job {
  int64_t residual_channel;
  int relu;
} sap__gather_job;

typedef struct sap__conv_kernels {
  int lanes;        /* floats of a vector */
  int accumulators; /* vectors of sums that stay in registers */
  int window;       /* floats of x that the lanes of a step of `gather` choose from; 0: all */
  sap__tile tiles[SAP__TILE_COUNT];
  /* Groups [first, last); residual NULL: none. */
  void (*gather)(const sap__gather_job *job, const sap__gather_rows *rows, const float *x, const float *residual,
                 float *y, int first, int last);
} sap__conv_kernels;

SAP__KERNELS_DECLARE(const sap__conv_kernels, sap__conv);

/* The table for sap_cpu_active(). */
static inline const sap__conv_kernels *sap__conv_kernels_active(void) { return SAP__KERNELS_ACTIVE(sap__conv); }

#endif
