#include "engine/format.h"

#include <string.h>

#include "tensor/widen.h"

static double get(const void *x, int bytes, int64_t i) {
  if (bytes == 8) return ((const double *)x)[i];
  if (bytes == 4) return (double)((const float *)x)[i];
  uint32_t bits = sap__bf16_bits(((const uint16_t *)x)[i]);
  float f;
  memcpy(&f, &bits, sizeof f);
  return (double)f;
}

/* To the nearest, ties to even; a NaN stays one. */
static uint16_t bf16_of(float f) {
  uint32_t bits;
  memcpy(&bits, &f, sizeof bits);
  return (uint16_t)((f != f ? bits | 0x400000 : bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static void put(void *y, int bytes, int64_t i, double value) {
  if (bytes == 8)
    ((double *)y)[i] = value;
  else if (bytes == 4)
    ((float *)y)[i] = (float)value;
  else
    ((uint16_t *)y)[i] = bf16_of((float)value);
}

/* The place of channel c, pixel p of a picture. */
static int64_t place(const sap__format *f, int64_t c, int64_t p) {
  return (c / f->block * sap__format_pixels(f) + p) * f->block + c % f->block;
}

double sap__format_get(const sap__format *f, const void *picture, int64_t c, int64_t p) {
  return get(picture, f->bytes, place(f, c, p));
}

void sap__format_copy(const sap__format *from, const sap__format *to, int64_t count, const void *x, void *y,
                      int accumulate) {
  if (!accumulate && sap__format_same(from, to)) {
    memcpy(y, x, (size_t)count * sap__format_bytes(from));
    return;
  }
  /* Features are as the other side would be row-major. */
  sap__format a = *from, b = *to;
  if (a.channels < b.channels) b = a, b.bytes = to->bytes, b.block = 1;
  if (b.channels < a.channels) a = b, a.bytes = from->bytes, a.block = 1;
  const int64_t picture = sap__format_count(&a), pixels = sap__format_pixels(&a);
  for (int64_t n = 0; n < count; n++)
    for (int64_t c = 0; c < a.channels; c++)
      for (int64_t p = 0; p < pixels; p++) {
        const int64_t i = n * picture + place(&a, c, p), k = n * picture + place(&b, c, p);
        put(y, b.bytes, k, get(x, a.bytes, i) + (accumulate ? get(y, b.bytes, k) : 0));
      }
}
