#include <math.h>

#include "base/error.h"
#include "base/memory.h"
#include "index/span.h"
#include "prune/decision.h"
#include "prune/rows.h"
#include "sapwood/pqi.h"
#include "sapwood/prune.h"

/* c for one group of `total` weights, of which norms->count are kept. */
static uint64_t group_count(const sap_prune_options *options, const sap_norms *norms, uint64_t total) {
  if (options->density > 0 && options->method != SAP_METHOD_SAP && options->method != SAP_METHOD_DENSE) {
    const uint64_t keep = (uint64_t)floor(options->density * (double)total + 0.5);
    return norms->count > keep ? norms->count - keep : 0; /* zeros may go, too: the number is what was asked for */
  }
  if (options->method == SAP_METHOD_DENSE || sap_norms_degenerate(norms)) return 0;
  if (options->method == SAP_METHOD_SAP)
    return sap_norms_prune_count(norms, options->eta, options->gamma, options->beta);
  return (uint64_t)floor(options->ratio * (double)norms->count);
}

/* The largest |w| and the kept weights of layer i, from its norms or those of its neurons. */
static void note_layer(sap__decision *decision, size_t i, const sap_norms *norms) {
  sap_layer_change *change = &decision->decision.changes[i];
  if (norms->max > decision->largest[i]) decision->largest[i] = norms->max;
  change->kept_before += norms->count;
  change->kept_after += norms->count;
  decision->decision.kept_before += norms->count;
}

static sap_status decide_global(const sap_layer *layers, size_t count, sap__decision *decision,
                                sap__select_scratch *scratch, sap_error *err) {
  const sap_prune_options *options = &decision->decision.options;
  sap_group *group = decision->decision.groups;
  group->norms = sap_norms_empty(options->p, options->q);
  sap_norms *norms = sap__alloc(count, sizeof *norms);
  if (!norms) return sap__fail_memory(err, count * sizeof *norms);
  for (size_t i = 0; i < count; i++) norms[i] = group->norms;
  sap_status status = sap__norms_add_layers(norms, layers, count, err);
  uint64_t total = 0;
  for (size_t i = 0; i < count && !status; i++) {
    note_layer(decision, i, &norms[i]);
    sap_norms_merge(&group->norms, &norms[i]);
    total += layers[i].count;
  }
  sap__free(norms);
  if (status) return status;
  uint64_t c = group_count(options, &group->norms, total);
  return sap__select_with(layers, count, c, scratch, &group->selection, err);
}

static sap_status decide_layer(const sap_layer *layer, size_t i, sap_group *group, sap__decision *decision,
                               sap__select_scratch *scratch, sap_error *err) {
  const sap_prune_options *options = &decision->decision.options;
  group->norms = sap_norms_empty(options->p, options->q);
  sap__span span = sap__layer_span(layer);
  sap_status status = sap__norms_add_span(&group->norms, &span, 1, err);
  if (status) return sap__fail_layer(err, status, layer, i);
  note_layer(decision, i, &group->norms);
  return sap__select_with(layer, 1, group_count(options, &group->norms, layer->count), scratch, &group->selection, err);
}

static sap_status decide_neurons(const sap_layer *layer, size_t i, sap_group *groups, sap__decision *decision,
                                 sap_error *err) {
  const sap_prune_options *options = &decision->decision.options;
  int64_t rows = (int64_t)layer->rows;
  int finite = 1;
  sap__pages pages = SAP__PAGES_NONE;
#pragma omp parallel for schedule(static) firstprivate(pages) reduction(&& : finite) if (layer->count >= SAP__PARALLEL_MIN)
  for (int64_t row = 0; row < rows; row++) {
    sap__span span = sap__row_span_at(layer, (uint64_t)row, &pages);
    sap_norms *norms = &groups[row].norms;
    *norms = sap_norms_empty(options->p, options->q);
    if (sap__norms_add_span(norms, &span, 0, NULL))
      finite = 0;
    else
      groups[row].selection = sap__select_span(&span, group_count(options, norms, span.n));
  }
  sap_layer_release(layer);
  if (!finite) { /* once more over the whole layer, for the text */
    sap_norms norms = sap_norms_empty(options->p, options->q);
    sap__span whole = sap__layer_span(layer);
    sap_status status = sap__norms_add_span(&norms, &whole, 1, err);
    return sap__fail_layer(err, status, layer, i);
  }
  for (int64_t row = 0; row < rows; row++) note_layer(decision, i, &groups[row].norms);
  return SAP_OK;
}

static sap_status decide_all(const sap_layer *layers, size_t count, sap__decision *decision, sap_error *err) {
  sap_scope scope = decision->decision.options.scope;
  sap_group *group = decision->decision.groups;
  uint64_t most = 0; /* weights of the largest group */
  for (size_t i = 0; i < count; i++)
    if (scope == SAP_SCOPE_GLOBAL)
      most += layers[i].count;
    else if (layers[i].count > most)
      most = layers[i].count;
  sap__select_scratch scratch;
  sap_status status = sap__select_scratch_take(&scratch, most, err);
  if (status) return status;
  if (scope == SAP_SCOPE_GLOBAL) status = decide_global(layers, count, decision, &scratch, err);
  for (size_t i = 0; i < count && scope != SAP_SCOPE_GLOBAL && !status; i++) {
    if (scope == SAP_SCOPE_LAYER || layers[i].rows == 1) { /* a layer of one neuron: all threads work on it */
      status = decide_layer(&layers[i], i, group++, decision, &scratch, err);
    } else {
      status = decide_neurons(&layers[i], i, group, decision, err);
      group += layers[i].rows;
    }
  }
  sap__select_scratch_drop(&scratch);
  return status;
}

sap_status sap_prune_decide(const sap_layer *layers, size_t count, const sap_prune_options *options,
                            sap_decision **decision, sap_error *err) {
  sap_status status = sap_prune_options_check(options, err);
  if (!status) status = sap__layers_check(layers, count, 1, err);
  if (!status && options->scope == SAP_SCOPE_NEURON) status = sap__rows_check(layers, count, err);
  if (status) return status;
  sap__decision *made = sap__calloc(1, sizeof *made);
  if (!made) return sap__fail_memory(err, sizeof *made);
  made->decision.options = *options;
  made->decision.layer_count = count;
  size_t groups = options->scope == SAP_SCOPE_GLOBAL ? 1 : options->scope == SAP_SCOPE_LAYER ? count : 0;
  for (size_t i = 0; i < count; i++) {
    made->decision.total += layers[i].count;
    if (options->scope == SAP_SCOPE_NEURON) groups += (size_t)layers[i].rows;
  }
  made->decision.group_count = groups;
  made->decision.groups = sap__calloc(groups, sizeof(sap_group));
  made->decision.changes = sap__calloc(count, sizeof(sap_layer_change));
  made->largest = sap__calloc(count, sizeof(double));
  if (!made->decision.groups || !made->decision.changes || !made->largest)
    status = sap__fail_memory(err, groups * sizeof(sap_group));
  if (!status) status = decide_all(layers, count, made, err);
  if (status) {
    sap_decision_free(&made->decision);
    return status;
  }
  for (size_t i = 0; i < count; i++) made->decision.changes[i].degenerate = made->largest[i] == 0;
  *decision = &made->decision;
  return SAP_OK;
}

void sap_decision_free(sap_decision *decision) {
  if (!decision) return;
  sap__free(decision->groups);
  sap__free(decision->changes);
  sap__free(((sap__decision *)decision)->largest);
  sap__free(decision);
}
