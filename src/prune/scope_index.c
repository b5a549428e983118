/* The PQ Index at a scope: the mean over its groups by kept weights. */
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "sapwood/pqi.h"
#include "sapwood/prune.h"

/* Σ d·I and Σ d. */
typedef struct mean {
  double sum, kept;
} mean;

static void add_groups(mean *m, const sap_norms *groups, uint64_t count) {
  for (uint64_t i = 0; i < count; i++) {
    m->sum += (double)groups[i].count * sap_norms_pqi(&groups[i]);
    m->kept += (double)groups[i].count;
  }
}

static uint64_t most_rows(const sap_layer *layers, size_t count) {
  uint64_t most = 0;
  for (size_t i = 0; i < count; i++) most = layers[i].rows > most ? layers[i].rows : most;
  return most;
}

sap_status sap_measure_scope(const sap_layer *layers, size_t count, sap_scope scope, double p, double q,
                             sap_norms *layer_norms, sap_norms *global_norms, double *pqi, sap_error *err) {
  const uint64_t rows = scope == SAP_SCOPE_NEURON ? most_rows(layers, count) : 0, room = rows > count ? rows : count;
  sap_norms *groups = sap__alloc(room, sizeof *groups), all;
  if (!groups) return sap__fail_memory(err, room * sizeof *groups);
  mean m = {0, 0};
  sap_status status = SAP_OK;
  for (size_t i = 0; i < count && scope == SAP_SCOPE_NEURON && !status; i++) {
    status = sap_measure_neurons(&layers[i], p, q, groups, err);
    if (!status) add_groups(&m, groups, layers[i].rows);
  }
  if (!status) status = sap_measure(layers, count, p, q, groups, &all, err);
  if (!status) {
    if (scope == SAP_SCOPE_LAYER) add_groups(&m, groups, count);
    if (scope == SAP_SCOPE_GLOBAL) add_groups(&m, &all, 1);
    if (layer_norms) memcpy(layer_norms, groups, count * sizeof *groups);
    if (global_norms) *global_norms = all;
    *pqi = m.kept > 0 ? m.sum / m.kept : 0;
  }
  sap__free(groups);
  return status;
}
