/* The vector kernels, written once over base/simd.h; kernel_<set>.c includes this and names the table.
 *
 * Each kernel runs over words of 64 weights. Pruned lanes are read as 0, which adds nothing to a sum. A last word
 * of fewer than 64 is copied to a buffer padded with zeros.
 */
#ifndef SAP_INDEX_KERNEL_VECTOR_H
#define SAP_INDEX_KERNEL_VECTOR_H

#include <string.h>

#include "base/simd.h"
#include "index/kernel.h"
#include "tensor/widen.h"

#define ALL_KEPT (~(uint64_t)0)

/* The keys of SIMD_LANES weights from w[i] on. */
SIMD_INLINE vuint load_keys(const void *w, sap_dtype dtype, size_t i) {
  vuint bits;
  if (dtype == SAP_F32)
    bits = simd_load_u((const char *)w + 4 * i);
  else if (dtype == SAP_F16)
    bits = simd_load_f16((const char *)w + 2 * i);
  else
    bits = simd_load_bf16((const char *)w + 2 * i);
  return bits & SAP__KEY_MASK;
}

/* Fewer than 64 weights, padded to 64 with zeros. */
typedef struct tail {
  char weights[64 * 4];
  uint64_t keep;
} tail;

SIMD_INLINE void tail_copy(tail *end, const void *w, sap_dtype dtype, size_t n, const uint64_t *keep) {
  size_t size = dtype == SAP_F32 ? 4 : 2, whole = n / 64 * 64;
  memset(end, 0, sizeof *end);
  memcpy(end->weights, (const char *)w + whole * size, (n - whole) * size);
  end->keep = keep ? keep[n / 64] : ((uint64_t)1 << (n - whole)) - 1;
}

/* Running results of one kernel over one block, lane by lane. */
typedef struct lanes {
  vuint largest;
  vuint nothing; /* lanes that were 0, pruned ones among them */
  vdouble p0, p1, q0, q1;
  vfloat p_rest, q_rest; /* what float arithmetic left over of p and q */
  uint64_t kept, words;
} lanes;

/* What a kernel does with the magnitudes of one vector. HALF_ONE_POSITIVE is HALF_ONE for weights of which none
 * is 0: one that is makes the sums NaN, and the block is done again. */
typedef enum task { EXTENT, HALF_ONE, HALF_ONE_POSITIVE, ONE_TWO } task;

/* √x to twice the precision of float: s is the rounded root, after as many of Newton's steps as the estimate needs, so
 * that roots which are floats come out as such; x − s² is known exactly, and half of it over s is what s lacks. Σ√x =
 * Σs + Σ(x − s²)/2s and Σx = Σs² + Σ(x − s²), so x itself is never widened. */
SIMD_INLINE void add_half_one(lanes *a, task what, vfloat x) {
  vfloat r = simd_rsqrt(what == HALF_ONE ? simd_max(x, simd_all(0x1p-126f)) : x);
  vfloat half_r = simd_float(simd_bits(r) - 0x00800000u), s = x * r;
  for (int step = 0; step < SIMD_RSQRT_STEPS; step++) s = simd_fma(simd_fnma(s, s, x), half_r, s);
  vfloat rest = simd_fnma(s, s, x);
  vdouble low = simd_low(s), high = simd_high(s);
  a->p_rest = simd_fma(rest, half_r, a->p_rest);
  a->q_rest += rest;
  a->p0 += low;
  a->p1 += high;
  a->q0 = simd_fma_d(low, low, a->q0);
  a->q1 = simd_fma_d(high, high, a->q1);
}

SIMD_INLINE void add_one_two(lanes *a, vfloat x) {
  vdouble low = simd_low(x), high = simd_high(x);
  a->p0 += low;
  a->p1 += high;
  a->q0 = simd_fma_d(low, low, a->q0);
  a->q1 = simd_fma_d(high, high, a->q1);
}

SIMD_INLINE void add_keys(lanes *a, task what, vuint x) {
  if (what != HALF_ONE_POSITIVE) a->nothing = simd_count_zeros(a->nothing, x);
  a->largest = simd_max_u(a->largest, x);
  if (what == HALF_ONE || what == HALF_ONE_POSITIVE) add_half_one(a, what, simd_float(x));
  if (what == ONE_TWO) add_one_two(a, simd_float(x));
}

