/* Convolutions of bf16 by Winograd's F(2x2, 3x3): 16 products where a convolution makes 36, each of matrices of bf16
 * pairs with sums in float. oneDNN has Winograd's way for floats only.
 *
 *   y  = Aᵀ [(G w Gᵀ) ⊙ (Bᵀ d B)] A      of a square d of 4 x 4 pixels, two of them apart from the next, y of 2 x 2
 *   dx is the same of dy, with the weights turned around
 *   dw = Gᵀ [Σ (Bᵀ d B) ⊙ (A dy Aᵀ)] G   summed over all squares of all pictures
 *
 * What is rounded: the transformed numbers, to bf16. Their errors stay some two times those of a direct convolution of
 * bf16, whose sources are rounded already; larger squares would multiply them by ten.
 *
 * Source: A. Lavin and S. Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016.
 */
#ifndef SAP_ENGINE_ONEDNN_WINOGRAD_H
#define SAP_ENGINE_ONEDNN_WINOGRAD_H

#include "engine/onednn/primitive.h"

enum {
  SAP__WINOGRAD_POINTS = 16,  /* numbers of a transformed square */
  SAP__WINOGRAD_LANES = 16,   /* channels come in multiples of it */
  SAP__WINOGRAD_OUTPUTS = 64, /* output channels of a panel of weights, but for the last, which may be narrower */
  SAP__WINOGRAD_INPUTS = 64,  /* input channels whose gradients are summed at a time, where it may be chosen */
  SAP__WINOGRAD_ROWS = 6,     /* squares are multiplied so many at a time */
};

/* Where the pixels of a value of bf16 are, in elements. */
typedef struct sap__winograd_pixels {
  int64_t channels, height, width;
  int64_t picture, group, pixel; /* from one picture, LANES channels or pixel to the next */
} sap__winograd_pixels;

/* One pass of one convolution. */
typedef struct sap__winograd {
  sap__conv_pass pass;
  sap__winograd_pixels from, to; /* (x, y), of backward-data (dy, dx) */
  int64_t count;                 /* pictures */
  int64_t pad[2];                /* pixels around the top and left of `from` */
  int64_t high, wide;            /* squares of a picture; of gradients an even number wide, to go in pairs */
  int64_t squares;               /* of all pictures */
  int64_t block;                 /* squares in work at a time */
  int has_bias;
  size_t weight_bytes, scratch_bytes;
} sap__winograd;

/* What an instruction set does. */
typedef struct sap__winograd_kernels {
  /* (O, I, 3, 3) of the arenas into the pass's own order: panels of outputs, of (point, pair of inputs, output, 2). */
  void (*weights_in)(const sap__winograd *w, const float *weights, uint16_t *own);
  /* `to` from `from`; bias NULL: none. */
  void (*run)(const sap__winograd *w, const uint16_t *from, const uint16_t *weights, const float *bias, uint16_t *to,
              void *scratch);
  /* The gradients in an order of their own, panels of (input, 3 x 3, output), and of the bias (NULL: none). */
  void (*gradients)(const sap__winograd *w, const uint16_t *x, const uint16_t *dy, float *own, float *bias,
                    void *scratch);
  /* From that order into the arenas'. */
  void (*weights_out)(const sap__winograd *w, const float *own, float *weights);
} sap__winograd_kernels;

/* 1 if this way can do a pass: bf16, one group, 3 x 3, stride and dilation 1, channels in multiples of LANES in
 * blocks or channels-last, padding of at most 2. */
int sap__winograd_plan(sap__winograd *w, const sap__conv_problem *problem, sap__conv_pass pass);

/* 1 if the weights of two passes lie in the same order. */
int sap__winograd_same_weights(const sap__winograd *a, const sap__winograd *b);

/* For this processor; NULL if it does not multiply bf16. */
const sap__winograd_kernels *sap__winograd_active(void);

/* The same in plain C, which all of them are checked against. */
extern const sap__winograd_kernels sap__winograd_scalar;

#endif
