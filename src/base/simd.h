/* One small vocabulary over the vector instruction sets, so that a kernel is written once.
 *
 * A kernel file <name>_<set>.c is compiled with that set's flags and includes this; the widest set that the
 * flags allow is taken. Vectors are GCC vector extensions: + − · / and the bit operators work on them as they
 * stand. What the extensions lack is named here. Everything is inline; nothing may be included by a file that
 * is compiled for the plain machine.
 *
 *   vfloat, vuint    SIMD_LANES floats, uint32_t
 *   vdouble          SIMD_LANES / 2 doubles: two of them hold what one vfloat does
 *   vint_half        SIMD_LANES / 2 int32_t
 */
#ifndef SAP_BASE_SIMD_H
#define SAP_BASE_SIMD_H

#include <stdint.h>
#include <string.h>

#define SIMD_INLINE static inline __attribute__((always_inline, unused))

#if defined(__AVX512F__)
#include <immintrin.h>
#define SIMD_LANES 16
#elif defined(__AVX2__)
#include <immintrin.h>
#define SIMD_LANES 8
#elif defined(__ARM_NEON) && defined(__aarch64__)
#include <arm_neon.h>
#define SIMD_LANES 4
#else
#error "simd.h needs AVX-512, AVX2 or AArch64 flags"
#endif

typedef float vfloat __attribute__((vector_size(4 * SIMD_LANES)));
typedef uint32_t vuint __attribute__((vector_size(4 * SIMD_LANES)));
typedef int32_t vint __attribute__((vector_size(4 * SIMD_LANES)));
typedef double vdouble __attribute__((vector_size(4 * SIMD_LANES)));
typedef uint64_t vuint64 __attribute__((vector_size(4 * SIMD_LANES)));

/* ---- plain C over the extensions ---- */

SIMD_INLINE vuint simd_bits(vfloat x) { return (vuint)x; }
SIMD_INLINE vfloat simd_float(vuint x) { return (vfloat)x; }
SIMD_INLINE vuint simd_all_u(uint32_t x) { return (vuint){0} + x; }
SIMD_INLINE vdouble simd_all_d(double x) { return (vdouble){0} + x; }

/* 32 bits a lane from memory that is aligned to nothing. */
SIMD_INLINE vuint simd_load_u(const void *from) {
  vuint x;
  memcpy(&x, from, sizeof x);
  return x;
}

SIMD_INLINE double simd_sum_d(vdouble x) {
  double sum = 0;
  for (int i = 0; i < SIMD_LANES / 2; i++) sum += x[i];
  return sum;
}

SIMD_INLINE double simd_sum(vfloat x) {
  double sum = 0;
  for (int i = 0; i < SIMD_LANES; i++) sum += (double)x[i];
  return sum;
}

SIMD_INLINE uint64_t simd_sum_u(vuint x) {
  uint64_t sum = 0;
  for (int i = 0; i < SIMD_LANES; i++) sum += x[i];
  return sum;
}

SIMD_INLINE uint32_t simd_largest(vuint x) {
  uint32_t largest = x[0];
  for (int i = 1; i < SIMD_LANES; i++) largest = x[i] > largest ? x[i] : largest;
  return largest;
}

SIMD_INLINE uint32_t simd_smallest(vuint x) {
  uint32_t smallest = x[0];
  for (int i = 1; i < SIMD_LANES; i++) smallest = x[i] < smallest ? x[i] : smallest;
  return smallest;
}

/* ---- what each set says in its own words ----
 *
 *   simd_all(x)            x in every lane: 0 + x would be one addition more
 *   simd_load_f16, _bf16   widened floats' bits
 *   simd_keep(x, bits)     lanes whose bit is 0 become 0
 *   simd_fnma(a, b, c)     c − a · b
 *   simd_rsqrt             1/√x, relative error below 2^-11 (2^-14 with AVX-512)
 *   SIMD_RSQRT_STEPS       Newton's steps that a root made with it needs to be the nearest float or next to it
 *   simd_low, _high        the lower and the upper half of the lanes as doubles
 *   simd_low_i, _high_i    the same of signed integers
 *   simd_below(a, b)       a bit a lane, 1 where a < b; both below 2^31
 *   simd_zeros(x)          a bit a lane, 1 where x is 0
 *   simd_count_zeros(n, x) n + 1 in lanes where x is 0
 *   simd_pick(c, a, b)     a where the lane of c is all ones, b where it is 0
 */
#if SIMD_LANES == 16