/* BF16 is the upper half of a float: of two that lie in the lane of one, the second is a float as it stands but for
 * the bits of the first, which a shift makes one, too. */
SIMD_INLINE vuint bf16_second(vuint pairs) { return pairs & (SAP__KEY_MASK & 0xffff0000u); }
SIMD_INLINE vuint bf16_first(vuint pairs) { return (vuint)(pairs << 16) & SAP__KEY_MASK; }

/* The 64 weights of one word, of which those in `word` are kept. */
SIMD_INLINE void add_word(lanes *a, task what, const void *w, sap_dtype dtype, size_t i, uint64_t word) {
  if (dtype == SAP_BF16 && word == ALL_KEPT) { /* in any order */
    for (size_t j = 0; j < 64; j += 2 * SIMD_LANES) {
      vuint pairs = simd_load_u((const char *)w + 2 * (i + j));
      add_keys(a, what, bf16_first(pairs));
      add_keys(a, what, bf16_second(pairs));
    }
    return;
  }
  for (int j = 0; j < 64; j += SIMD_LANES) {
    vuint x = load_keys(w, dtype, i + (size_t)j);
    if (word != ALL_KEPT) x = simd_keep(x, word >> j);
    add_keys(a, what, x);
  }
}

/* Bytes further on that are fetched into the second cache: where arithmetic takes nearly as long as memory, the
 * processor's own prefetching, which stops at the end of a page, leaves a tenth of the time on the table. */
#define FETCH_AHEAD 5120

/* What is as far behind the word's weights; an address past the end does no harm. */
SIMD_INLINE void fetch_ahead(const void *w, sap_dtype dtype, size_t i) {
  uintptr_t size = dtype == SAP_F32 ? 4 : 2, at = (uintptr_t)w + size * i + FETCH_AHEAD;
  for (uintptr_t line = 0; line < 64 * size; line += 64) __builtin_prefetch((const void *)(at + line), 0, 2);
}

SIMD_INLINE void run(lanes *sums, task what, const void *w, sap_dtype dtype, size_t n, const uint64_t *keep) {
  lanes a;
  memset(&a, 0, sizeof a);
  for (size_t i = 0; i < n / 64; i++) {
    uint64_t word = keep ? keep[i] : ALL_KEPT;
    if (!word) continue;
    fetch_ahead(w, dtype, 64 * i);
    add_word(&a, what, w, dtype, 64 * i, word);
    a.kept += (uint64_t)__builtin_popcountll(word);
    a.words++;
  }
  *sums = a;
}

SIMD_INLINE void kernel(task what, const void *w, sap_dtype dtype, size_t n, const uint64_t *keep, sap__sums *sums) {
  lanes a;
  run(&a, what, w, dtype, n, keep);
  if (n % 64) {
    tail end;
    tail_copy(&end, w, dtype, n, keep);
    add_word(&a, what == HALF_ONE_POSITIVE ? HALF_ONE : what, end.weights, dtype, 0, end.keep);
    a.kept += (uint64_t)__builtin_popcountll(end.keep);
    a.words++;
  }
  uint64_t pruned = what == HALF_ONE_POSITIVE ? (64 - n % 64) % 64 : 64 * a.words - a.kept;
  sums->count = a.kept;
  sums->zeros = simd_sum_u(a.nothing) - pruned;
  sums->largest = simd_largest(a.largest);
  sums->sum_p = simd_sum_d(a.p0 + a.p1) + simd_sum(a.p_rest);
  sums->sum_q = simd_sum_d(a.q0 + a.q1) + simd_sum(a.q_rest);
}

/* One body a type, so that the type is known inside the loops. */
SIMD_INLINE void kernel_of_type(task what, const void *w, sap_dtype dtype, size_t n, const uint64_t *keep,
                                sap__sums *sums) {
  if (dtype == SAP_F32)
    kernel(what, w, SAP_F32, n, keep, sums);
  else if (dtype == SAP_F16)
    kernel(what, w, SAP_F16, n, keep, sums);
  else
    kernel(what, w, SAP_BF16, n, keep, sums);
}

