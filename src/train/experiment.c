/* The experiment from settings to run directory. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "sapwood/cpu.h"
#include "train/network.h"
#include "train/profile.h"
#include "train/trainer.h"
#include "train/weights.h"

/* The files of a run have names of at most this many bytes. */
enum { FILE_NAME_SIZE = 40 };

static sap_status take_arenas(sap__trainer *t, sap_error *err) {
  sap_status status = sap__arena_new(t->graph, 1, &t->state.arena, err);
  if (status) return status;
  const sap__arena *arena = t->state.arena;
  int keeps_first = t->experiment->prune.method == SAP_METHOD_OS, keeps_best = t->experiment->select != SAP_PICK_LAST;
  t->state.initial = sap__calloc(arena->count, sizeof(float));
  if (keeps_best) t->state.best = sap__calloc(arena->count, sizeof(float));
  if (keeps_first) {
    t->state.first = sap__calloc(arena->count, sizeof(float));
    t->first_layers = sap__calloc(arena->layer_count, sizeof *t->first_layers);
  }
  t->layer_norms = sap__calloc(arena->layer_count, sizeof *t->layer_norms);
  t->layer_records = sap__calloc(arena->layer_count, sizeof *t->layer_records);
  t->mask_bytes = sap__calloc(arena->prunable, 1);
  if (!t->state.initial || (keeps_best && !t->state.best) || (keeps_first && (!t->state.first || !t->first_layers)) ||
      !t->layer_norms || !t->layer_records || !t->mask_bytes)
    return sap__fail_memory(err, arena->count * sizeof(float));
  for (size_t i = 0; keeps_first && i < arena->layer_count; i++) {
    t->first_layers[i] = arena->layers[i];
    t->first_layers[i].data = t->state.first + ((const float *)arena->layers[i].data - arena->weights);
  }
  return SAP_OK;
}

/* The indices and densities that --stop auto decides by. */
static sap_status take_series(sap__trainer *t, sap_error *err) {
  if (t->experiment->stop != SAP_STOP_AUTO) return SAP_OK;
  const uint64_t count = (uint64_t)t->experiment->iterations + 1;
  t->state.series_count = count;
  t->state.pqi = sap__calloc(2 * count, sizeof *t->state.pqi);
  if (!t->state.pqi) return sap__fail_memory(err, 2 * count * sizeof *t->state.pqi);
  t->state.density = t->state.pqi + count;
  return SAP_OK;
}

static sap_status open_passes(sap__trainer *t, sap_error *err) {
  const sap_experiment *e = t->experiment;
  if ((uint32_t)e->validation >= t->data->train.count)
    return sap__fail(err, SAP_ERROR_ARGUMENT, "validation %d: expected fewer than the %u training pictures",
                     e->validation, t->data->train.count);
  sap_status status = sap__loader_new(t->data, &t->data->train, &t->train.loader, err);
  if (!status && e->validation)
    status = sap__loader_hold_out(&t->train.loader, (uint32_t)e->validation, e->seed, &t->validation.loader, err);
  if (!status) status = sap__loader_new(t->data, &t->data->test, &t->test.loader, err);
  int colour = t->data->channels == 3;
  t->train.loader.augments = e->augment == SAP_AUGMENT_AUTO ? colour : e->augment == SAP_AUGMENT_CROP_FLIP;
  float *gradients = t->state.arena->gradients;
  sap__choices *choices = t->remember.choices;
  const sap__engine *engine = e->precision == SAP_PRECISION_BF16 ? t->engine->bf16 : t->engine;
  if (!status && !engine)
    status = sap__fail(err, SAP_ERROR_UNSUPPORTED, "precision bf16: engine %s has none", t->engine->name);
  if (!status) status = sap__pass_plan(&t->train, engine, t->state.arena, e->batch, gradients, choices, err);
  /* Pictures that are not augmented lie ready in memory: copying them ahead would gain nothing. */
  if (!status && t->train.loader.augments) status = sap__pass_prefetch(&t->train, e->loader_threads, err);
  if (!status) status = sap__pass_plan(&t->validation, t->engine, t->state.arena, e->batch, NULL, choices, err);
  if (!status) status = sap__pass_plan(&t->test, t->engine, t->state.arena, e->batch, NULL, choices, err);
  return status;
}

sap_status sap__trainer_open(sap__trainer *t, const sap_experiment *experiment,
                             const sap_experiment_callbacks *callbacks, const char *run, sap_error *err) {
  *t = (sap__trainer){.experiment = experiment, .run = {.directory = -1, .metrics = -1}};
  if (callbacks) t->callbacks = *callbacks;
  t->engine = sap__engine_find(experiment->engine);
  sap_dataset_options options = sap__network_pictures(run, experiment->model, experiment->data);
  if (experiment->image_size) options.image_size = experiment->image_size;
  sap_status status = sap_dataset_open(experiment->data, &options, &t->data, err);
  if (status) return status;
  sap__shape input = sap__shape_3(t->data->channels, t->data->height, t->data->width);
  status = sap__network_open(run, experiment->model, input, t->data->classes, &t->graph, err);
  if (!status) status = take_arenas(t, err);
  char path[SAP_TEXT_SIZE];
  if (run) sap__run_file(run, "plan.json", path, sizeof path);
  if (!status) status = sap__remember_open(&t->remember, t->engine, t->graph, run ? path : NULL, err);
  if (!status) status = take_series(t, err);
  if (!status) status = open_passes(t, err);
  return status;
}

