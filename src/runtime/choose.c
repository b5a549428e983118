/* Choosing how a session computes: by measuring on this machine, or by a fixed rule. */
#include <time.h>

#include "base/error.h"
#include "base/memory.h"
#include "runtime/mix.h"
#include "runtime/remember.h"
#include "sapwood/cpu.h"

enum { TILES_TRIED = 6, TUNING_ROUNDS = 5, RACE_ROUNDS = 60, RACE_ROUNDS_MIN = 8, LAYER_ROUNDS = 3 };

/* Rounds of a race end when they have taken so many seconds, but not before the eighth: a choice is kept, so that one
 * moment in which the machine is busy elsewhere must not decide it. */
#define RACE_SECONDS 1.0

/* Density from which the dense way is worth trying, and from which the fixed rule takes it. */
#define DENSE_TRIED 0.08
#define DENSE_RULE 0.4

double sap__session_clock(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* The tile with the least seconds, on whatever the memory holds. They take turns, so that a moment in which the machine
 * is busy elsewhere strikes all alike. */
static void tune_stage(const sap__segment *segment, sap__stage *stage) {
  sap__unit unit = {.count = 1, .memory = segment->memory};
  const sap__tile *tiles[SAP__TILE_COUNT], *best = stage->of.tiles.tile;
  int count = sap__tiles_choose(segment->schedule, &stage->of.tiles, tiles);
  double least = 1e30;
  for (int round = 0; round < TUNING_ROUNDS; round++)
    for (int i = 0; i < count && i < TILES_TRIED; i++) {
      stage->of.tiles.tile = tiles[i];
      double start = sap__session_clock();
      sap__stage_run(segment->schedule, stage, &unit, 0, 1);
      double seconds = sap__session_clock() - start;
      if (seconds >= least) continue;
      least = seconds;
      best = tiles[i];
    }
  stage->of.tiles.tile = best;
}

static void tune(const sap__segment *segment) {
  for (int s = 0; s < segment->schedule->stage_count; s++) {
    sap__stage *stage = &segment->schedule->stages[s];
    if (stage->kind == SAP__STAGE_TILES) tune_stage(segment, stage);
  }
}

void sap__session_tune(sap_session *session) {
  for (int i = 0; i < session->segment_count; i++) tune(&session->segments[i]);
}

/* Density over the multiply-adds. */
static double density(const sap_model *model) {
  return model->info.products ? (double)model->info.useful / (double)model->info.products : 0;
}

/* Whether the batch fills at least half of the lanes. */
static int fills_lanes(const sap_session_options *options) {
  return 2 * options->batch >= sap__conv_kernels_active()->lanes;
}

static sap_way rule(const sap_model *model, const sap_session_options *options) {
  if (density(model) >= DENSE_RULE) return SAP_WAY_DENSE;
  return fills_lanes(options) && density(model) > 0.04 ? SAP_WAY_LANES : SAP_WAY_PICTURE;
}

/* ---- by measuring ---- */

/* What is measured on. */
typedef struct trial {
  const sap_model *model;
  const sap_session_options *options;
  sap__choices *choices;
  float *x, *y;
  sap_session *sessions[SAP_WAY_AUTO]; /* one a way; NULL: not tried */
  sap_session *probe;                  /* dense where that is worth trying; NULL: nowhere */
  double *costs[SAP_WAY_MIXED];        /* (layers) seconds of a batch */
} trial;

/* Makes a session of some segments, with its fastest tiles. One that the build lacks is no error. */
static sap_status add(const trial *t, const sap__stretch *stretches, int count, sap_session **session, sap_error *err) {
  sap_status status = sap__session_make(t->model, t->options, stretches, count, t->choices, session, err);
  if (!status) sap__session_tune(*session);
  return status == SAP_ERROR_UNSUPPORTED ? SAP_OK : status;
}

/* Dense layers where enough of the weights is left, picture ones elsewhere; so no more than these are ever dense in
 * memory. Layers without weights go with the one before. */
static int probe_stretches(const sap__program *program, sap__stretch *stretches, int *dense) {
  int count = 0;
  *dense = 0;
  for (int i = 0; i < program->layer_count; i++) {
    const sap__layer *layer = &program->layers[i];
    sap_way way = count > 0 ? stretches[count - 1].way : SAP_WAY_PICTURE;
    if (layer->kind == SAP__LAYER_CONV) {
      uint64_t total = program->graph->params[layer->node->params[0]].count;
      way = (double)layer->weights->count >= DENSE_TRIED * (double)total ? SAP_WAY_DENSE : SAP_WAY_PICTURE;
      *dense += way == SAP_WAY_DENSE;
    }
    if (count == 0 || stretches[count - 1].way != way) stretches[count++].way = way;
    stretches[count - 1].last = i + 1;
  }
  return count;
}

static sap_status make_sessions(trial *t, sap_error *err) {
  int layers = t->model->program->layer_count, dense = 0;
  sap__stretch all = {SAP_WAY_PICTURE, layers};
  sap_status status = add(t, &all, 1, &t->sessions[SAP_WAY_PICTURE], err);
  all.way = SAP_WAY_LANES;
  if (!status && fills_lanes(t->options)) status = add(t, &all, 1, &t->sessions[SAP_WAY_LANES], err);
  sap__stretch *stretches = sap__calloc((size_t)layers + 1, sizeof *stretches);
  if (!status && !stretches) status = sap__fail_memory(err, (size_t)layers * sizeof *stretches);
  if (!status) {
    int count = probe_stretches(t->model->program, stretches, &dense);
    sap_session **place = count == 1 ? &t->sessions[SAP_WAY_DENSE] : &t->probe;
    if (dense > 0) status = add(t, stretches, count, place, err);
  }
  sap__free(stretches);
  return status;
}

/* Takes the seconds of a session's layers over, of those in one way. */
static sap_status time_layers(trial *t, sap_session *session, sap_way way, sap_error *err) {
  size_t layers = (size_t)t->model->program->layer_count;
  if (!session) return SAP_OK;
  sap_layer_timing *timings = sap__calloc(layers + 1, sizeof *timings);
  sap_status status =
      timings ? sap_session_time(session, t->x, (size_t)t->options->batch, LAYER_ROUNDS, timings, &layers, err)
              : sap__fail_memory(err, layers * sizeof *timings);
  for (size_t i = 0; !status && i < layers; i++)
    if (timings[i].way == way) t->costs[way][i] = timings[i].seconds;
  sap__free(timings);
  return status;
}

/* The session of the mixture that should be the fastest, unless that is one way for all. */
static sap_status add_mixed(trial *t, sap_error *err) {
  size_t layers = (size_t)t->model->program->layer_count;
  sap_status status = SAP_OK;
  for (int way = 0; way < SAP_WAY_MIXED && !status; way++) {
    t->costs[way] = sap__alloc(layers + 1, sizeof *t->costs[way]);
    if (!t->costs[way]) return sap__fail_memory(err, layers * sizeof *t->costs[way]);
    for (size_t i = 0; i < layers; i++) t->costs[way][i] = SAP__NOT_MEASURED;
    status = time_layers(t, t->sessions[way], (sap_way)way, err);
  }
  if (!status) status = time_layers(t, t->probe, SAP_WAY_DENSE, err);
  sap__stretch stretches[SAP__STRETCHES_MAX];
  int count = 0;
  if (!status)
    status = sap__mix(t->model->program, t->options->batch, (const double *const *)t->costs, stretches, &count, err);
  if (!status && count > 1) status = add(t, stretches, count, &t->sessions[SAP_WAY_MIXED], err);
  return status;
}

/* The session with the least seconds of a batch, all taken in turns. */
static int race(const trial *t) {
  double least[SAP_WAY_AUTO], begun = sap__session_clock();
  int best = SAP_WAY_PICTURE;
  for (int way = 0; way < SAP_WAY_AUTO; way++) least[way] = SAP__NOT_MEASURED;
  for (int round = 0; round <= RACE_ROUNDS && (round <= RACE_ROUNDS_MIN || sap__session_clock() - begun < RACE_SECONDS);
       round++)
    for (int way = 0; way < SAP_WAY_AUTO; way++) {
      if (!t->sessions[way]) continue;
      double start = sap__session_clock();
      if (sap_session_run(t->sessions[way], t->x, (size_t)t->options->batch, t->y, NULL)) continue;
      double taken = sap__session_clock() - start;
      if (round > 0 && taken < least[way]) least[way] = taken; /* the first warms up */
    }
  for (int way = 0; way < SAP_WAY_AUTO; way++)
    if (least[way] < least[best]) best = way;
  return best;
}

/* The fastest of the ways that may be it; `way`: SAP_WAY_MIXED takes the mixture, if there is one. */
static sap_status measured(const sap_model *model, const sap_session_options *options, sap__choices *choices,
                           sap_session **out, sap_error *err) {
  const sap_model_info *info = &model->info;
  size_t batch = (size_t)options->batch;
  trial t = {.model = model, .options = options, .choices = choices};
  t.x = sap__calloc(batch * sap__program_floats(model->program, 0), sizeof *t.x);
  t.y = sap__calloc(batch * (size_t)info->outputs, sizeof *t.y);
  sap_status status = t.x && t.y ? SAP_OK : sap__fail_memory(err, batch * (size_t)info->outputs * sizeof *t.y);
  if (!status) status = make_sessions(&t, err);
  if (!status) status = add_mixed(&t, err);
  sap_session_free(t.probe);
  if (!status) {
    int best = options->way == SAP_WAY_MIXED && t.sessions[SAP_WAY_MIXED] ? SAP_WAY_MIXED : race(&t);
    *out = t.sessions[best];
    t.sessions[best] = NULL;
  }
  for (int way = 0; way < SAP_WAY_AUTO; way++) sap_session_free(t.sessions[way]);
  for (int way = 0; way < SAP_WAY_MIXED; way++) sap__free(t.costs[way]);
  sap__free(t.x);
  sap__free(t.y);
  return status;
}

static sap_status by_rule(const sap_model *model, const sap_session_options *options, sap_session **out,
                          sap_error *err) {
  int chosen = options->way < SAP_WAY_MIXED;
  sap_way way = chosen ? options->way : rule(model, options);
  sap_status status = sap__session_plain(model, options, way, NULL, out, err);
  if (status == SAP_ERROR_UNSUPPORTED && !chosen)
    status = sap__session_plain(model, options, SAP_WAY_PICTURE, NULL, out, err);
  return status;
}

/* What was found before, or is found now and kept. */
static sap_status by_measuring(const sap_model *model, const sap_session_options *options, sap_session **out,
                               sap_error *err) {
  sap__choices *choices = sap__choices_new();
  if (!choices) return sap__fail(err, SAP_ERROR_MEMORY, "no memory for what was chosen before");
  sap_session *session = NULL;
  sap_status status = sap__remember_read(choices, err);
  size_t known = sap__choices_count(choices);
  if (!status && options->way < SAP_WAY_MIXED) {
    status = sap__session_plain(model, options, options->way, choices, &session, err);
    if (!status) sap__session_tune(session);
  } else if (!status) {
    status = sap__remember_session(model, options, choices, &session, err);
    if (!status && !session) {
      status = measured(model, options, choices, &session, err);
      if (!status) sap__remember_add(session, choices);
    }
  }
  if (!status && sap__choices_count(choices) > known) sap__remember_write(choices);
  sap__choices_free(choices);
  if (!status) *out = session;
  return status;
}

sap_status sap_session_new(const sap_model *model, const sap_session_options *given, sap_session **out,
                           sap_error *err) {
  sap_session_options options = given ? *given : sap_session_options_default();
  if (options.batch < 1 || options.batch > 1 << 20)
    return sap__fail(err, SAP_ERROR_ARGUMENT, "batch %d: expected 1 <= batch <= %d", options.batch, 1 << 20);
  if (options.threads < 0 || options.threads > 1024)
    return sap__fail(err, SAP_ERROR_ARGUMENT, "threads %d: expected 0 <= threads <= 1024", options.threads);
  if ((unsigned)options.way >= SAP_WAY_COUNT) return sap__fail(err, SAP_ERROR_ARGUMENT, "way: not a known one");
  if (options.threads == 0) options.threads = sap_threads_get();
  return (options.measure ? by_measuring : by_rule)(model, &options, out, err);
}
