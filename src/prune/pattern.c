/* The pattern N:M. */
#include "base/error.h"
#include "index/span.h"
#include "prune/rows.h"
#include "sapwood/prune.h"

enum { GROUP_MAX = 64 };

/* Keeps at most `keep` of the n weights from place `start` on; returns how many go, -1 if a kept one is not finite. */
static int prune_group(const sap_layer *layer, uint64_t start, unsigned n, unsigned keep) {
  double magnitudes[GROUP_MAX];
  unsigned char places[GROUP_MAX]; /* of the kept, rising by magnitude; equal ones by position */
  unsigned kept = 0;
  for (unsigned i = 0; i < n; i++) {
    if (!sap_mask_get(layer->mask, start + i)) continue;
    const double x = sap__magnitude(layer->data, layer->dtype, (size_t)(start + i));
    if (!(x - x == 0)) return -1;
    unsigned at = kept++;
    for (; at > 0 && magnitudes[at - 1] > x; at--) {
      magnitudes[at] = magnitudes[at - 1];
      places[at] = places[at - 1];
    }
    magnitudes[at] = x;
    places[at] = (unsigned char)i;
  }
  const unsigned gone = kept > keep ? kept - keep : 0;
  for (unsigned i = 0; i < gone; i++) sap_mask_clear(layer->mask, start + places[i]);
  return (int)gone;
}

/* Returns how many weights of the row go, -1 if one is not finite. */
static int64_t prune_row(const sap_layer *layer, uint64_t row, unsigned keep, unsigned of) {
  const uint64_t length = layer->count / layer->rows, begin = row * length;
  int64_t gone = 0;
  for (uint64_t i = 0; i < length; i += of) {
    const int some = prune_group(layer, begin + i, length - i < of ? (unsigned)(length - i) : of, keep);
    if (some < 0) return -1;
    gone += some;
  }
  return gone;
}

static sap_status prune_layer(const sap_layer *layer, size_t position, unsigned keep, unsigned of, uint64_t *pruned,
                              sap_error *err) {
  const int64_t rows = layer->count ? (int64_t)layer->rows : 0, step = (int64_t)sap__row_step(layer);
  int64_t gone = 0;
  int finite = 1;
  sap__pages pages = SAP__PAGES_NONE;
#pragma omp parallel for schedule(static) firstprivate(pages) reduction(+ : gone) reduction(&& : finite) \
    if (layer->count >= SAP__PARALLEL_MIN)
  for (int64_t start = 0; start < rows; start += step)
    for (int64_t row = start; row < rows && row < start + step; row++) {
      (void)sap__row_span_at(layer, (uint64_t)row, &pages);
      const int64_t some = prune_row(layer, (uint64_t)row, keep, of);
      finite = finite && some >= 0;
      gone += some;
    }
  sap_layer_release(layer);
  if (finite) {
    *pruned = (uint64_t)gone;
    return SAP_OK;
  }
  sap_norms norms = sap_norms_empty(0.5, 1); /* once more over the whole layer, for the text */
  const sap__span whole = sap__layer_span(layer);
  const sap_status status = sap__norms_add_span(&norms, &whole, 1, err);
  return sap__fail_layer(err, status, layer, position);
}

sap_status sap_prune_pattern(const sap_layer *layers, size_t count, unsigned keep, unsigned of, uint64_t *pruned,
                             sap_error *err) {
  if (keep < 1 || keep >= of || of > GROUP_MAX)
    return sap__fail(err, SAP_ERROR_ARGUMENT, "%u:%u: expected 1 <= N < M <= %d", keep, of, GROUP_MAX);
  sap_status status = sap__layers_check(layers, count, 1, err);
  if (!status) status = sap__rows_check(layers, count, err);
  for (size_t i = 0; i < count && !status; i++) {
    uint64_t gone = 0;
    status = prune_layer(&layers[i], i, keep, of, &gone, err);
    if (!status && pruned) pruned[i] = gone;
  }
  return status;
}
