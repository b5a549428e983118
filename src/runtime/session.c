#include "runtime/session.h"

#include <math.h>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "base/error.h"
#include "base/memory.h"
#include "sapwood/cpu.h"

/* Multiply-adds below which a second thread costs more than it saves. */
enum { TEAM_WORK = 3000000 };

static const char *const way_names[SAP_WAY_COUNT] = {
#define WAY_NAME(constant, name, text) name,
    SAP_WAY_LIST(WAY_NAME)
#undef WAY_NAME
};
static const char *const way_texts[SAP_WAY_COUNT] = {
#define WAY_TEXT(constant, name, text) text,
    SAP_WAY_LIST(WAY_TEXT)
#undef WAY_TEXT
};

const char *sap_way_name(size_t way) { return way < SAP_WAY_COUNT ? way_names[way] : NULL; }
const char *sap_way_text(size_t way) { return way < SAP_WAY_COUNT ? way_texts[way] : NULL; }

sap_session_options sap_session_options_default(void) {
  return (sap_session_options){.batch = 1, .threads = 0, .way = SAP_WAY_AUTO, .measure = 1};
}

static int smaller(int a, int b) { return a < b ? a : b; }

sap_status sap__session_make(const sap_model *model, const sap_session_options *options, sap_way way, sap_session **out,
                             sap_error *err) {
  sap_session *session = sap__calloc(1, sizeof *session);
  if (!session) return sap__fail_memory(err, sizeof *session);
  *session = (sap_session){.model = model, .options = *options, .way = way, .unit = 1, .teams = 1};
  sap_status status = SAP_OK;
  if (way == SAP_WAY_DENSE) {
    status = sap__dense_new(model, options->batch, &session->dense, err);
  } else {
    sap__layout layout = way == SAP_WAY_LANES ? SAP__LAYOUT_LANES : SAP__LAYOUT_PICTURE;
    status = sap__schedule_new(model->program, layout, options->threads, &session->schedule, err);
  }
  if (!status && session->schedule) {
    if (way == SAP_WAY_LANES) session->unit = session->schedule->lanes;
    session->teams = smaller(options->threads, (options->batch + session->unit - 1) / session->unit);
    size_t floats = (size_t)session->schedule->floats;
    session->memory = sap__calloc((size_t)session->teams * floats, sizeof(float));
    if (!session->memory) status = sap__fail_memory(err, (size_t)session->teams * floats * sizeof(float));
  }
  if (status)
    sap_session_free(session);
  else
    *out = session;
  return status;
}

void sap_session_free(sap_session *session) {
  if (!session) return;
  sap__schedule_free(session->schedule);
  sap__dense_free(session->dense);
  sap__free(session->memory);
  sap__free(session);
}

/* Unit u of a run, in the memory of team `team`. */
static sap__unit unit_at(const sap_session *session, const float *x, size_t count, float *y, size_t u, int team) {
  const sap_model_info *info = &session->model->info;
  size_t unit = (size_t)session->unit, first = u * unit, left = count - first;
  size_t picture = (size_t)info->channels * (size_t)info->height * (size_t)info->width;
  return (sap__unit){.x = x + first * picture,
                     .y = y + first * (size_t)info->outputs,
                     .count = (int)(left < unit ? left : unit),
                     .memory = session->memory + (size_t)team * (size_t)session->schedule->floats};
}

/* Every team is one thread and takes every teams-th unit. */
static void run_apart(const sap_session *session, const float *x, size_t count, float *y, size_t units, int teams) {
#ifdef _OPENMP
#pragma omp parallel for num_threads(teams) schedule(static, 1)
#endif
  for (int team = 0; team < teams; team++)
    for (size_t u = (size_t)team; u < units; u += (size_t)teams) {
      sap__unit unit = unit_at(session, x, count, y, u, team);
      sap__schedule_run(session->schedule, &unit, NULL, 0, 1);
    }
}

/* All threads work on one unit after the other. */
static void run_together(sap_session *session, const float *x, size_t count, float *y, size_t units) {
#ifdef _OPENMP
  int threads = session->options.threads;
#pragma omp parallel num_threads(threads)
  {
    int size = omp_get_num_threads(), rank = omp_get_thread_num();
    if (size != threads) size = 1; /* the system gives fewer: one does all */
    for (size_t u = 0; u < units && rank < size; u++) {
      sap__unit unit = unit_at(session, x, count, y, u, 0);
      sap__schedule_run(session->schedule, &unit, &session->barrier, rank, size);
      if (size > 1) sap__barrier_wait(&session->barrier, size); /* the output is read before the next unit's */
    }
  }
#else
  run_apart(session, x, count, y, units, 1);
#endif
}

static void run_dense(const sap_session *session, const float *x, size_t count, float *y) {
  int threads = sap_threads_get();
  sap_threads_set(session->options.threads);
  sap__dense_run(session->dense, x, count, y);
  sap_threads_set(threads);
}

sap_status sap_session_run(sap_session *session, const float *x, size_t count, float *y, sap_error *err) {
  if (count < 1) return sap__fail(err, SAP_ERROR_ARGUMENT, "count 0: expected at least one picture");
  if (session->dense) {
    run_dense(session, x, count, y);
    return SAP_OK;
  }
  size_t units = (count + (size_t)session->unit - 1) / (size_t)session->unit;
  int worth = session->model->info.useful * (uint64_t)session->unit >= TEAM_WORK;
  if (session->teams > 1 && units > 1)
    run_apart(session, x, count, y, units, units < (size_t)session->teams ? (int)units : session->teams);
  else if (session->options.threads > 1 && worth)
    run_together(session, x, count, y, units);
  else
    run_apart(session, x, count, y, units, 1);
  return SAP_OK;
}

void sap_softmax(float *y, size_t count, size_t outputs) {
  for (size_t i = 0; i < count; i++, y += outputs) {
    float largest = y[0];
    double sum = 0;
    for (size_t k = 1; k < outputs; k++) largest = y[k] > largest ? y[k] : largest;
    for (size_t k = 0; k < outputs; k++) sum += exp((double)y[k] - (double)largest);
    for (size_t k = 0; k < outputs; k++) y[k] = (float)(exp((double)y[k] - (double)largest) / sum);
  }
}

void sap_session_describe(const sap_session *session, sap_session_info *info) {
  *info = (sap_session_info){.way = session->way, .threads = session->options.threads};
  const sap__schedule *schedule = session->schedule;
  if (!schedule) return;
  info->lanes = schedule->lanes;
  info->memory_bytes = (uint64_t)session->teams * (uint64_t)schedule->floats * sizeof(float);
  for (int s = 0; s < schedule->stage_count; s++) {
    const sap__stage *stage = &schedule->stages[s];
    uint64_t entries = 0;
    if (stage->kind == SAP__STAGE_TILES)
      for (int r = 0; r < stage->rows.count; r++) entries += (uint64_t)stage->rows.rows[r].count;
    if (stage->kind == SAP__STAGE_GATHER)
      entries = (uint64_t)stage->gathered.starts[stage->gathered.groups] * (uint64_t)schedule->lanes;
    info->weight_bytes += entries * (sizeof(float) + sizeof(int32_t));
  }
}
