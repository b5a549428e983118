/* Loops over a row of pixels: one instance an instruction set. */
#ifndef SAP_DATA_PIXELS_H
#define SAP_DATA_PIXELS_H

#include <stdint.h>

typedef struct sap__pixels {
  /* x[i] = u[i] · scale + shift. Bound by bytes: 1 read (4 of floats), 4 written a pixel. */
  void (*bytes)(const uint8_t *u, float *x, int64_t n, float scale, float shift);
  void (*floats)(const float *v, float *x, int64_t n, float scale, float shift);
  /* to[i] = from[n − 1 − i] */
  void (*mirror_bytes)(const uint8_t *from, uint8_t *to, int64_t n);
  void (*mirror_floats)(const float *from, float *to, int64_t n);
} sap__pixels;

#endif
