#include "index/wide.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "index/kernel.h"

int sap__wide_needed(const sap_layer *layers, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (layers[i].dtype == SAP_F64) return 1;
  return 0;
}

static int kept(const uint64_t *keep, size_t i) { return !keep || (keep[i / 64] >> (i % 64) & 1); }

/* ---- norms ---- */

/* (x · 2^-exponent)^power for x > 0. In the log domain but for the common powers: no product may overflow or vanish
 * that the result does not. */
static double scaled_power(double x, int exponent, double power) {
  if (power != 0.5 && power != 1 && power != 2) return exp2(power * (log2(x) - exponent));
  const int half = exponent / 2; /* 2^-exponent itself may not be a double */
  const double scaled = x * ldexp(1, -half) * ldexp(1, half - exponent);
  return power == 1 ? scaled : power == 2 ? scaled * scaled : sqrt(scaled);
}

int sap__wide_add_block(sap_norms *norms, const sap__span *span) {
  uint64_t words[SAP__BLOCK_WORDS], largest = 0;
  const uint64_t *keep = sap__span_keep(span, words);
  const size_t n = (size_t)span->n;
  sap_norms block = sap_norms_empty(norms->p, norms->q);
  for (size_t i = 0; i < n; i++) {
    if (!kept(keep, i)) continue;
    const uint64_t key = sap__wide_key(span->w, span->dtype, i);
    block.count++;
    block.zeros += key == 0;
    if (key > largest) largest = key;
  }
  if (largest >= SAP__WIDE_INFINITY) return 0;
  block.max = sap__double_from_bits(largest);
  if (largest) block.exponent = ilogb(block.max);
  for (size_t start = 0; start < n && largest; start += 64) { /* runs: rounding does not grow with the length */
    double run_p = 0, run_q = 0;
    for (size_t i = start; i < n && i < start + 64; i++) {
      const double x = kept(keep, i) ? sap__magnitude(span->w, span->dtype, i) : 0;
      if (x == 0) continue;
      run_p += scaled_power(x, block.exponent, norms->p);
      run_q += scaled_power(x, block.exponent, norms->q);
    }
    block.sum_p += run_p;
    block.sum_q += run_q;
  }
  sap_norms_merge(norms, &block);
  return 1;
}

/* ---- selection: digit by digit from the top ---- */

#define DIGIT 11u
#define BINS (1u << DIGIT)

typedef struct wide_search {
  uint64_t prefix; /* the digits known so far, at their places */
  unsigned shift;  /* of the digit looked for */
  uint64_t rank, found;
} wide_search;

/* Counts the kept keys of a span that begin with the known digits. */
static void count_span(const wide_search *s, const sap__span *span, uint64_t *bins) {
  const unsigned above = s->shift + DIGIT;
  for (uint64_t i = 0; i < span->n; i++) {
    if (span->mask && !sap_mask_get(span->mask, span->mask_offset + i)) continue;
    const uint64_t key = sap__wide_key(span->w, span->dtype, (size_t)i);
    if (above >= 64 || (key ^ s->prefix) >> above == 0) bins[key >> s->shift & (BINS - 1)]++;
  }
}

/* Takes the digit whose bin holds the rank-th key; 0 if there are not so many. */
static int narrow(wide_search *s, const uint64_t *bins) {
  uint64_t below = 0;
  for (uint64_t bin = 0; bin < BINS; below += bins[bin++]) {
    if (below + bins[bin] < s->rank) continue;
    s->prefix |= bin << s->shift;
    s->rank -= below;
    s->found = bins[bin];
    return 1;
  }
  return 0;
}

/* Six digits of 11 bits: 66, of which the key fills 63. */
#define TOP_SHIFT (5 * DIGIT)

sap_selection sap__wide_select_span(const sap__span *span, uint64_t c) {
  wide_search s = {0, TOP_SHIFT, c, 0};
  for (;; s.shift -= DIGIT) {
    uint64_t bins[BINS] = {0};
    count_span(&s, span, bins);
    if (!narrow(&s, bins) || !s.shift) break;
  }
  return (sap_selection){c, s.prefix, s.rank, s.found, 1};
}

sap_status sap__wide_select(const sap_layer *layers, size_t count, uint64_t c, sap_selection *selection,
                            sap_error *err) {
  wide_search s = {0, TOP_SHIFT, c, 0};
  for (;; s.shift -= DIGIT) {
    uint64_t bins[BINS] = {0};
    sap__walk walk = sap__walk_start(layers, count, 0, sap__words_total(layers, count));
    sap__span span;
    while (sap__walk_next(&walk, &span)) count_span(&s, &span, bins);
    if (!narrow(&s, bins)) return sap__fail(err, SAP_ERROR_NONFINITE, "a weight changed while it was read");
    if (!s.shift) break;
  }
  *selection = (sap_selection){c, s.prefix, s.rank, s.found, 1};
  return SAP_OK;
}

void sap__wide_compare(const sap__span *span, uint64_t low, uint64_t high, uint64_t *below, uint64_t *inside) {
  const size_t n = (size_t)span->n;
  memset(below, 0, (n + 63) / 64 * sizeof *below);
  memset(inside, 0, (n + 63) / 64 * sizeof *inside);
  for (size_t i = 0; i < n; i++) {
    const uint64_t key = sap__wide_key(span->w, span->dtype, i);
    below[i / 64] |= (uint64_t)(key < low) << (i % 64);
    inside[i / 64] |= (uint64_t)(key >= low && key <= high) << (i % 64);
  }
}
