/* Bytes to normalised floats: one instance an instruction set. */
#ifndef SAP_DATA_PIXELS_H
#define SAP_DATA_PIXELS_H

#include <stdint.h>

/* x[i] = u[i] · scale + shift. Bound by bytes: 1 read, 4 written a pixel. */
typedef void sap__pixels_function(const uint8_t *u, float *x, int64_t n, float scale, float shift);

#endif