static void extent(const void *w, sap_dtype dtype, size_t n, const uint64_t *keep, sap__sums *sums) {
  kernel_of_type(EXTENT, w, dtype, n, keep, sums);
}

#if SIMD_LANES == 16
#include "index/kernel_bf16.h"
#include "index/kernel_f32.h"

#define GUESSED 1024 /* weights that are looked at for a guess */

/* Guesses where nobody did before. */
static void guess(const void *w, sap_dtype dtype, size_t n, sap__sums *sums) {
  if (!sums->largest) extent(w, dtype, n < GUESSED ? n : GUESSED, NULL, sums);
}

/* half_one of n kept weights in the way of their type; 0 if it has none, or not for these. */
static int half_one_of_type(const void *w, sap_dtype dtype, size_t n, sap__sums *sums) {
  guess(w, dtype, n, sums);
  if (dtype == SAP_BF16) return half_one_fixed(w, n, sums);
  return dtype == SAP_F32 && !sums->zeros && half_one_f32(w, n, sums);
}
#endif

static void half_one(const void *w, sap_dtype dtype, size_t n, const uint64_t *keep, sap__sums *sums) {
#if SIMD_LANES == 16
  if (!keep && half_one_of_type(w, dtype, n, sums)) return;
#endif
  if (!keep && !sums->zeros) {
    kernel_of_type(HALF_ONE_POSITIVE, w, dtype, n, NULL, sums);
    if (sums->sum_p - sums->sum_p == 0 || sums->largest >= SAP__KEY_INFINITY) return;
  }
  kernel_of_type(HALF_ONE, w, dtype, n, keep, sums);
}

static void one_two(const void *w, sap_dtype dtype, size_t n, const uint64_t *keep, sap__sums *sums) {
  kernel_of_type(ONE_TWO, w, dtype, n, keep, sums);
}

/* ---- comparing keys ---- */

SIMD_INLINE void compare_word(const void *w, sap_dtype dtype, size_t i, vuint low, vuint end, uint64_t *below,
                              uint64_t *inside) {
  uint64_t less = 0, less_than_end = 0;
  for (int j = 0; j < 64; j += SIMD_LANES) {
    vuint key = load_keys(w, dtype, i + (size_t)j);
    less |= simd_below(key, low) << j;
    less_than_end |= simd_below(key, end) << j;
  }
  *below = less;
  *inside = less_than_end & ~less;
}

SIMD_INLINE void compare_of_type(const void *w, sap_dtype dtype, size_t n, uint32_t low, uint32_t high, uint64_t *below,
                                 uint64_t *inside) {
  vuint all_low = simd_all_u(low), all_end = simd_all_u(high < SAP__KEY_MASK ? high + 1 : high);
  size_t whole = n / 64, i = 0;
#if SIMD_LANES == 16
  if (dtype == SAP_BF16) {
    compare_bf16(w, n, low, high < SAP__KEY_MASK ? high + 1 : high, below, inside);
    i = whole;
  }
#endif
  for (; i < whole; i++) {
    fetch_ahead(w, dtype, 64 * i);
    compare_word(w, dtype, 64 * i, all_low, all_end, &below[i], &inside[i]);
  }
  if (n % 64) {
    tail end;
    tail_copy(&end, w, dtype, n, NULL);
    compare_word(end.weights, dtype, 0, all_low, all_end, &below[whole], &inside[whole]);
    below[whole] &= end.keep;
    inside[whole] &= end.keep;
  }
}

/* No finite weight has the key SAP__KEY_MASK, so that a high of it takes in all. */
static void compare(const void *w, sap_dtype dtype, size_t n, uint32_t low, uint32_t high, uint64_t *below,
                    uint64_t *inside) {
  if (dtype == SAP_F32)
    compare_of_type(w, SAP_F32, n, low, high, below, inside);
  else if (dtype == SAP_F16)
    compare_of_type(w, SAP_F16, n, low, high, below, inside);
  else
    compare_of_type(w, SAP_BF16, n, low, high, below, inside);
}

#endif
