/* Loops over pixels: one instance an instruction set. */
#ifndef SAP_DATA_PIXELS_H
#define SAP_DATA_PIXELS_H

#include <stdint.h>

#include "data/augment.h"

typedef struct sap__pixels {
  /* x[i] = u[i] · scale + shift. Bound by bytes: 1 read (4 of floats), 4 written a pixel. */
  void (*bytes)(const uint8_t *u, float *x, int64_t n, float scale, float shift);
  void (*floats)(const float *v, float *x, int64_t n, float scale, float shift);
  /* Rows [begin, end) of a cropped channel: from (height, width) to (end − begin, width). */
  void (*crop_bytes)(const sap__crop *crop, const void *from, int height, int width, int begin, int end, void *to);
  void (*crop_floats)(const sap__crop *crop, const void *from, int height, int width, int begin, int end, void *to);
} sap__pixels;

#endif
