/* Σ|w|^0.5 and Σ|w| of F32 as fixed-point numbers: no double in the loop, whose conversions would take a third of its
 * time.
 *
 *   Σx    the rounded x, and what rounding took, |x − its multiple of u| <= L · 2^-23, in units of L · 2^-43
 *   Σ√x   with r = 1/√x nearly, s = x · r rounded, and lack = (x − s²) · r: √x = s + lack/2 + 3/8 · lack² · r, off by
 *         2^-42 · √L where x >= L · 2^-26. lack and lack² · r are summed as floats, over few.
 *
 * A block that holds anything below L · 2^-26, such as zeros, or most of which is so far below L that these errors
 * show, is left to the other way.
 */
#include "index/kernel_fixed.h"

#define F32_STRETCH 1024 /* weights after which the float sums, which round, are moved to doubles */

typedef struct f32_sums {
  vuint largest, smallest;          /* keys */
  vuint roots, ones, ones_rest;     /* of bits */
  vfloat lacks, lack_squares;       /* of this stretch */
  vdouble roots_rest, roots_rest_1; /* of those before */
} f32_sums;

SIMD_INLINE void add_f32(f32_sums *a, vuint key, const fixed_scale *scale, float rest_shift) {
  const vfloat x = simd_float(key), r = simd_rsqrt(x);
  const vfloat root = simd_fma(x, r, simd_all(scale->root_shift)), s = root - simd_all(scale->root_shift);
  const vfloat lack = simd_fnma(s, s, x) * r;
  const vfloat one = x + simd_all(scale->one_shift), rest = x - (one - simd_all(scale->one_shift));
  a->largest = simd_max_u(a->largest, key);
  a->smallest = simd_min_u(a->smallest, key);
  a->roots += simd_bits(root);
  a->lacks += lack;
  a->lack_squares = simd_fma(lack * lack, r, a->lack_squares);
  a->ones += simd_bits(one);
  a->ones_rest += simd_bits(rest + simd_all(rest_shift));
}

SIMD_INLINE void end_f32_stretch(f32_sums *a) {
  const vfloat rest = simd_fma(a->lack_squares, simd_all(0.375f), a->lacks * 0.5f);
  a->roots_rest += simd_low(rest);
  a->roots_rest_1 += simd_high(rest);
  a->lacks = a->lack_squares = (vfloat){0};
}

/* Σ of multiples of the unit, of either sign. */
SIMD_INLINE double signed_total(vuint sums, uint32_t count, float shift, double unit) {
  const vint units = (vint)fixed_units(sums, count, shift);
  int64_t total = 0;
  for (int i = 0; i < SIMD_LANES; i++) total += units[i];
  return (double)total * unit;
}

/* half_one of n kept weights. 0 if the guess in sums->largest was too far off for it, if n is no multiple of 64, or if
 * the weights are not of the kind. */
static int half_one_f32(const void *w, size_t n, sap__sums *sums) {
  fixed_scale scale;
  if (n % 64 || !fixed_choose(&scale, sums->largest)) return 0;
  const float rest_shift = (float)(scale.limit * 0x1.8p-20), least = (float)(scale.limit * 0x1p-26);
  f32_sums a;
  memset(&a, 0, sizeof a);
  a.smallest = ~a.smallest;
  for (size_t start = 0; start < n; start += F32_STRETCH) {
    for (size_t i = start; i < n && i < start + F32_STRETCH; i += 64) {
      fetch_ahead(w, SAP_F32, i);
      for (size_t j = 0; j < 64; j += SIMD_LANES) add_f32(&a, load_keys(w, SAP_F32, i + j), &scale, rest_shift);
    }
    end_f32_stretch(&a);
  }
  const uint32_t count = (uint32_t)(n / SIMD_LANES), largest = simd_largest(a.largest);
  const double roots =
      fixed_total(a.roots, count, scale.root_shift, scale.root * 0x1p-21) + simd_sum_d(a.roots_rest + a.roots_rest_1);
  if (!(sap__float_from_bits(simd_smallest(a.smallest)) >= least) || !fixed_good(&scale, largest, roots, n, 32))
    return 0;
  *sums = (sap__sums){.count = n, .largest = largest, .sum_p = roots};
  sums->sum_q = fixed_total(a.ones, count, scale.one_shift, scale.limit * 0x1p-22) +
                signed_total(a.ones_rest, count, rest_shift, scale.limit * 0x1p-43);
  return 1;
}
