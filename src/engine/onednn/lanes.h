/* As many floats as a register of the instruction set holds, as the compiler's vectors. (Of longer ones it makes
 * several registers, but much of what it does with them goes through memory.) Activations are float or bf16 in memory
 * and float in registers; the includer's LANES_BF16 says which.
 */
#ifndef SAP_ENGINE_ONEDNN_LANES_H
#define SAP_ENGINE_ONEDNN_LANES_H

#include <stdint.h>
#include <string.h>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi" /* everything here is inline: no call passes a vector */
#endif

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX2__)
#define LANES 8
#else
#define LANES 4
#endif
typedef float lanes_f __attribute__((vector_size(4 * LANES)));
typedef int32_t lanes_i __attribute__((vector_size(4 * LANES)));
typedef uint32_t lanes_u __attribute__((vector_size(4 * LANES)));
typedef uint16_t lanes_h __attribute__((vector_size(2 * LANES)));

#define LANES_INLINE static inline __attribute__((always_inline, unused))

LANES_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
LANES_INLINE int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

LANES_INLINE lanes_f lanes_all(float x) { return (lanes_f){0} + x; }

LANES_INLINE lanes_f lanes_read(const float *from) {
  lanes_f x;
  memcpy(&x, from, sizeof x);
  return x;
}
LANES_INLINE void lanes_write(float *to, lanes_f x) { memcpy(to, &x, sizeof x); }

/* Which lanes: a register of bits where there are such, else all ones or 0 in each lane. */
#if defined(__AVX512F__)
typedef __mmask16 lanes_m;
LANES_INLINE lanes_m lanes_above(lanes_f a, lanes_f b) { return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_GT_OQ); }
LANES_INLINE lanes_m lanes_nan(lanes_f x) { return _mm512_cmp_ps_mask((__m512)x, (__m512)x, _CMP_UNORD_Q); }
LANES_INLINE lanes_m lanes_equal(lanes_i a, int32_t b) {
  return _mm512_cmpeq_epi32_mask((__m512i)a, _mm512_set1_epi32(b));
}
LANES_INLINE lanes_u lanes_pick_bits(lanes_m where, lanes_u a, lanes_u b) {
  return (lanes_u)_mm512_mask_mov_epi32((__m512i)b, where, (__m512i)a);
}
#else
typedef lanes_i lanes_m;
LANES_INLINE lanes_m lanes_above(lanes_f a, lanes_f b) { return a > b; }
LANES_INLINE lanes_m lanes_nan(lanes_f x) { return x != x; }
LANES_INLINE lanes_m lanes_equal(lanes_i a, int32_t b) { return a == b; }
LANES_INLINE lanes_u lanes_pick_bits(lanes_m where, lanes_u a, lanes_u b) {
  return ((lanes_u)where & a) | (~(lanes_u)where & b);
}
#endif

/* a in those lanes, b in the others. */
LANES_INLINE lanes_f lanes_pick(lanes_m where, lanes_f a, lanes_f b) {
  return (lanes_f)lanes_pick_bits(where, (lanes_u)a, (lanes_u)b);
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

/* By hand, where the compiler's __builtin_convertvector goes through halves. */
#if defined(__AVX512F__)
LANES_INLINE lanes_u lanes_widen(lanes_h h) { return (lanes_u)_mm512_cvtepu16_epi32((__m256i)h); }
LANES_INLINE lanes_h lanes_narrow(lanes_u x) { return (lanes_h)_mm512_cvtepi32_epi16((__m512i)x); }
#elif defined(__AVX2__)
LANES_INLINE lanes_u lanes_widen(lanes_h h) { return (lanes_u)_mm256_cvtepu16_epi32((__m128i)h); }
LANES_INLINE lanes_h lanes_narrow(lanes_u x) {
  const __m256i low = (__m256i)(x & 0xffff);
  return (lanes_h)_mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
}
#else
LANES_INLINE lanes_u lanes_widen(lanes_h h) { return __builtin_convertvector(h, lanes_u); }
LANES_INLINE lanes_h lanes_narrow(lanes_u x) { return __builtin_convertvector(x, lanes_h); }
#endif

LANES_INLINE lanes_f bf16_lanes(const uint16_t *from) {
  lanes_h h;
  memcpy(&h, from, sizeof h);
  return (lanes_f)(lanes_widen(h) << 16);
}
LANES_INLINE void bf16_write(uint16_t *to, lanes_f x) {
  const lanes_u bits = (lanes_u)x, rounded = bits + 0x7fff + (bits >> 16 & 1);
  const lanes_h h = lanes_narrow(lanes_pick_bits(lanes_nan(x), bits | 0x400000, rounded) >> 16);
  memcpy(to, &h, sizeof h);
}

#endif

/* ---- an element, as LANES_BF16 says; may be included twice ---- */
#undef elem
#undef ELEM_GET
#undef ELEM_PUT
#undef ELEM_LANES
#undef ELEM_WRITE
#if defined(LANES_BF16) && LANES_BF16
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
