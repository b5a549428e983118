/* The kernels beside the convolution, which read and write activations once: one table an instruction set.
 *
 * Channels are independent: every kernel works on channels [first, last), so that threads can share them out.
 */
#ifndef SAP_RUNTIME_KERNELS_PASS_H
#define SAP_RUNTIME_KERNELS_PASS_H

#include <stddef.h>
#include <stdint.h>

#include "base/kernels.h"
#include "runtime/kernels/conv.h"

/* How an expanded vector is made from a picture. */
typedef enum sap__expand_way {
  SAP__EXPAND_SHIFT,  /* a vector of the picture from sources[v] on */
  SAP__EXPAND_EVENS,  /* every second float: half a vector from sources[2v] on, half from sources[2v + 1] on */
  SAP__EXPAND_GATHER, /* lane k from sources[v × lanes + k] */
  /* Where kernels look floats up in registers: of two vectors, one of which has a 0 in each lane, lane k is number
   * places[(2v + i) × lanes + k] of the floats from sources[2v + i] on. */
  SAP__EXPAND_WINDOWS
} sap__expand_way;

/* Vectors [first, last) of a channel. */
typedef struct sap__run {
  int first, last;
} sap__run;

/* The copies of a picture that a convolution reads: shifted, strided, with zeros where its windows leave the picture.
 * Before copying, x becomes scale · x + shift, clamped at 0 if relu. */
typedef struct sap__expand_job {
  sap__expand_way way;
  const sap__run *runs; /* of the vectors of a channel, all copies: those to make */
  int run_count;
  const int32_t *sources;     /* floats from the beginning of the channel; may lie outside where bits are 0 */
  const uint8_t *places;      /* WINDOWS: below the kernels' window, or that: 0 */
  const uint16_t *bits;       /* (vectors): lanes that are pixels; the others become 0 */
  int64_t from, to;           /* floats between channels */
  const float *scale, *shift; /* (channels); NULL: as it is */
  int relu;
} sap__expand_job;

/* Elementwise over channels of `rows` rows of `length` floats. */
typedef struct sap__grid {
  int rows;
  int64_t length;
  sap__strides x, residual, y;
} sap__grid;

/* A pooling window over one layout: pixels are `pixel` floats apart and computed together. */
typedef struct sap__window_job {
  int height, width, out_height, out_width;
  int kernel[2], stride[2], pad[2];     /* pad: top, left */
  int average;                          /* 0: the largest */
  int count_include_pad, bottom, right; /* averages: divide by the window cut at height + bottom, width + right */
  sap__strides x, y;
} sap__window_job;

typedef struct sap__pass_kernels {
  void (*expand)(const sap__expand_job *job, const float *x, float *y, int first, int last);
  /* y = scale · x + shift, clamped if relu; scale NULL: x. */
  void (*affine)(const sap__grid *grid, const float *scale, const float *shift, int relu, const float *x, float *y,
                 int first, int last);
  /* The same where channels lie in blocks of as many as there are lanes; [first, last) are blocks. */
  void (*affine_blocks)(const sap__grid *grid, const float *scale, const float *shift, int relu, const float *x,
                        float *y, int first, int last);
  void (*add)(const sap__grid *grid, int relu, const float *x, const float *residual, float *y, int first, int last);
  void (*sigmoid)(const sap__grid *grid, const float *x, float *y, int first, int last);
  /* One picture, one float a pixel; and as many pictures as there are lanes, one vector a pixel. */
  void (*pool_picture)(const sap__window_job *job, const float *x, float *y, int first, int last);
  void (*pool_lanes)(const sap__window_job *job, const float *x, float *y, int first, int last);
  /* Means of all pixels: y[channel], and y[channel][lane]. */
  void (*mean_picture)(const sap__grid *grid, const float *x, float *y, int first, int last);
  void (*mean_lanes)(const sap__grid *grid, const float *x, float *y, int first, int last);
  /* (count, channels, rows, width) to lanes innermost, lanes from count on 0. grid->length: width; `picture`: floats
   * between pictures of x. */
  void (*interleave)(const sap__grid *grid, int64_t picture, int count, const float *x, float *y, int first, int last);
  /* The way back, of the first `count` lanes; `picture`: floats between pictures of y. */
  void (*separate)(const sap__grid *grid, int64_t picture, int count, const float *x, float *y, int first, int last);
} sap__pass_kernels;

SAP__KERNELS_DECLARE(const sap__pass_kernels, sap__pass);

static inline const sap__pass_kernels *sap__pass_kernels_active(void) { return SAP__KERNELS_ACTIVE(sap__pass); }

#endif
