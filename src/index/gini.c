/* The Gini index: the kept keys are sorted by radix, then summed with their ranks. */
#include "sapwood/gini.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/threads.h"
#include "index/kernel.h"
#include "index/wide.h"
#include "tensor/widen.h"

/* A key has 31 bits: two digits of 8 are sorted by, few enough for their 256 open ends to stay in the cache; the
 * highest 15 bits are only ranked by. */
#define DIGIT_BITS 8
#define RANK_SHIFT (2 * DIGIT_BITS)
#define BINS ((size_t)1 << 15)

/* Work is cut in parts, as many whatever the number of threads, so that sums are rounded the same way. */
#define PARTS_MAX 16u

typedef struct sorter {
  uint64_t n; /* kept weights */
  unsigned parts;
  uint32_t *keys, *spare; /* n each */
  uint64_t *bins;         /* (parts, BINS) */
} sorter;

/* ---- gathering ---- */

static uint64_t part_kept(const sap_layer *layers, size_t count, uint64_t first, uint64_t words) {
  sap__walk walk = sap__walk_start(layers, count, first, words);
  sap__span span;
  uint64_t kept = 0;
  while (sap__walk_next(&walk, &span))
    kept += span.mask ? sap_mask_count(span.mask + span.mask_offset / 64, span.n) : span.n;
  return kept;
}

/* The keys of the kept weights of some words, in order; returns the largest. */
static uint32_t part_gather(const sap_layer *layers, size_t count, uint64_t first, uint64_t words, uint32_t *keys) {
  sap__walk walk = sap__walk_start(layers, count, first, words);
  sap__span span;
  uint64_t own[SAP__BLOCK_WORDS];
  uint32_t largest = 0, *begin = keys;
  while (sap__walk_next(&walk, &span)) {
    const uint64_t *keep = sap__span_keep(&span, own);
    for (size_t i = 0; i < span.n; i += 64) {
      size_t left = span.n - i < 64 ? (size_t)(span.n - i) : 64;
      uint64_t word = keep ? keep[i / 64] : ~(uint64_t)0;
      if (left < 64) word &= ((uint64_t)1 << left) - 1;
      if (word == ~(uint64_t)0 && span.dtype == SAP_F32) {
        memcpy(keys, (const char *)span.w + 4 * i, 64 * sizeof *keys);
        for (size_t j = 0; j < 64; j++) keys[j] &= SAP__KEY_MASK;
        keys += 64;
        continue;
      }
      for (; word; word &= word - 1) *keys++ = sap__key(span.w, span.dtype, i + (size_t)__builtin_ctzll(word));
    }
  }
  for (; begin < keys; begin++) largest = *begin > largest ? *begin : largest;
  return largest;
}

/* ---- sorting ---- */

/* Bins of the digit at this shift. */
static size_t bins_at(unsigned shift) { return shift == RANK_SHIFT ? BINS : (size_t)1 << DIGIT_BITS; }

static void count_digits(const sorter *s, unsigned part, unsigned shift) {
  uint64_t end = sap__part(s->n, part + 1, s->parts), *bins = s->bins + part * BINS;
  size_t count = bins_at(shift);
  memset(bins, 0, count * sizeof *bins);
  for (uint64_t i = sap__part(s->n, part, s->parts); i < end; i++) bins[s->keys[i] >> shift & (count - 1)]++;
}

/* Turns counts into places: bin by bin, and within a bin part by part, so that the sort is stable. */
static void place_digits(const sorter *s, unsigned shift) {
  uint64_t place = 0;
  for (size_t bin = 0; bin < bins_at(shift); bin++)
    for (unsigned part = 0; part < s->parts; part++) {
      uint64_t count = s->bins[part * BINS + bin];
      s->bins[part * BINS + bin] = place;
      place += count;
    }
}

static void move_keys(const sorter *s, unsigned part, unsigned shift) {
  const uint32_t *keys = s->keys;
  uint32_t *spare = s->spare, mask = (1u << DIGIT_BITS) - 1;
  uint64_t end = sap__part(s->n, part + 1, s->parts), *places = s->bins + part * BINS;
  for (uint64_t i = sap__part(s->n, part, s->parts); i < end; i++) spare[places[keys[i] >> shift & mask]++] = keys[i];
}

/* Sorts by the low digits, then counts the high one: what is left is to walk through it. */
static void sort_keys(sorter *s) {
  for (unsigned shift = 0; shift <= RANK_SHIFT; shift += DIGIT_BITS) {
#pragma omp parallel for schedule(dynamic, 1) if (s->parts > 1)
    for (unsigned part = 0; part < s->parts; part++) count_digits(s, part, shift);
    place_digits(s, shift);
    if (shift == RANK_SHIFT) break;
#pragma omp parallel for schedule(dynamic, 1) if (s->parts > 1)
    for (unsigned part = 0; part < s->parts; part++) move_keys(s, part, shift);
    uint32_t *sorted = s->spare;
    s->spare = s->keys;
    s->keys = sorted;
  }
}

