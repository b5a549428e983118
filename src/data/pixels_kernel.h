/* The template; the includer defines SAP_KERNEL(name). Plain loops: the compiler's vectors reach the memory's limit. */
#include "data/pixels.h"

static void bytes(const uint8_t *restrict u, float *restrict x, int64_t n, float scale, float shift) {
  for (int64_t i = 0; i < n; i++) x[i] = (float)u[i] * scale + shift;
}

static void floats(const float *restrict v, float *restrict x, int64_t n, float scale, float shift) {
  for (int64_t i = 0; i < n; i++) x[i] = v[i] * scale + shift;
}

static void mirror_bytes(const uint8_t *restrict from, uint8_t *restrict to, int64_t n) {
  for (int64_t i = 0; i < n; i++) to[i] = from[n - 1 - i];
}

static void mirror_floats(const float *restrict from, float *restrict to, int64_t n) {
  for (int64_t i = 0; i < n; i++) to[i] = from[n - 1 - i];
}

extern const sap__pixels SAP_KERNEL(sap__pixels);
const sap__pixels SAP_KERNEL(sap__pixels) = {bytes, floats, mirror_bytes, mirror_floats};
