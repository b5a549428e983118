/* The vectors of the runtime's kernels: those of base/simd.h, and four plain floats where no set is chosen. */
#ifndef SAP_RUNTIME_KERNELS_LANES_H
#define SAP_RUNTIME_KERNELS_LANES_H

#if defined(__AVX2__) || (defined(__ARM_NEON) && defined(SAP__LANES_NEON))
#include "base/simd.h"
#else
#include <stdint.h>
#include <string.h>

#define SIMD_INLINE static inline __attribute__((always_inline, unused))
#define SIMD_LANES 4
typedef float vfloat __attribute__((vector_size(16)));
typedef uint32_t vuint __attribute__((vector_size(16)));
typedef int32_t vint __attribute__((vector_size(16)));

SIMD_INLINE vfloat simd_all(float x) { return (vfloat){x, x, x, x}; }
SIMD_INLINE vuint simd_keep(vuint x, uint64_t bits) {
  const vuint lane = {1, 2, 4, 8};
  vuint set = (vuint){0} + (uint32_t)bits;
  return x & (vuint)((set & lane) == lane);
}
#endif

SIMD_INLINE vfloat lanes_load(const float *from) {
  vfloat x;
  memcpy(&x, from, sizeof x);
  return x;
}

SIMD_INLINE void lanes_store(float *to, vfloat x) { memcpy(to, &x, sizeof x); }

/* x where it is above 0 or no number, else 0: the sets' maximum is its second argument where one is no number. */
SIMD_INLINE vfloat lanes_relu(vfloat x) {
#if SIMD_LANES == 4 && !defined(SAP__LANES_NEON)
  return (vfloat)((vuint)x & ~(vuint)(x < (vfloat){0}));
#else
  return simd_max((vfloat){0}, x);
#endif
}

/* from[at[0]], from[at[1]], … */
SIMD_INLINE vfloat lanes_gather(const float *from, const int32_t *at) {
#if SIMD_LANES == 16
  return _mm512_i32gather_ps(_mm512_loadu_si512(at), from, 4);
#elif SIMD_LANES == 8
  return _mm256_i32gather_ps(from, _mm256_loadu_si256((const __m256i *)at), 4);
#else
  return (vfloat){from[at[0]], from[at[1]], from[at[2]], from[at[3]]};
#endif
}

/* x[at[0]], x[at[1]], … */
#if SIMD_LANES == 16
#define LANES_PERMUTE
SIMD_INLINE vfloat lanes_permute(vfloat x, const int32_t *at) {
  return _mm512_permutexvar_ps(_mm512_loadu_si512(at), x);
}
#elif SIMD_LANES == 8
#define LANES_PERMUTE
SIMD_INLINE vfloat lanes_permute(vfloat x, const int32_t *at) {
  return _mm256_permutevar8x32_ps(x, _mm256_loadu_si256((const __m256i *)at));
}
#endif

/* from[places[0]], from[places[1]], … without touching memory once for each: two registers are the table. Its last
 * entry, LANES_WINDOW, is 0. */
#if SIMD_LANES == 16
#define LANES_WINDOW 31
SIMD_INLINE vfloat lanes_choose(const float *from, const uint8_t *places) {
  __m512i at = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)places));
  return _mm512_permutex2var_ps(_mm512_loadu_ps(from), at, _mm512_maskz_loadu_ps(0x7fff, from + 16));
}
#else
#define LANES_WINDOW 0
#endif

/* Lanes 0, 2, 4, … of a, then those of b. */
SIMD_INLINE vfloat lanes_evens(vfloat a, vfloat b) {
#if SIMD_LANES == 16
  return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
#elif SIMD_LANES == 8
  return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14);
#else
  return __builtin_shufflevector(a, b, 0, 2, 4, 6);
#endif
}

#endif
