/* The end of an iteration: measure, decide, prune, rewind. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "sapwood/gini.h"
#include "sapwood/phase.h"
#include "sapwood/pqi.h"
#include "train/network.h"
#include "train/record.h"
#include "train/trainer.h"
#include "train/weights.h"

/* PQ Index and Gini index of every layer and of all as one vector, PQ Index at the method's scope, before pruning. */
static sap_status measure(sap__trainer *t, sap_iteration_record *record, sap_error *err) {
  const sap_prune_options *o = &t->experiment->prune;
  const sap__arena *arena = t->state.arena;
  sap_norms all;
  sap_status status = sap_measure_scope(arena->layers, arena->layer_count, o->scope, o->p, o->q, t->layer_norms, &all,
                                        &record->scope_pqi, err);
  if (!status) status = sap_gini(arena->layers, arena->layer_count, &record->gini, err);
  for (size_t i = 0; i < arena->layer_count && !status; i++) {
    sap_layer_record *layer = &t->layer_records[i];
    *layer = (sap_layer_record){.name = arena->layers[i].name,
                                .total = arena->layers[i].count,
                                .kept = t->layer_norms[i].count,
                                .pqi = sap_norms_pqi(&t->layer_norms[i]),
                                .degenerate = sap_norms_degenerate(&t->layer_norms[i])};
    status = sap_gini(&arena->layers[i], 1, &layer->gini, err);
  }
  if (status) return status;
  record->total = arena->prunable;
  record->kept = all.count;
  record->density = (double)all.count / (double)arena->prunable;
  record->pqi = sap_norms_pqi(&all);
  record->retain = sap_norms_retain(&all, o->eta);
  record->prune_ratio = all.count ? fmin(o->gamma * (1 - record->retain / (double)all.count), o->beta) : 0;
  record->prune_ratio = fmax(record->prune_ratio, 0);
  return SAP_OK;
}

/* Decides, prunes, and looks at the pruned model before anything is retrained. */
static sap_status prune(sap__trainer *t, sap_iteration_record *record, sap_error *err) {
  const sap_prune_options *o = &t->experiment->prune;
  sap__arena *arena = t->state.arena;
  const sap_layer *layers = t->first_layers ? t->first_layers : arena->layers;
  sap_decision *decision;
  sap_status status = sap_prune_decide(layers, arena->layer_count, o, &decision, err);
  if (status) return status;
  sap_prune_apply(layers, arena->layer_count, decision);
  record->pruned = decision->pruned;
  for (size_t i = 0; i < arena->layer_count; i++) t->layer_records[i].guarded = decision->changes[i].guarded;
  sap_decision_free(decision);
  sap__arena_apply_mask(arena);
  double loss;
  sap__pass_evaluate(&t->test, &loss, &record->pruned_test_accuracy);
  sap_norms all;
  status = sap_measure(arena->layers, arena->layer_count, o->p, o->q, NULL, &all, err);
  if (!status) record->pruned_pqi = sap_norms_pqi(&all);
  return status;
}

static sap_status write_weights(sap__trainer *t, sap_error *err) {
  char path[SAP_TEXT_SIZE];
  int iteration = (int)t->state.at.iteration;
  sap__run_iteration(t->run.path, iteration, ".safetensors", path, sizeof path);
  sap_status status = sap__weights_write(path, t->state.arena, t->data, 1, iteration, t->mask_bytes, err);
  return status ? status : sap__network_keep(t->graph, t->state.arena->weights, t->run.path, iteration, err);
}

/* Restarts from the initial weights under the new mask; with --rewind none, trains on from the pruned ones. */
static void rewind_weights(sap__trainer *t) {
  sap__arena *arena = t->state.arena;
  if (t->experiment->rewind != SAP_REWIND_NONE) {
    memcpy(arena->weights, t->state.initial, arena->count * sizeof(float));
    sap__arena_apply_mask(arena);
  }
  memset(arena->momentum, 0, arena->count * sizeof(float));
}

/* With --stop auto: whether the run ends here, by the indices and densities of all iterations so far. */
static sap_status decide_stop(sap__trainer *t, sap_iteration_record *record, sap_error *err) {
  if (!t->state.pqi || t->state.at.iteration >= (uint64_t)t->experiment->iterations) return SAP_OK;
  const size_t iteration = (size_t)t->state.at.iteration;
  sap_phase_options options = sap_phase_options_default();
  options.confirm = t->experiment->stop_after;
  sap_phases phases;
  t->state.pqi[iteration] = record->scope_pqi;
  t->state.density[iteration] = record->density;
  const sap_status status = sap_phases_find(t->state.pqi, t->state.density, iteration + 1, &options, &phases, err);
  if (!status) record->stopped = phases.passed >= 0;
  return status;
}

sap_status sap__trainer_prune(sap__trainer *t, sap_error *err) {
  sap__position *at = &t->state.at;
  sap__arena *arena = t->state.arena;
  size_t bytes = arena->count * sizeof(float);
  if (t->state.best) memcpy(arena->weights, t->state.best, bytes);
  if (t->state.first && !at->iteration) memcpy(t->state.first, arena->weights, bytes);
  sap_iteration_record record = {.iteration = (int)at->iteration,
                                 .pruned_test_accuracy = NAN,
                                 .pruned_pqi = NAN,
                                 .layer_count = arena->layer_count,
                                 .layers = t->layer_records};
  sap__pass_evaluate(&t->test, &record.test_loss, &record.test_accuracy);
  sap_status status = measure(t, &record, err);
  if (!status) status = write_weights(t, err);
  if (!status) status = decide_stop(t, &record, err);
  const uint64_t last = record.stopped ? at->iteration : (uint64_t)t->experiment->iterations;
  if (!status && at->iteration < last) status = prune(t, &record, err);
  if (!status) status = sap__run_append(&t->run, sap__iteration_line(&record), err);
  if (status) return status;
  if (t->callbacks.iteration) t->callbacks.iteration(t->callbacks.user, &record);
  at->iteration = at->iteration < last ? at->iteration + 1 : (uint64_t)t->experiment->iterations + 1;
  at->epoch = 1;
  at->best_epoch = 0;
  at->best_accuracy = 0;
  if (at->iteration <= (uint64_t)t->experiment->iterations) rewind_weights(t);
  return SAP_OK;
}
