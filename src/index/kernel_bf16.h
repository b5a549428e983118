/* Σ|w|^0.5 and Σ|w| of BF16 as fixed-point numbers: half as many bytes a weight leave less time for its arithmetic.
 *
 *   Σx    exact for x >= L · 2^-15, for 8 bits of x are all it has
 *   Σ√x   what the rounded root s lacks is known from rest = x − s²: with r = 1/√x nearly,
 *         √x − s = rest · r · (1/2 + 3/8 · rest · r²), off by 2^-14 of the rounding of s, 2^-36 · √L, and 1e-12 · √x
 *
 * Two vectors that hold anything below L · 2^-15, such as zeros, go the way of the other types.
 */
#include "index/kernel_fixed.h"

#define FIXED_STRETCH 4096 /* weights after which the float sums, which round, are moved to doubles */

typedef struct fixed_sums {
  vuint roots, ones; /* of bits */
  vfloat roots_rest;
} fixed_sums;

SIMD_INLINE void add_fixed(fixed_sums *a, vfloat x, vfloat root_shift, vfloat one_shift) {
  vfloat r = simd_rsqrt(x), shifted = simd_fma(x, r, root_shift), s = shifted - root_shift;
  a->roots += simd_bits(shifted);
  a->ones += simd_bits(x + one_shift);
  vfloat lack = simd_fnma(s, s, x) * r;
  a->roots_rest = simd_fma(lack, simd_fma(lack * r, simd_all(0.375f), simd_all(0.5f)), a->roots_rest);
}

/* Bit i of `below`: the key of w[i] is below low, for 64 weights; of `inside`: it is in [low, end). The bounds are keys
 * without their lower halves, in both lanes. */
SIMD_INLINE void compare_word_bf16(const void *w, size_t i, vuint low, vuint end, uint64_t *below, uint64_t *inside) {
  uint64_t less = 0, less_than_end = 0;
  for (size_t j = 0; j < 64; j += 2 * SIMD_LANES) {
    const vuint keys = simd_load_u((const char *)w + 2 * (i + j)) & 0x7fff7fffu;
    less |= simd_below_u16(keys, low) << j;
    less_than_end |= simd_below_u16(keys, end) << j;
  }
  *below = less;
  *inside = less_than_end & ~less;
}

/* The kernel `compare`, but for the weights of a last word that is not whole. */
static void compare_bf16(const void *w, size_t n, uint32_t low, uint32_t end, uint64_t *below, uint64_t *inside) {
  /* a key, whose lower half is 0, is below a bound if and only if it is below that rounded up */
  const vuint all_low = simd_all_u(((low + 0xffffu) >> 16) * 0x10001u);
  const vuint all_end = simd_all_u(((end + 0xffffu) >> 16) * 0x10001u);
  for (size_t i = 0; i < n / 64; i++) {
    fetch_ahead(w, SAP_BF16, 64 * i);
    compare_word_bf16(w, 64 * i, all_low, all_end, &below[i], &inside[i]);
  }
}

/* half_one of n kept weights. 0 if the guess in sums->largest was too far off for it, or n is no multiple of 64. */
static int half_one_fixed(const void *w, size_t n, sap__sums *sums) {
  fixed_scale scale;
  if (n % 64 || !fixed_choose(&scale, sums->largest)) return 0;
  const vuint small = simd_all_u((uint32_t)(scale.exponent - 15 + 127) << 7) * 0x10001u;
  fixed_sums first = {.roots = {0}}, second = {.roots = {0}};
  lanes rare;
  vdouble rest_low = {0}, rest_high = {0};
  vuint largest = {0};
  uint32_t fixed = 0;
  memset(&rare, 0, sizeof rare);
  for (size_t start = 0; start < n; start += FIXED_STRETCH) {
    for (size_t i = start; i < n && i < start + FIXED_STRETCH; i += 2 * SIMD_LANES) {
      const char *at = (const char *)w + 2 * i;
      __builtin_prefetch((const void *)((uintptr_t)at + FETCH_AHEAD), 0, 2);
      const vuint pairs = simd_load_u(at) & 0x7fff7fffu;
      largest = simd_max_u16(largest, pairs);
      if (simd_below_u16(pairs, small)) {
        add_keys(&rare, HALF_ONE, bf16_first(pairs));
        add_keys(&rare, HALF_ONE, bf16_second(pairs));
        continue;
      }
      add_fixed(&first, simd_float(pairs << 16), simd_all(scale.root_shift), simd_all(scale.one_shift));
      add_fixed(&second, simd_float(pairs & 0xffff0000u), simd_all(scale.root_shift), simd_all(scale.one_shift));
      fixed++;
    }
    const vfloat rest = first.roots_rest + second.roots_rest;
    rest_low += simd_low(rest);
    rest_high += simd_high(rest);
    first.roots_rest = second.roots_rest = (vfloat){0};
  }
  const double root_unit = scale.root * 0x1p-21, one_unit = scale.limit * 0x1p-22;
  const double roots = fixed_total(first.roots, fixed, scale.root_shift, root_unit) +
                       fixed_total(second.roots, fixed, scale.root_shift, root_unit) + simd_sum_d(rest_low + rest_high);
  const double ones = fixed_total(first.ones, fixed, scale.one_shift, one_unit) +
                      fixed_total(second.ones, fixed, scale.one_shift, one_unit);
  largest = simd_max_u(largest << 16, largest & 0xffff0000u);
  sums->count = n;
  sums->zeros = simd_sum_u(rare.nothing);
  sums->largest = simd_largest(largest);
  sums->sum_p = roots + simd_sum_d(rare.p0 + rare.p1) + simd_sum(rare.p_rest);
  sums->sum_q = ones + simd_sum_d(rare.q0 + rare.q1) + simd_sum(rare.q_rest);
  if (sums->largest >= SAP__KEY_INFINITY) return 1; /* the sums mean nothing */
  return fixed_good(&scale, sums->largest, roots, (uint64_t)fixed * 2 * SIMD_LANES, 64);
}
