/* The Gini index of doubles: wide keys sorted by all their digits, on one thread. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "index/kernel.h"
#include "index/wide.h"

#define DIGIT_BITS 11u
#define BINS (1u << DIGIT_BITS)

/* The kept keys in order of position; returns how many, at most `room`. */
static uint64_t gather(const sap_layer *layers, size_t count, uint64_t *keys, uint64_t room) {
  sap__walk walk = sap__walk_start(layers, count, 0, sap__words_total(layers, count));
  sap__span span;
  uint64_t n = 0;
  while (sap__walk_next(&walk, &span))
    for (uint64_t i = 0; i < span.n && n < room; i++)
      if (!span.mask || sap_mask_get(span.mask, span.mask_offset + i))
        keys[n++] = sap__wide_key(span.w, span.dtype, (size_t)i);
  return n;
}

/* One stable pass of the radix sort. */
static void sort_digit(const uint64_t *from, uint64_t *to, uint64_t n, unsigned shift) {
  uint64_t places[BINS] = {0}, place = 0;
  for (uint64_t i = 0; i < n; i++) places[from[i] >> shift & (BINS - 1)]++;
  for (size_t bin = 0; bin < BINS; bin++) {
    const uint64_t in_bin = places[bin];
    places[bin] = place;
    place += in_bin;
  }
  for (uint64_t i = 0; i < n; i++) to[places[from[i] >> shift & (BINS - 1)]++] = from[i];
}

/* Magnitudes are relative to the largest; runs of SAP__BLOCK keep rounding small. */
static double gini_of(const uint64_t *sorted, uint64_t n) {
  const double d = (double)n, largest = sap__double_from_bits(sorted[n - 1]);
  double ranked = 0, plain = 0;
  for (uint64_t start = 0; start < n; start += SAP__BLOCK) {
    double run_ranked = 0, run_plain = 0;
    for (uint64_t i = start; i < n && i < start + SAP__BLOCK; i++) {
      const double w = sap__double_from_bits(sorted[i]) / largest;
      run_ranked += (double)((int64_t)(2 * i + 1) - (int64_t)n) * w;
      run_plain += w;
    }
    ranked += run_ranked;
    plain += run_plain;
  }
  return fmin(fmax(ranked / (d * plain), 0), 1 - 1 / d);
}

static sap_status fail_nonfinite(const sap_layer *layers, size_t count, sap_error *err) {
  for (size_t i = 0; i < count; i++) {
    sap_norms norms = sap_norms_empty(0.5, 1);
    sap__span span = sap__layer_span(&layers[i]);
    const sap_status status = sap__norms_add_span(&norms, &span, 1, err);
    if (status) return sap__fail_layer(err, status, &layers[i], i);
  }
  return sap__fail(err, SAP_ERROR_NONFINITE, "a weight changed while it was read");
}

sap_status sap__wide_gini(const sap_layer *layers, size_t count, double *gini, sap_error *err) {
  uint64_t n = 0;
  for (size_t i = 0; i < count; i++)
    n += layers[i].mask ? sap_mask_count(layers[i].mask, layers[i].count) : layers[i].count;
  uint64_t *keys = sap__alloc(n, 2 * sizeof *keys);
  if (!keys) return sap__fail_memory(err, (size_t)n * 2 * sizeof *keys);
  uint64_t *from = keys, *to = keys + n;
  n = gather(layers, count, keys, n);
  for (unsigned shift = 0; shift < 64; shift += DIGIT_BITS) {
    sort_digit(from, to, n, shift);
    uint64_t *sorted = to;
    to = from;
    from = sorted;
  }
  sap_status status = SAP_OK;
  if (n && from[n - 1] >= SAP__WIDE_INFINITY)
    status = fail_nonfinite(layers, count, err);
  else
    *gini = n && from[n - 1] ? gini_of(from, n) : 0;
  sap__free(keys);
  return status;
}