void sap__trainer_close(sap__trainer *t) {
  sap__pass_free(&t->train);
  sap__pass_free(&t->validation);
  sap__pass_free(&t->test);
  sap__arena_free(t->state.arena);
  sap__free(t->state.initial);
  sap__free(t->state.best);
  sap__free(t->state.first);
  sap__free(t->state.pqi);
  sap__free(t->first_layers);
  sap__free(t->layer_norms);
  sap__free(t->layer_records);
  sap__free(t->mask_bytes);
  sap__remember_close(&t->remember);
  sap__graph_free(t->graph);
  sap_dataset_free(t->data);
  sap__run_close(&t->run);
}

/* How the engine computes, for those who go on with the run. */
static sap_status save_plan(sap__trainer *t, const char *run, sap_error *err) {
  char path[SAP_TEXT_SIZE];
  sap__run_file(run, "plan.json", path, sizeof path);
  return sap__remember_save(&t->remember, path, err);
}

/* Initial weights, their file, and a state to resume from before the first step. */
static sap_status start(sap__trainer *t, const char *run, sap_error *err) {
  sap__arena *arena = t->state.arena;
  sap_status status = sap__network_initialise(arena, t->experiment->seed, t->experiment->start == SAP_START_FRESH, err);
  if (status) return status;
  memcpy(t->state.initial, arena->weights, arena->count * sizeof(float));
  t->state.at = (sap__position){.epoch = 1};
  char path[SAP_TEXT_SIZE];
  sap__run_file(run, "initial.safetensors", path, sizeof path);
  status = sap__weights_write(path, arena, t->data, 0, -1, NULL, err);
  if (!status) status = sap__network_keep(t->graph, arena->weights, run, -1, err);
  return status ? status : sap__state_save(&t->state, &t->run, err);
}

static sap_status begin(sap__trainer *t, const char *run, sap_error *err) {
  sap_status status = sap__run_create(&t->run, run, t->experiment, err);
  if (!status) status = save_plan(t, run, err);
  if (!status) status = start(t, run, err);
  if (status) sap__run_discard(&t->run);
  return status;
}

static sap_status resume(sap__trainer *t, const char *run, sap_error *err) {
  sap_status status = sap__run_resume(&t->run, run, t->experiment, err);
  if (!status && sap__remember_grew(&t->remember)) status = save_plan(t, run, err);
  if (status) return status;
  sap_error inner = {0};
  status = sap__state_load(&t->state, &t->run, &inner);
  /* A process killed before it saved its first state had done nothing yet: no metrics either. */
  if (status == SAP_ERROR_NOT_FOUND && !t->run.metrics_size) return start(t, run, err);
  return status ? sap__fail(err, status, "%s", inner.text) : SAP_OK;
}

/* From the current position to the end. Every epoch and every pruning ends with a state on the disk. */
static sap_status proceed(sap__trainer *t, sap_error *err) {
  const sap_experiment *e = t->experiment;
  const sap__position *at = &t->state.at;
  while (at->iteration <= (uint64_t)e->iterations) {
    int trains = at->epoch <= (uint64_t)e->epochs;
    sap_status status = trains ? sap__trainer_epoch(t, err) : sap__trainer_prune(t, err);
    if (status && status != SAP_INTERRUPTED) return status;
    sap_error unsaved;
    sap_status saved = sap__state_save(&t->state, &t->run, status ? &unsaved : err);
    if (saved && status) return sap__fail(err, saved, "interrupted, and not saved: %s", unsaved.text);
    if (saved || status) return saved ? saved : status;
  }
  return SAP_OK;
}

sap_status sap_experiment_run(const sap_experiment *experiment, const char *run, int resumes,
                              const sap_experiment_callbacks *callbacks, sap_error *err) {
  sap_status status = sap_experiment_check(experiment, err);
  if (status) return status;
  if (!*run || strlen(run) >= SAP_TEXT_SIZE - FILE_NAME_SIZE)
    return sap__fail(err, SAP_ERROR_ARGUMENT, "run: expected a path of 1 to %d bytes", SAP_TEXT_SIZE - FILE_NAME_SIZE);
  int threads = sap_threads_get();
  sap_threads_set(experiment->threads);
  sap__trainer trainer;
  status = sap__trainer_open(&trainer, experiment, callbacks, resumes ? run : NULL, err);
  if (!status) status = resumes ? resume(&trainer, run, err) : begin(&trainer, run, err);
  if (!status && trainer.callbacks.started) trainer.callbacks.started(trainer.callbacks.user, experiment, resumes);
  if (!status) status = sap__profile_start(&trainer, err);
  if (!status) {
    status = proceed(&trainer, err);
    sap__profile_report(&trainer);
  }
  sap__trainer_close(&trainer);
  sap_threads_set(threads);
  return status;
}

sap_status sap_experiment_finished(const char *run, int *finished, sap_error *err) {
  sap_experiment experiment;
  sap_status status = sap_experiment_load(run, &experiment, err);
  if (status) return status;
  uint64_t iteration = 0;
  sap_error inner = {0};
  status = sap__state_iteration(run, &iteration, &inner);
  if (status && status != SAP_ERROR_NOT_FOUND) return sap__fail(err, status, "%s", inner.text);
  *finished = iteration > (uint64_t)experiment.iterations;
  return SAP_OK;
}
