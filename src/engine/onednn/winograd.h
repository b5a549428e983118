/* 3x3 convolutions of stride 1 by Winograd's algorithm: F(4x4, 3x3) of floats makes 36 products where a direct one
 * makes 144, F(2x2, 3x3) of bf16, with sums in float, 16 where that makes 36. oneDNN has the first in version 2 with
 * AVX-512 alone, and the second nowhere.
 *
 *   y  = Aᵀ [(G w Gᵀ) ⊙ (Bᵀ d B)] A      of squares d of y's side plus 2 pixels, which overlap by 2
 *   dx is the same of dy, with the weights turned around
 *   dw = Gᵀ [Σ (Bᵀ d B) ⊙ (A dy Aᵀ)] G   summed over all squares of all pictures
 *
 * What is rounded to bf16 are the transformed numbers. Their errors are two and a half times those of a direct
 * convolution of bf16, whose sources are rounded already; squares of 4 x 4 would make it six times or more.
 *
 * Source: A. Lavin and S. Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016.
 */
#ifndef SAP_ENGINE_ONEDNN_WINOGRAD_H
#define SAP_ENGINE_ONEDNN_WINOGRAD_H

#include "engine/onednn/primitive.h"

enum {
  SAP__WINOGRAD_ROWS = 6,    /* squares are multiplied so many at a time */
  SAP__WINOGRAD_INPUTS = 64, /* input channels whose gradients are summed at a time, where it may be chosen */
};

/* Where the pixels of a value are, in elements. */
typedef struct sap__winograd_pixels {
  int64_t channels, height, width;
  int64_t block;                 /* of channels that lie together */
  int64_t picture, plane, pixel; /* from one picture, block or pixel to the next */
} sap__winograd_pixels;

/* One pass of one convolution. */
typedef struct sap__winograd {
  sap__conv_pass pass;
  sap__winograd_pixels from, to; /* (x, y), of backward-data (dy, dx) */
  int64_t pad[2];                /* pixels around the top and left of `from` */
  int64_t high, wide;            /* squares of a picture; of gradients in whole words, to be summed in pairs of bf16 */
  int64_t squares;               /* of all pictures */
  int64_t block;                 /* squares in work at a time */
  int has_bias;
  size_t weight_bytes, scratch_bytes;
} sap__winograd;

/* From one point's weights of a panel to the next's, in elements of so many bytes: more than there are, since at a
 * distance of whole pages all points, which are written together, up to 4 KiB each, would contend for the same few
 * places of the caches. */
static inline int64_t sap__winograd_weights_apart(int64_t count, int64_t bytes) { return count + 4160 / bytes; }

/* What an instruction set does for a type. Activations are of `bytes`, 2 for bf16 or 4 for float. */
typedef struct sap__winograd_kernels {
  const char *name;
  int bytes;
  int side;    /* of the squares of the result */
  int lanes;   /* channels come in multiples of it */
  int outputs; /* channels of a panel of weights, but for the last, which may be narrower */

  /* (O, I, 3, 3) of the arenas into the pass's own order: panels of outputs, of (point, word of inputs, output, inputs
   * of a word). */
  void (*weights_in)(const sap__winograd *w, const float *weights, void *own);
  /* `to` from `from`; bias NULL: none. */
  void (*run)(const sap__winograd *w, const void *from, const void *weights, const float *bias, void *to,
              void *scratch);
  /* The gradients in an order of their own, panels of (input, 3 x 3, output), and of the bias (NULL: none). */
  void (*gradients)(const sap__winograd *w, const void *x, const void *dy, float *own, float *bias, void *scratch);
  /* From that order into the arenas'. */
  void (*weights_out)(const sap__winograd *w, const float *own, float *weights);
} sap__winograd_kernels;

/* For activations of so many bytes on this processor; NULL if it does not multiply bf16. */
const sap__winograd_kernels *sap__winograd_active(int bytes);

/* 1 if those can do a pass: one group, 3 x 3, stride and dilation 1, channels and their blocks in multiples of the
 * lanes, padding of at most 2. */
int sap__winograd_plan(sap__winograd *w, const sap__winograd_kernels *kernels, const sap__conv_problem *problem,
                       sap__conv_pass pass);

/* 1 if the weights of two passes by the same kernels lie in the same order. */
int sap__winograd_same_weights(const sap__winograd *a, const sap__winograd *b);

/* bf16 in plain C, which the fast one is checked against. */
extern const sap__winograd_kernels sap__winograd_bf16_scalar;

#endif
