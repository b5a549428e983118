#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "index/span.h"
#include "prune/rows.h"
#include "sapwood/prune.h"

#define FEW 64 /* norms that fit on the stack until all are known to be good */

sap_status sap__rows_check(const sap_layer *layers, size_t count, sap_error *err) {
  for (size_t i = 0; i < count; i++) {
    if (layers[i].rows ? layers[i].count % layers[i].rows == 0 : layers[i].count == 0) continue;
    sap__fail(err, SAP_ERROR_ARGUMENT, "%llu weights in %llu rows, expected a multiple",
              (unsigned long long)layers[i].count, (unsigned long long)layers[i].rows);
    return sap__fail_layer(err, SAP_ERROR_ARGUMENT, &layers[i], i);
  }
  return SAP_OK;
}

sap_status sap_measure(const sap_layer *layers, size_t count, double p, double q, sap_norms *layer_norms,
                       sap_norms *global_norms, sap_error *err) {
  sap_status status = sap_pq_check(p, q, err);
  if (!status) status = sap__layers_check(layers, count, 0, err);
  if (status) return status;
  sap_norms few[FEW], *each = count <= FEW ? few : sap__alloc(count, sizeof *each), sum = sap_norms_empty(p, q);
  if (!each) return sap__fail_memory(err, count * sizeof *each);
  for (size_t i = 0; i < count; i++) each[i] = sum;
  status = sap__norms_add_layers(each, layers, count, err);
  for (size_t i = 0; i < count && !status; i++) sap_norms_merge(&sum, &each[i]);
  if (!status && layer_norms) memcpy(layer_norms, each, count * sizeof *each);
  if (!status) *global_norms = sum;
  if (each != few) sap__free(each);
  return status;
}

sap_status sap_measure_neurons(const sap_layer *layer, double p, double q, sap_norms *neuron_norms, sap_error *err) {
  sap_status status = sap_pq_check(p, q, err);
  if (!status) status = sap__layers_check(layer, 1, 0, err);
  if (!status) status = sap__rows_check(layer, 1, err);
  if (status) return status;
  int64_t rows = (int64_t)layer->rows, first_bad = rows;
  sap_norms few[FEW], *each = layer->rows <= FEW ? few : sap__alloc(layer->rows, sizeof *each);
  if (!each) return sap__fail_memory(err, layer->rows * sizeof *each);
  sap__pages pages = SAP__PAGES_NONE;
#pragma omp parallel for schedule(static) firstprivate(pages) \
    reduction(min                                             \
              : first_bad) if (rows > 1 && layer->count >= SAP__PARALLEL_MIN)
  for (int64_t row = 0; row < rows; row++) {
    sap__span span = sap__row_span_at(layer, (uint64_t)row, &pages);
    each[row] = sap_norms_empty(p, q);
    if (sap__norms_add_span(&each[row], &span, rows == 1, NULL) && row < first_bad) first_bad = row;
  }
  sap_layer_release(layer);
  if (first_bad == rows) memcpy(neuron_norms, each, layer->rows * sizeof *each);
  if (each != few) sap__free(each);
  if (first_bad == rows) return SAP_OK;
  sap_norms norms = sap_norms_empty(p, q); /* once more over the whole layer, for the text */
  sap__span whole = sap__layer_span(layer);
  status = sap__norms_add_span(&norms, &whole, 1, err);
  return sap__fail_layer(err, status, layer, 0);
}