SIMD_INLINE vfloat simd_all(float x) { return _mm512_set1_ps(x); }
SIMD_INLINE vuint simd_load_f16(const void *from) {
  return (vuint)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)from));
}
SIMD_INLINE vuint simd_load_bf16(const void *from) {
  return (vuint)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)from)), 16);
}
SIMD_INLINE vuint simd_keep(vuint x, uint64_t bits) {
  return (vuint)_mm512_maskz_mov_epi32((__mmask16)bits, (__m512i)x);
}
SIMD_INLINE vuint simd_max_u(vuint a, vuint b) { return (vuint)_mm512_max_epu32((__m512i)a, (__m512i)b); }
SIMD_INLINE vuint simd_min_u(vuint a, vuint b) { return (vuint)_mm512_min_epu32((__m512i)a, (__m512i)b); }
SIMD_INLINE vfloat simd_max(vfloat a, vfloat b) { return _mm512_max_ps(a, b); }
SIMD_INLINE vfloat simd_fma(vfloat a, vfloat b, vfloat c) { return _mm512_fmadd_ps(a, b, c); }
SIMD_INLINE vfloat simd_fnma(vfloat a, vfloat b, vfloat c) { return _mm512_fnmadd_ps(a, b, c); }
#define SIMD_RSQRT_STEPS 1
SIMD_INLINE vfloat simd_rsqrt(vfloat x) { return _mm512_rsqrt14_ps(x); }
SIMD_INLINE vdouble simd_low(vfloat x) { return _mm512_cvtps_pd(_mm512_castps512_ps256(x)); }
SIMD_INLINE vdouble simd_high(vfloat x) { return _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1)); }
SIMD_INLINE vdouble simd_low_i(vint x) { return _mm512_cvtepi32_pd(_mm512_castsi512_si256((__m512i)x)); }
SIMD_INLINE vdouble simd_high_i(vint x) { return _mm512_cvtepi32_pd(_mm512_extracti32x8_epi32((__m512i)x, 1)); }
SIMD_INLINE vdouble simd_max_d(vdouble a, vdouble b) { return _mm512_max_pd(a, b); }
SIMD_INLINE vdouble simd_fma_d(vdouble a, vdouble b, vdouble c) { return _mm512_fmadd_pd(a, b, c); }
SIMD_INLINE uint64_t simd_below(vuint a, vuint b) { return _mm512_cmplt_epu32_mask((__m512i)a, (__m512i)b); }
SIMD_INLINE uint64_t simd_zeros(vuint x) { return _mm512_testn_epi32_mask((__m512i)x, (__m512i)x); }
SIMD_INLINE vuint simd_count_zeros(vuint n, vuint x) {
  __mmask16 zero = _mm512_testn_epi32_mask((__m512i)x, (__m512i)x);
  return (vuint)_mm512_mask_add_epi32((__m512i)n, zero, (__m512i)n, _mm512_set1_epi32(1));
}
SIMD_INLINE vuint simd_pick(vuint c, vuint a, vuint b) {
  return (vuint)_mm512_ternarylogic_epi32((__m512i)c, (__m512i)a, (__m512i)b, 0xca);
}
SIMD_INLINE vfloat simd_from_int(vint x) { return _mm512_cvtepi32_ps((__m512i)x); }

/* Lanes of 16 bits, two in each of a vuint's. This set only. */
SIMD_INLINE vuint simd_max_u16(vuint a, vuint b) { return (vuint)_mm512_max_epu16((__m512i)a, (__m512i)b); }
SIMD_INLINE uint64_t simd_below_u16(vuint a, vuint b) { return _mm512_cmplt_epu16_mask((__m512i)a, (__m512i)b); }

#elif SIMD_LANES == 8

SIMD_INLINE vfloat simd_all(float x) { return _mm256_set1_ps(x); }
SIMD_INLINE vuint simd_load_f16(const void *from) {
  return (vuint)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)from));
}
SIMD_INLINE vuint simd_load_bf16(const void *from) {
  return (vuint)_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)from)), 16);
}
SIMD_INLINE vuint simd_keep(vuint x, uint64_t bits) {
  const vuint lane = {1, 2, 4, 8, 16, 32, 64, 128};
  return x & (vuint)((simd_all_u((uint32_t)bits) & lane) == lane);
}
SIMD_INLINE vuint simd_max_u(vuint a, vuint b) { return (vuint)_mm256_max_epu32((__m256i)a, (__m256i)b); }
SIMD_INLINE vuint simd_min_u(vuint a, vuint b) { return (vuint)_mm256_min_epu32((__m256i)a, (__m256i)b); }
SIMD_INLINE vfloat simd_max(vfloat a, vfloat b) { return _mm256_max_ps(a, b); }
SIMD_INLINE vfloat simd_fma(vfloat a, vfloat b, vfloat c) { return _mm256_fmadd_ps(a, b, c); }
SIMD_INLINE vfloat simd_fnma(vfloat a, vfloat b, vfloat c) { return _mm256_fnmadd_ps(a, b, c); }
#define SIMD_RSQRT_STEPS 2
SIMD_INLINE vfloat simd_rsqrt(vfloat x) { return _mm256_rsqrt_ps(x); }
SIMD_INLINE vdouble simd_low(vfloat x) { return _mm256_cvtps_pd(_mm256_castps256_ps128(x)); }
SIMD_INLINE vdouble simd_high(vfloat x) { return _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1)); }
SIMD_INLINE vdouble simd_low_i(vint x) { return _mm256_cvtepi32_pd(_mm256_castsi256_si128((__m256i)x)); }
SIMD_INLINE vdouble simd_high_i(vint x) { return _mm256_cvtepi32_pd(_mm256_extracti128_si256((__m256i)x, 1)); }
SIMD_INLINE vdouble simd_max_d(vdouble a, vdouble b) { return _mm256_max_pd(a, b); }
SIMD_INLINE vdouble simd_fma_d(vdouble a, vdouble b, vdouble c) { return _mm256_fmadd_pd(a, b, c); }
SIMD_INLINE uint64_t simd_below(vuint a, vuint b) {
  return (uint32_t)_mm256_movemask_ps((__m256)_mm256_cmpgt_epi32((__m256i)b, (__m256i)a));
}
SIMD_INLINE uint64_t simd_zeros(vuint x) { return (uint32_t)_mm256_movemask_ps((__m256)(vint)(x == 0)); }
SIMD_INLINE vuint simd_count_zeros(vuint n, vuint x) { return n - (vuint)(x == 0); }
SIMD_INLINE vuint simd_pick(vuint c, vuint a, vuint b) {
  return (vuint)_mm256_blendv_epi8((__m256i)b, (__m256i)a, (__m256i)c);
}
SIMD_INLINE vfloat simd_from_int(vint x) { return _mm256_cvtepi32_ps((__m256i)x); }

