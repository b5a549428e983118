#include "runtime/session.h"

#include <math.h>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "base/error.h"
#include "base/memory.h"

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

static sap_status make_segment(sap_session *session, sap_way way, sap__range layers, sap__choices *choices,
                               sap_error *err) {
  static const sap__layout layouts[] = {[SAP_WAY_PICTURE] = SAP__LAYOUT_PICTURE,
                                        [SAP_WAY_LANES] = SAP__LAYOUT_LANES,
                                        [SAP_WAY_DENSE] = SAP__LAYOUT_DENSE};
  const sap_session_options *options = &session->options;
  const sap__manner manner = {layouts[way], options->batch, options->threads, SAP__SCHEDULE_CACHE, choices};
  sap__segment *s = &session->segments[session->segment_count++];
  s->way = way;
  sap_status status = sap__schedule_new(session->program, layers, &manner, &s->schedule, err);
  if (status) return status;
  size_t floats = (size_t)s->schedule->teams * (size_t)s->schedule->floats;
  s->memory = sap__calloc(floats, sizeof(float));
  return s->memory ? SAP_OK : sap__fail_memory(err, floats * sizeof(float));
}

/* Memory of the values between segments; the first input and the last output are the caller's. */
static sap_status make_values(sap_session *session, sap_error *err) {
  const sap__program *program = session->program;
  session->values = sap__calloc((size_t)program->value_count, sizeof *session->values);
  if (!session->values) return sap__fail_memory(err, (size_t)program->value_count * sizeof *session->values);
  for (int i = 0; i < session->segment_count; i++) {
    const sap__ends *out = &session->segments[i].schedule->outputs;
    for (int k = 0; k < out->count; k++) {
      size_t floats = (size_t)session->options.batch * sap__program_floats(program, out->values[k]);
      if (out->values[k] == program->output) continue;
      session->values[out->values[k]] = sap__alloc(floats, sizeof(float));
      if (!session->values[out->values[k]]) return sap__fail_memory(err, floats * sizeof(float));
    }
  }
  return SAP_OK;
}

sap_status sap__session_make(const sap_model *model, const sap_session_options *options, const sap__stretch *stretches,
                             int count, sap__choices *choices, sap_session **out, sap_error *err) {
  sap_session *session = sap__calloc(1, sizeof *session);
  if (!session) return sap__fail_memory(err, sizeof *session);
  *session = (sap_session){.model = model, .options = *options};
  sap_status status = SAP_OK;
  session->segments = sap__calloc((size_t)count, sizeof *session->segments);
  if (!session->segments) status = sap__fail_memory(err, (size_t)count * sizeof *session->segments);
  if (!status) status = sap__program_new(model->graph, model->weights, &session->program, err);
  if (!status) status = sap__program_fold(session->program, err);
  for (int i = 0; !status && i < count; i++)
    status = make_segment(session, stretches[i].way, (sap__range){i > 0 ? stretches[i - 1].last : 0, stretches[i].last},
                          choices, err);
  if (!status) status = make_values(session, err);
  if (status)
    sap_session_free(session);
  else
    *out = session;
  return status;
}

sap_status sap__session_plain(const sap_model *model, const sap_session_options *options, sap_way way,
                              sap__choices *choices, sap_session **session, sap_error *err) {
  const sap__stretch all = {way, model->program->layer_count};
  return sap__session_make(model, options, &all, 1, choices, session, err);
}

void sap_session_free(sap_session *session) {
  if (!session) return;
  for (int i = 0; i < session->segment_count; i++) {
    sap__schedule_free(session->segments[i].schedule);
    sap__free(session->segments[i].memory);
  }
  for (int v = 0; session->values && v < session->program->value_count; v++) sap__free(session->values[v]);
  sap__program_free(session->program);
  sap__free(session->segments);
  sap__free(session->values);
  sap__free(session);
}

/* Pictures of a run: the caller's. */
typedef struct job {
  const float *x;
  float *y;
  size_t count;
} job;

/* Unit u of a segment, in the memory of team `team`. */
static sap__unit unit_at(const sap_session *session, const sap__segment *segment, const job *j, size_t u, int team) {
  const sap__program *program = session->program;
  const sap__schedule *schedule = segment->schedule;
  size_t unit = (size_t)schedule->pictures, first = u * unit, left = j->count - first;
  sap__unit at = {.count = (int)(left < unit ? left : unit),
                  .team = team,
                  .memory = segment->memory + (size_t)team * (size_t)schedule->floats};
  for (int i = 0; i < schedule->inputs.count; i++) {
    int value = schedule->inputs.values[i];
    at.x[i] = (value == 0 ? j->x : session->values[value]) + first * sap__program_floats(program, value);
  }
  for (int i = 0; i < schedule->outputs.count; i++) {
    int value = schedule->outputs.values[i];
    at.y[i] = (value == program->output ? j->y : session->values[value]) + first * sap__program_floats(program, value);
  }
  return at;
}

