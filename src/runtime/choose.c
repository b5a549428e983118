/* Choosing how a session computes: by measuring on this machine, or by a fixed rule. */
#include <time.h>

#include "base/error.h"
#include "base/memory.h"
#include "runtime/remember.h"
#include "sapwood/cpu.h"

enum { TILES_TRIED = 6, TUNING_ROUNDS = 3, WAY_ROUNDS = 3 };

/* Density from which the dense way is worth trying, and from which the fixed rule takes it. */
#define DENSE_TRIED 0.08
#define DENSE_RULE 0.4

double sap__session_clock(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Least seconds of a stage over the rounds, on whatever its memory holds. */
static double time_stage(const sap__segment *segment, const sap__stage *stage) {
  sap__unit unit = {.count = 1, .memory = segment->memory};
  double least = 1e30;
  for (int round = 0; round < TUNING_ROUNDS; round++) {
    double start = sap__session_clock();
    sap__stage_run(segment->schedule, stage, &unit, 0, 1);
    double seconds = sap__session_clock() - start;
    if (seconds < least) least = seconds;
  }
  return least;
}

static void tune(const sap__segment *segment) {
  sap__schedule *schedule = segment->schedule;
  for (int s = 0; s < schedule->stage_count; s++) {
    sap__stage *stage = &schedule->stages[s];
    if (stage->kind != SAP__STAGE_TILES) continue;
    const sap__tile *tiles[SAP__TILE_COUNT], *best = stage->of.tiles.tile;
    int count = sap__tiles_choose(schedule, &stage->of.tiles, tiles);
    double least = 1e30;
    for (int i = 0; i < count && i < TILES_TRIED; i++) {
      stage->of.tiles.tile = tiles[i];
      double seconds = time_stage(segment, stage);
      if (seconds >= least) continue;
      least = seconds;
      best = tiles[i];
    }
    stage->of.tiles.tile = best;
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

/* Least seconds of a batch in every session, taken in turns. */
static void race(sap_session *const *sessions, const sap_session_options *options, const float *x, float *y,
                 double *seconds) {
  for (int round = 0; round <= WAY_ROUNDS; round++)
    for (int way = 0; way < SAP_WAY_AUTO; way++) {
      if (!sessions[way]) continue;
      double start = sap__session_clock();
      if (sap_session_run(sessions[way], x, (size_t)options->batch, y, NULL)) continue;
      double taken = sap__session_clock() - start;
      if (round == 0 || taken < seconds[way]) seconds[way] = taken;
    }
}

/* The fastest of the ways that may be it. */
static sap_status measured(const sap_model *model, const sap_session_options *options, sap_session **out,
                           sap_error *err) {
  const sap_model_info *info = &model->info;
  sap_session *sessions[SAP_WAY_AUTO] = {NULL};
  double seconds[SAP_WAY_AUTO] = {0};
  size_t batch = (size_t)options->batch;
  float *x = sap__calloc(batch * (size_t)info->channels * (size_t)info->height * (size_t)info->width, sizeof *x);
  float *y = sap__calloc(batch * (size_t)info->outputs, sizeof *y);
  sap_status status = x && y ? SAP_OK : sap__fail_memory(err, batch * (size_t)info->outputs * sizeof *y);
  if (!status) status = sap__session_plain(model, options, SAP_WAY_PICTURE, &sessions[SAP_WAY_PICTURE], err);
  if (!status && fills_lanes(options))
    status = sap__session_plain(model, options, SAP_WAY_LANES, &sessions[SAP_WAY_LANES], err);
  sap_error ignored; /* an engine without some op is no reason not to run */
  if (!status && density(model) >= DENSE_TRIED &&
      sap__session_plain(model, options, SAP_WAY_DENSE, &sessions[SAP_WAY_DENSE], &ignored))
    sessions[SAP_WAY_DENSE] = NULL;
  int best = SAP_WAY_PICTURE;
  if (!status) {
    for (int way = 0; way < SAP_WAY_AUTO; way++)
      if (sessions[way]) sap__session_tune(sessions[way]);
    race(sessions, options, x, y, seconds);
    for (int way = 0; way < SAP_WAY_AUTO; way++)
      if (sessions[way] && seconds[way] < seconds[best]) best = way;
    *out = sessions[best];
    sessions[best] = NULL;
  }
  for (int way = 0; way < SAP_WAY_AUTO; way++) sap_session_free(sessions[way]);
  sap__free(x);
  sap__free(y);
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
  if (options.way == SAP_WAY_AUTO && options.measure) {
    sap_session *session = NULL;
    sap_status status = sap__remember_session(model, &options, &session, err);
    if (!status && !session) {
      status = measured(model, &options, &session, err);
      if (!status) sap__remember_keep(session);
    }
    if (!status) *out = session;
    return status;
  }
  sap_way way = options.way == SAP_WAY_AUTO ? rule(model, &options) : options.way;
  sap_status status = sap__session_plain(model, &options, way, out, err);
  if (status == SAP_ERROR_UNSUPPORTED && options.way == SAP_WAY_AUTO)
    status = sap__session_plain(model, &options, SAP_WAY_PICTURE, out, err);
  if (!status && options.measure) sap__session_tune(*out);
  return status;
}