/* ---- the sum ---- */

typedef struct sums {
  double ranked, plain;
} sums;

/* One part's share of Σ(2i − d − 1) · w(i) and Σw(i). A key's place under the highest digit is its rank, i − 1.
 * Magnitudes are relative to the largest; runs of SAP__BLOCK keep rounding small for any length. */
static sums sum_part(const sorter *s, unsigned part, double largest) {
  uint64_t start = sap__part(s->n, part, s->parts), end = sap__part(s->n, part + 1, s->parts);
  uint64_t *ranks = s->bins + part * BINS;
  sums total = {0, 0};
  while (start < end) {
    uint64_t stop = end - start < SAP__BLOCK ? end : start + SAP__BLOCK;
    double ranked = 0, plain = 0;
    for (; start < stop; start++) {
      uint64_t rank = ranks[s->keys[start] >> RANK_SHIFT]++;
      double w = (double)sap__float_from_bits(s->keys[start]);
      ranked += (double)((int64_t)(2 * rank + 1) - (int64_t)s->n) * w;
      plain += w;
    }
    total.ranked += ranked / largest;
    total.plain += plain / largest;
  }
  return total;
}

static double gini_of(const sorter *s, uint32_t largest_key) {
  double d = (double)s->n, largest = (double)sap__float_from_bits(largest_key);
  sums parts[PARTS_MAX], total = {0, 0};
#pragma omp parallel for schedule(dynamic, 1) if (s->parts > 1)
  for (unsigned part = 0; part < s->parts; part++) parts[part] = sum_part(s, part, largest);
  for (unsigned part = 0; part < s->parts; part++) {
    total.ranked += parts[part].ranked;
    total.plain += parts[part].plain;
  }
  return fmin(fmax(total.ranked / (d * total.plain), 0), 1 - 1 / d);
}

/* ---- the call ---- */

static sap_status fail_nonfinite(const sap_layer *layers, size_t count, sap_error *err) {
  for (size_t i = 0; i < count; i++) {
    sap_norms norms = sap_norms_empty(0.5, 1);
    sap__span span = sap__layer_span(&layers[i]);
    sap_status status = sap__norms_add_span(&norms, &span, 1, err);
    if (status) return sap__fail_layer(err, status, &layers[i], i);
  }
  return sap__fail(err, SAP_ERROR_NONFINITE, "a weight changed while it was read");
}

/* Gathers and sorts; returns the largest key. */
static uint32_t gather_and_sort(sorter *s, const sap_layer *layers, size_t count, const uint64_t *starts) {
  uint64_t words = sap__words_total(layers, count);
  uint32_t largest = 0;
#pragma omp parallel for schedule(dynamic, 1) reduction(max : largest) if (s->parts > 1)
  for (unsigned part = 0; part < s->parts; part++) {
    uint64_t first = sap__part(words, part, s->parts), last = sap__part(words, part + 1, s->parts);
    uint32_t found = part_gather(layers, count, first, last - first, s->keys + starts[part]);
    if (found > largest) largest = found;
  }
  if (largest && largest < SAP__KEY_INFINITY) sort_keys(s);
  return largest;
}

sap_status sap_gini(const sap_layer *layers, size_t count, double *gini, sap_error *err) {
  sap_status status = sap__layers_check(layers, count, 0, err);
  if (status) return status;
  if (sap__wide_needed(layers, count)) return sap__wide_gini(layers, count, gini, err);
  uint64_t words = sap__words_total(layers, count), starts[PARTS_MAX];
  sorter s = {.parts = words < SAP__PARALLEL_MIN / 64 ? 1 : PARTS_MAX};
  for (unsigned part = 0; part < s.parts; part++) {
    uint64_t first = sap__part(words, part, s.parts);
    starts[part] = s.n;
    s.n += part_kept(layers, count, first, sap__part(words, part + 1, s.parts) - first);
  }
  if (!s.n) {
    *gini = 0;
    return SAP_OK;
  }
  uint32_t *keys = sap__alloc(s.n, 2 * sizeof *keys);
  s.keys = keys;
  s.bins = sap__alloc(s.parts * BINS, sizeof *s.bins);
  if (!keys || !s.bins) {
    sap__free(keys);
    sap__free(s.bins);
    return sap__fail_memory(err, (size_t)s.n * 2 * sizeof *keys);
  }
  s.spare = keys + s.n;
  uint32_t largest = gather_and_sort(&s, layers, count, starts);
  if (largest >= SAP__KEY_INFINITY)
    status = fail_nonfinite(layers, count, err);
  else
    *gini = largest ? gini_of(&s, largest) : 0;
  sap__free(keys);
  sap__free(s.bins);
  return status;
}
