/* Resizing a picture to a square while it is decoded, row by row: the shorter side becomes the square's, what the
 * longer one has more is cut off at both ends.
 *
 * Triangle filter as wide as the reduction, so that nothing is skipped: what torchvision's Resize(side, antialias=True)
 * and CenterCrop(side) do. A picture that already has the size stays as it is. Memory: the square and one row, whatever
 * the size of the picture.
 */
#ifndef SAP_DATA_SCALE_H
#define SAP_DATA_SCALE_H

#include <stddef.h>
#include <stdint.h>

#include "sapwood/status.h"

/* For each of `side` places of the result the weights of places first[i] … of the source; they sum to 1. */
typedef struct sap__scale_axis {
  uint32_t *first, *count; /* (side) */
  float *weights;          /* (side, most) */
  uint32_t most;
  int plain; /* 1: places first[0], first[0] + 1, … as they are */
} sap__scale_axis;

typedef struct sap__scaler {
  int side;     /* set by the caller, who zeroes the rest */
  int channels; /* of the rows: 1 or 3 */
  uint32_t row; /* rows received */
  uint32_t low; /* the first row of the result that is not complete */
  sap__scale_axis x, y;
  float *line; /* (side, channels): the row just received, resized */
  float *sums; /* (side, side, channels) */
} sap__scaler;

/* Takes memory for a picture of that size, whose decoder hands over ⌈height / reduced⌉ rows of ⌈width / reduced⌉
 * pixels. One picture after another may use a scaler. SAP_ERROR_MEMORY. */
sap_status sap__scaler_begin(sap__scaler *scaler, uint32_t width, uint32_t height, uint32_t reduced, int channels,
                             sap_error *err) SAP_WARN_UNUSED;

/* The next row, (pixels, channels). */
void sap__scaler_row(sap__scaler *scaler, const uint8_t *row);

/* The result as (channels, side, side); 1 of 3 channels is the luma 0.299 R + 0.587 G + 0.114 B, 3 of 1 repeat it. */
void sap__scaler_end(const sap__scaler *scaler, int channels, uint8_t *pixels);

void sap__scaler_free(sap__scaler *scaler);

#endif
