/* Batch norm's loops over memory: one table an element type and instruction set.
 *
 * Each function goes over `count` pictures of format f. Arrays a channel long are float or, where they are sums,
 * double. `relu` != 0: y is max(0, …), so that dy counts only where the output is positive; the output is worked out
 * again from x, which is cheaper than reading it.
 */
#ifndef SAP_ENGINE_ONEDNN_NORM_H
#define SAP_ENGINE_ONEDNN_NORM_H

#include "engine/format.h"

/* The affine map of a batch norm, y = x · scale + shift, and what its gradient needs: with g = dy (where the output
 * counts), dx = g · scale + (x − mean) · slope + offset. */
typedef struct sap__norm_map {
  const float *scale, *shift, *mean, *slope, *offset; /* (channels) */
  int relu;
} sap__norm_map;

typedef struct sap__norm {
  /* sum[c] += Σ (x − around[c]), square[c] += Σ (x − around[c])² */
  void (*statistics)(const sap__format *f, int64_t count, const void *x, const float *around, double *sum,
                     double *square);
  /* y = x · scale + shift */
  void (*forward)(const sap__format *f, int64_t count, const void *x, const sap__norm_map *map, void *y);
  /* sum[c] += Σ g, product[c] += Σ g · (x − mean[c]) */
  void (*backward_statistics)(const sap__format *f, int64_t count, const void *x, const void *dy,
                              const sap__norm_map *map, double *sum, double *product);
  /* dx, or added to dx */
  void (*backward)(const sap__format *f, int64_t count, const void *x, const void *dy, const sap__norm_map *map,
                   void *dx, int accumulate);
} sap__norm;

/* Of floats, and of bf16. */
typedef sap__norm sap__norm_pair[2];

/* The table for elements of `bytes` (4: float, 2: bf16) and the instruction set in use. */
const sap__norm *sap__norm_active(int bytes);

#endif
