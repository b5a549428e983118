/* The template; the includer defines SAP_KERNEL(name). */
#include "data/pixels.h"

sap__pixels_function SAP_KERNEL(sap__pixels);

void SAP_KERNEL(sap__pixels)(const uint8_t *restrict u, float *restrict x, int64_t n, float scale, float shift) {
  for (int64_t i = 0; i < n; i++) x[i] = (float)u[i] * scale + shift;
}