sap__unit sap__session_unit(const sap_session *session, const sap__segment *segment, const float *x, float *y,
                            size_t count) {
  const job all = {x, y, count};
  return unit_at(session, segment, &all, 0, 0);
}

/* Every teams-th unit, by one thread. */
static void run_share(const sap_session *session, const sap__segment *segment, const job *j, size_t units, int team,
                      int teams) {
  for (size_t u = (size_t)team; u < units; u += (size_t)teams) {
    sap__unit unit = unit_at(session, segment, j, u, team);
    sap__schedule_run(segment->schedule, &unit, NULL, 0, 1);
  }
}

/* Every team is one thread. Waking the others takes longer than a small network does. */
static void run_apart(const sap_session *session, const sap__segment *segment, const job *j, size_t units, int teams) {
  if (teams == 1) {
    run_share(session, segment, j, units, 0, 1);
    return;
  }
#ifdef _OPENMP
#pragma omp parallel for num_threads(teams) schedule(static, 1)
#endif
  for (int team = 0; team < teams; team++) run_share(session, segment, j, units, team, teams);
}

/* All threads work on one unit after the other. */
static void run_together(sap_session *session, const sap__segment *segment, const job *j, size_t units) {
#ifdef _OPENMP
  int threads = session->options.threads;
#pragma omp parallel num_threads(threads)
  {
    int size = omp_get_num_threads(), rank = omp_get_thread_num();
    if (size != threads) size = 1; /* the system gives fewer: one does all */
    for (size_t u = 0; u < units && rank < size; u++) {
      sap__unit unit = unit_at(session, segment, j, u, 0);
      sap__schedule_run(segment->schedule, &unit, &session->barrier, rank, size);
    }
  }
#else
  run_apart(session, segment, j, units, 1);
#endif
}

static void run_segment(sap_session *session, const sap__segment *segment, const job *j) {
  const sap__schedule *schedule = segment->schedule;
  size_t unit = (size_t)schedule->pictures, units = (j->count + unit - 1) / unit, teams = (size_t)schedule->teams;
  const sap_model_info *info = &session->model->info;
  int worth = (segment->way == SAP_WAY_DENSE ? info->products : info->useful) * (uint64_t)unit >= TEAM_WORK;
  if (teams > 1 && units > 1)
    run_apart(session, segment, j, units, units < teams ? (int)units : (int)teams);
  else if (session->options.threads > 1 && worth)
    run_together(session, segment, j, units);
  else
    run_apart(session, segment, j, units, 1);
}

sap_status sap_session_run(sap_session *session, const float *x, size_t count, float *y, sap_error *err) {
  if (count < 1) return sap__fail(err, SAP_ERROR_ARGUMENT, "count 0: expected at least one picture");
  /* Between segments there is room for a batch. */
  const sap_model_info *info = &session->model->info;
  size_t batch = session->segment_count > 1 ? (size_t)session->options.batch : count;
  size_t picture = sap__program_floats(session->program, 0);
  for (size_t at = 0; at < count; at += batch) {
    const job part = {x + at * picture, y + at * (size_t)info->outputs, count - at < batch ? count - at : batch};
    for (int i = 0; i < session->segment_count; i++) run_segment(session, &session->segments[i], &part);
  }
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

static uint64_t packed_bytes(const sap__schedule *schedule) {
  uint64_t entries = 0, bytes = 0;
  for (int s = 0; s < schedule->stage_count; s++) {
    const sap__stage *stage = &schedule->stages[s];
    if (stage->kind == SAP__STAGE_TILES)
      for (int r = 0; r < stage->rows.blocks * stage->rows.count; r++)
        entries +=
            (uint64_t)stage->rows.rows[r].count * (uint64_t)(stage->of.tiles.x.ring ? stage->of.tiles.x.ring : 1);
    if (stage->kind == SAP__STAGE_GATHER) bytes += sap__gather_bytes(&stage->gathered, schedule->lanes);
    const sap__dense *dense = stage->kind == SAP__STAGE_DENSE ? &stage->of.dense : NULL;
    for (int t = 0; dense && t < schedule->teams; t++) bytes += dense->engine->bytes(dense->whole[t]);
    for (int t = 0; dense && dense->parts && t < schedule->threads; t++)
      if (dense->parts[t]) bytes += dense->engine->bytes(dense->parts[t]);
  }
  return bytes + entries * (sizeof(float) + sizeof(int32_t));
}

void sap_session_describe(const sap_session *session, sap_session_info *info) {
  *info = (sap_session_info){.way = SAP_WAY_MIXED, .threads = session->options.threads};
  for (int i = 0; i < session->segment_count; i++) {
    const sap__segment *segment = &session->segments[i];
    if (session->segment_count == 1) info->way = segment->way;
    info->lanes = segment->schedule->lanes;
    info->memory_bytes += (uint64_t)segment->schedule->teams * (uint64_t)segment->schedule->floats * sizeof(float);
    info->weight_bytes += packed_bytes(segment->schedule);
  }
}
