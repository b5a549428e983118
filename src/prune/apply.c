#include "index/span.h"
#include "prune/decision.h"
#include "prune/rows.h"
#include "sapwood/prune.h"
#include "tensor/widen.h"

/* The last kept weight of magnitude `largest`, the largest of the layer; the layer has kept weights. */
static uint64_t last_largest(const sap_layer *layer, double largest) {
  const sap__span whole = sap__layer_span(layer);
  uint64_t start = layer->count, found = layer->count;
  while (start && found == layer->count) { /* piece by piece, so that those of a file can be given back */
    const uint64_t end = start;
    start = end > SAP__PARALLEL_MIN ? end - SAP__PARALLEL_MIN : 0;
    for (uint64_t i = end; i-- > start && found == layer->count;)
      if (sap_mask_get(layer->mask, i) && sap__magnitude(layer->data, layer->dtype, (size_t)i) == largest) found = i;
    const sap__span piece = sap__subspan(&whole, start, end - start);
    if (layer->mapped) sap__pages_drop(piece.w, (size_t)(sap__span_end(&piece) - (const char *)piece.w));
  }
  return found < layer->count ? found : 0;
}

/* 1 if the selections may take the layer's largest weight, and so all of it. */
static int may_empty(const sap_group *groups, size_t count, double largest) {
  for (size_t i = 0; i < count; i++)
    if (groups[i].selection.count && largest <= sap__selection_magnitude(&groups[i].selection)) return 1;
  return 0;
}

static void clear_neurons(const sap_layer *layer, const sap_group *groups) {
  sap__pages pages = SAP__PAGES_NONE;
  int64_t rows = (int64_t)layer->rows, step = (int64_t)sap__row_step(layer);
#pragma omp parallel for schedule(static) firstprivate(pages) if (layer->count >= SAP__PARALLEL_MIN)
  for (int64_t start = 0; start < rows; start += step)
    for (int64_t row = start; row < rows && row < start + step; row++) {
      sap__span span = sap__row_span_at(layer, (uint64_t)row, &pages);
      sap__select_clear_span(&span, &groups[row].selection);
    }
  sap_layer_release(layer);
}

void sap_prune_apply(const sap_layer *layers, size_t count, sap_decision *decision) {
  const double *largest = ((const sap__decision *)decision)->largest;
  sap_scope scope = decision->options.scope;
  const sap_group *group = decision->groups;
  decision->pruned = 0;
  for (size_t i = 0; i < count; i++) { /* the largest weights, while the masks still say which are kept */
    size_t groups = scope == SAP_SCOPE_NEURON ? (size_t)layers[i].rows : 1;
    sap_layer_change *change = &decision->changes[i];
    change->kept_before = sap_mask_count(layers[i].mask, layers[i].count);
    change->guarded = change->kept_before && may_empty(group, groups, largest[i]);
    change->kept_after = change->guarded ? last_largest(&layers[i], largest[i]) : 0;
    if (scope != SAP_SCOPE_GLOBAL) group += groups;
  }
  group = decision->groups;
  if (scope == SAP_SCOPE_GLOBAL) sap_select_clear(layers, count, &group->selection);
  for (size_t i = 0; i < count; i++) {
    if (scope == SAP_SCOPE_NEURON) {
      clear_neurons(&layers[i], group);
      group += layers[i].rows;
    } else if (scope == SAP_SCOPE_LAYER) {
      sap_select_clear(&layers[i], 1, &(group++)->selection);
    }
    sap_layer_change *change = &decision->changes[i];
    uint64_t place = change->kept_after; /* of the largest weight, where the layer is in danger */
    change->kept_after = sap_mask_count(layers[i].mask, layers[i].count);
    change->guarded = change->guarded && !change->kept_after;
    if (change->guarded) {
      sap_mask_set(layers[i].mask, place);
      change->kept_after = 1;
    }
    decision->pruned += change->kept_before - change->kept_after;
  }
}
