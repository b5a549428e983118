/* Sixteen floats, as the compiler's vectors: it makes of them what the instruction set has (one register, two, or
 * four). Activations are float or bf16 in memory and float in registers; the includer's LANES_BF16 says which.
 */
#include <stdint.h>
#include <string.h>

#ifndef SAP_ENGINE_ONEDNN_LANES_H
#define SAP_ENGINE_ONEDNN_LANES_H

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi" /* everything here is inline: no call passes a vector */
#endif

enum { LANES = 16 };
typedef float lanes_f __attribute__((vector_size(64)));
typedef int32_t lanes_i __attribute__((vector_size(64)));
typedef uint32_t lanes_u __attribute__((vector_size(64)));
typedef uint16_t lanes_h __attribute__((vector_size(32)));
typedef double lanes_d __attribute__((vector_size(128)));

#define LANES_INLINE static inline __attribute__((always_inline, unused))

LANES_INLINE lanes_f lanes_all(float x) { return (lanes_f){0} + x; }

LANES_INLINE lanes_f lanes_read(const float *from) {
  lanes_f x;
  memcpy(&x, from, sizeof x);
  return x;
}
LANES_INLINE void lanes_write(float *to, lanes_f x) { memcpy(to, &x, sizeof x); }

/* a where the lane of the mask is all ones, b where it is 0. */
LANES_INLINE lanes_f lanes_pick(lanes_i mask, lanes_f a, lanes_f b) {
  return (lanes_f)((mask & (lanes_i)a) | (~mask & (lanes_i)b));
}

LANES_INLINE float lanes_sum(lanes_f x) {
  float sum = 0;
  for (int i = 0; i < LANES; i++) sum += x[i];
  return sum;
}

LANES_INLINE float bf16_float(uint16_t h) {
  uint32_t bits = (uint32_t)h << 16;
  float f;
  memcpy(&f, &bits, sizeof f);
  return f;
}

/* To the nearest, ties to even; a NaN stays one. */
LANES_INLINE uint16_t bf16_of(float f) {
  uint32_t bits;
  memcpy(&bits, &f, sizeof bits);
  if (f != f) return (uint16_t)(bits >> 16 | 0x40);
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

LANES_INLINE lanes_f bf16_lanes(const uint16_t *from) {
  lanes_h h;
  memcpy(&h, from, sizeof h);
  return (lanes_f)(__builtin_convertvector(h, lanes_u) << 16);
}
LANES_INLINE void bf16_write(uint16_t *to, lanes_f x) {
  lanes_u bits = (lanes_u)x, nan = (lanes_u)(x != x);
  lanes_u rounded = bits + 0x7fff + (bits >> 16 & 1);
  lanes_h h = __builtin_convertvector(((nan & (bits | 0x400000)) | (~nan & rounded)) >> 16, lanes_h);
  memcpy(to, &h, sizeof h);
}

#endif

/* ---- an element, as LANES_BF16 says; may be included twice ---- */
#undef elem
#undef ELEM_GET
#undef ELEM_PUT
#undef ELEM_LANES
#undef ELEM_WRITE
#if LANES_BF16
#define elem uint16_t
#define ELEM_GET(x) bf16_float(x)
#define ELEM_PUT(x) bf16_of(x)
#define ELEM_LANES(from) bf16_lanes(from)
#define ELEM_WRITE(to, x) bf16_write(to, x)
#else
#define elem float
#define ELEM_GET(x) (x)
#define ELEM_PUT(x) (x)
#define ELEM_LANES(from) lanes_read(from)
#define ELEM_WRITE(to, x) lanes_write(to, x)
#endif
