#include "sapwood/histogram.h"

#include <string.h>

#include "base/threads.h"
#include "index/kernel.h"
#include "index/wide.h"

/* floor(log2 |w|) of a finite key that is not 0. */
static int exponent_of(uint64_t key) {
  const int biased = (int)(key >> 52);
  return biased ? biased - 1023 : 63 - __builtin_clzll(key) - SAP_HISTOGRAM_ZERO;
}

static void add_span(const sap__span *span, sap_histogram *sum) {
  for (uint64_t i = 0; i < span->n; i++) {
    if (span->mask && !sap_mask_get(span->mask, span->mask_offset + i)) continue;
    const uint64_t key = sap__wide_key(span->w, span->dtype, (size_t)i);
    if (!key)
      sum->zeros++;
    else if (key >= SAP__WIDE_INFINITY)
      sum->nonfinite++;
    else
      sum->bins[SAP_HISTOGRAM_ZERO + exponent_of(key)]++;
  }
}

static void add(sap_histogram *sum, const sap_histogram *other) {
  sum->zeros += other->zeros;
  sum->nonfinite += other->nonfinite;
  for (size_t i = 0; i < SAP_HISTOGRAM_BINS; i++) sum->bins[i] += other->bins[i];
}

sap_status sap_layer_histogram(const sap_layer *layer, sap_histogram *histogram, sap_error *err) {
  const sap_status status = sap__layers_check(layer, 1, 0, err);
  if (status) return status;
  const uint64_t words = sap_mask_words(layer->count);
  const unsigned shares = layer->count < SAP__PARALLEL_MIN ? 1 : 16;
  memset(histogram, 0, sizeof *histogram);
#pragma omp parallel for schedule(dynamic, 1) if (shares > 1)
  for (unsigned share = 0; share < shares; share++) {
    sap_histogram own;
    memset(&own, 0, sizeof own);
    const uint64_t first = sap__part(words, share, shares);
    sap__walk walk = sap__walk_start(layer, 1, first, sap__part(words, share + 1, shares) - first);
    sap__span span;
    while (sap__walk_next(&walk, &span)) add_span(&span, &own);
#pragma omp critical
    add(histogram, &own);
  }
  return SAP_OK;
}
