/* Sums of floats as sums of integers, which round nothing. For AVX-512.
 *
 * With a power of 4, L, above all magnitudes, adding C = 1.5 · 2^23 · u to a number of magnitude below 2^22 · u leaves
 * it, rounded to multiples of the unit u, in the low bits of the float. So the bits are summed as they are, and C's
 * taken away at the end. Roots have u = √L · 2^-21, magnitudes u = L · 2^-22.
 */
#ifndef SAP_INDEX_KERNEL_FIXED_H
#define SAP_INDEX_KERNEL_FIXED_H

#include "index/kernel_vector.h"

typedef struct fixed_scale {
  int exponent;                /* of L */
  double limit, root;          /* L, √L */
  float root_shift, one_shift; /* C of both */
} fixed_scale;

/* Takes L for a guess at the largest key. 0 if it is outside 2^-64 … 2^120. */
SIMD_INLINE int fixed_choose(fixed_scale *scale, uint32_t guess) {
  if (guess < 0x1f800000u || guess > 0x7b800000u) return 0;
  scale->exponent = ((int)((guess + 0x00200000u) >> 23) - 127 + 2) & ~1; /* 5/4 of the guess is below L */
  scale->limit = sap__double_from_bits((uint64_t)(1023 + scale->exponent) << 52);
  scale->root = sap__double_from_bits((uint64_t)(1023 + scale->exponent / 2) << 52);
  scale->root_shift = (float)(scale->root * 0x1.8p2);
  scale->one_shift = (float)(scale->limit * 0x1.8p1);
  return 1;
}

/* Without the shift's bits: each lane holds those of `count` numbers. */
SIMD_INLINE vuint fixed_units(vuint sums, uint32_t count, float shift) {
  uint32_t bits;
  memcpy(&bits, &shift, sizeof bits);
  return sums - count * bits;
}

/* Σ of multiples of the unit that are not negative. */
SIMD_INLINE double fixed_total(vuint sums, uint32_t count, float shift, double unit) {
  return (double)simd_sum_u(fixed_units(sums, count, shift)) * unit;
}

/* 1 if the sums are as exact as they should be: no magnitude reached L, and the mean root is at least √L / least. */
SIMD_INLINE int fixed_good(const fixed_scale *scale, uint32_t largest, double roots, uint64_t count, double least) {
  return (double)sap__float_from_bits(largest) < scale->limit * 0x1.fp-1 &&
         roots * least >= (double)count * scale->root;
}

#endif