#else /* AArch64 */

SIMD_INLINE vuint simd_load_f16(const void *from) {
  uint16x4_t halves;
  memcpy(&halves, from, sizeof halves);
  return (vuint)vcvt_f32_f16((float16x4_t)halves);
}
SIMD_INLINE vuint simd_load_bf16(const void *from) {
  uint16x4_t halves;
  memcpy(&halves, from, sizeof halves);
  return (vuint)vshll_n_u16(halves, 16);
}
SIMD_INLINE vuint simd_keep(vuint x, uint64_t bits) {
  const vuint lane = {1, 2, 4, 8};
  return x & (vuint)((simd_all_u((uint32_t)bits) & lane) == lane);
}
SIMD_INLINE vuint simd_max_u(vuint a, vuint b) { return (vuint)vmaxq_u32((uint32x4_t)a, (uint32x4_t)b); }
SIMD_INLINE vuint simd_min_u(vuint a, vuint b) { return (vuint)vminq_u32((uint32x4_t)a, (uint32x4_t)b); }
SIMD_INLINE vfloat simd_max(vfloat a, vfloat b) { return (vfloat)vmaxq_f32((float32x4_t)a, (float32x4_t)b); }
SIMD_INLINE vfloat simd_fma(vfloat a, vfloat b, vfloat c) {
  return (vfloat)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
}
SIMD_INLINE vfloat simd_fnma(vfloat a, vfloat b, vfloat c) {
  return (vfloat)vfmsq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
}
#define SIMD_RSQRT_STEPS 1
SIMD_INLINE vfloat simd_rsqrt(vfloat x) { /* the estimate has 8 bits: one step makes 16 of them */
  float32x4_t r = vrsqrteq_f32((float32x4_t)x);
  return (vfloat)vmulq_f32(r, vrsqrtsq_f32(vmulq_f32((float32x4_t)x, r), r));
}
SIMD_INLINE vdouble simd_low(vfloat x) { return (vdouble)vcvt_f64_f32(vget_low_f32((float32x4_t)x)); }
SIMD_INLINE vdouble simd_high(vfloat x) { return (vdouble)vcvt_high_f64_f32((float32x4_t)x); }
SIMD_INLINE vdouble simd_low_i(vint x) { return (vdouble)vcvtq_f64_s64(vmovl_s32(vget_low_s32((int32x4_t)x))); }
SIMD_INLINE vdouble simd_high_i(vint x) { return (vdouble)vcvtq_f64_s64(vmovl_high_s32((int32x4_t)x)); }
SIMD_INLINE vdouble simd_max_d(vdouble a, vdouble b) { return (vdouble)vmaxq_f64((float64x2_t)a, (float64x2_t)b); }
SIMD_INLINE vdouble simd_fma_d(vdouble a, vdouble b, vdouble c) {
  return (vdouble)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
}
SIMD_INLINE uint64_t simd_lane_bits(vuint x) {
  const vuint lane = {1, 2, 4, 8};
  return vaddvq_u32((uint32x4_t)(x & lane));
}
SIMD_INLINE uint64_t simd_below(vuint a, vuint b) { return simd_lane_bits((vuint)(a < b)); }
SIMD_INLINE uint64_t simd_zeros(vuint x) { return simd_lane_bits((vuint)(x == 0)); }
SIMD_INLINE vuint simd_count_zeros(vuint n, vuint x) { return n - (vuint)(x == 0); }
SIMD_INLINE vfloat simd_all(float x) { return (vfloat)vdupq_n_f32(x); }
SIMD_INLINE vuint simd_pick(vuint c, vuint a, vuint b) {
  return (vuint)vbslq_u32((uint32x4_t)c, (uint32x4_t)a, (uint32x4_t)b);
}
SIMD_INLINE vfloat simd_from_int(vint x) { return (vfloat)vcvtq_f32_s32((int32x4_t)x); }

#endif
#endif
