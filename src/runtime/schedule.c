#include "runtime/schedule.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"

sap__stage *sap__schedule_stage(sap__schedule *schedule, sap__stage_kind kind, int layer) {
  if (!sap__grow(&schedule->stages, (size_t)schedule->stage_count, sizeof *schedule->stages)) return NULL;
  sap__stage *stage = &schedule->stages[schedule->stage_count++];
  stage->kind = kind;
  stage->layer = layer;
  stage->x.buffer = stage->residual.buffer = stage->y.buffer = stage->twin.buffer = -1;
  return stage;
}

int sap__schedule_buffer(sap__schedule *schedule, const int64_t key[6], int64_t floats) {
  if (!sap__grow(&schedule->buffers, (size_t)schedule->buffer_count, sizeof *schedule->buffers)) return -1;
  sap__buffer *buffer = &schedule->buffers[schedule->buffer_count];
  memcpy(buffer->key, key, sizeof buffer->key);
  buffer->floats = (floats + SAP_ALIGNMENT - 1) / SAP_ALIGNMENT * SAP_ALIGNMENT;
  buffer->first = -1;
  buffer->copies = 1;
  return schedule->buffer_count++;
}

sap__window_job sap__window_of(const sap__program *program, const sap__layer *layer) {
  const sap__picture *x = &program->values[layer->input], *y = &program->values[layer->output];
  const sap__pool *pool = &layer->pool;
  return (sap__window_job){.height = x->height,
                           .width = x->width,
                           .out_height = y->height,
                           .out_width = y->width,
                           .kernel = {(int)pool->kernel[0], (int)pool->kernel[1]},
                           .stride = {(int)pool->stride[0], (int)pool->stride[1]},
                           .pad = {(int)pool->pad[0], (int)pool->pad[1]},
                           .average = layer->average,
                           .count_include_pad = pool->count_include_pad,
                           .bottom = (int)pool->pad[2],
                           .right = (int)pool->pad[3]};
}

/* Columns that every thread must get: with fewer, narrower tiles cost more than is saved in moving values between
 * cores. */
enum { COLUMNS_APART = 8 };

int sap__schedule_apart(const sap__schedule *schedule, int columns) {
  return schedule->teams == 1 && schedule->threads > 1 && columns / schedule->threads >= COLUMNS_APART;
}

/* Stages that run in strips run all the time until the last of the group has ended. */
static void touch(sap__schedule *schedule, const sap__operand *operand, int stage) {
  if (operand->buffer < 0) return;
  sap__buffer *buffer = &schedule->buffers[operand->buffer];
  const sap__strips *strips = sap__schedule_strips(schedule, stage);
  if (buffer->first < 0) buffer->first = strips ? strips->first_stage : stage;
  buffer->last = strips ? strips->last_stage - 1 : stage;
}

/* Gives every buffer its place: that of one of the same key which is no longer read, or a new one. Vectors may begin
 * before the first and end behind the last float of a buffer, so there is room around all of them. */
static sap_status place_buffers(sap__schedule *schedule, int64_t around, sap_error *err) {
  for (int s = 0; s < schedule->stage_count; s++) {
    const sap__stage *stage = &schedule->stages[s];
    touch(schedule, &stage->x, s);
    touch(schedule, &stage->residual, s);
    touch(schedule, &stage->y, s);
    touch(schedule, &stage->twin, s);
    if (stage->run_bounds) touch(schedule, &stage->x, s + 1); /* threads that are behind still read it */
  }
  char *passed_on = sap__calloc((size_t)schedule->buffer_count, 1);
  if (!passed_on) return sap__fail_memory(err, (size_t)schedule->buffer_count);
  schedule->floats = around;
  for (int b = 0; b < schedule->buffer_count; b++) {
    sap__buffer *buffer = &schedule->buffers[b];
    int from = 0;
    while (from < b && (passed_on[from] || schedule->buffers[from].last >= buffer->first ||
                        schedule->buffers[from].copies != buffer->copies ||
                        memcmp(schedule->buffers[from].key, buffer->key, sizeof buffer->key) != 0))
      from++;
    if (from < b) {
      buffer->at = schedule->buffers[from].at;
      passed_on[from] = 1;
    } else {
      buffer->at = schedule->floats;
      schedule->floats += buffer->floats * buffer->copies;
    }
  }
  schedule->floats += around;
  sap__free(passed_on);
  return SAP_OK;
}

/* The farthest that a vector may begin before or end behind what it is meant to read. */
static int64_t reach(const sap__schedule *schedule) {
  int64_t most = 64;
  for (int v = 0; v < schedule->program->value_count; v++) {
    const sap__picture *picture = &schedule->program->values[v];
    int64_t pixels = (int64_t)picture->height * picture->width;
    if (pixels > most) most = pixels;
  }
  return 4 * (most + 64) / SAP_ALIGNMENT * SAP_ALIGNMENT;
}

/* Pictures of a unit: as the layout has them; dense, an equal share of the batch for every thread. */
static void cut_batch(sap__schedule *schedule, const sap__manner *manner) {
  schedule->pictures = 1;
  if (manner->layout == SAP__LAYOUT_LANES) schedule->pictures = schedule->lanes;
  if (manner->layout == SAP__LAYOUT_DENSE) schedule->pictures = (manner->batch + manner->threads - 1) / manner->threads;
  int units = (manner->batch + schedule->pictures - 1) / schedule->pictures;
  schedule->teams = units < manner->threads ? units : manner->threads;
  schedule->shares = schedule->teams == 1 ? manner->threads : 1;
}

static sap_status build(sap__schedule *schedule, sap__choices *choices, sap_error *err) {
  switch (schedule->layout) {
    case SAP__LAYOUT_PICTURE: return sap__schedule_picture(schedule, err);
    case SAP__LAYOUT_LANES: return sap__schedule_lanes(schedule, err);
    default: return sap__schedule_dense(schedule, choices, err);
  }
}

sap_status sap__schedule_new(const sap__program *program, sap__range layers, const sap__manner *manner,
                             sap__schedule **out, sap_error *err) {
  sap__schedule *schedule = sap__calloc(1, sizeof *schedule);
  if (!schedule) return sap__fail_memory(err, sizeof *schedule);
  *schedule = (sap__schedule){.program = program,
                              .layers = layers,
                              .layout = manner->layout,
                              .threads = manner->threads,
                              .cache = manner->cache,
                              .conv = sap__conv_kernels_active(),
                              .pass = sap__pass_kernels_active()};
  schedule->lanes = schedule->conv->lanes;
  cut_batch(schedule, manner);
  sap_status status = sap__program_ends(program, layers, &schedule->inputs, &schedule->outputs)
                          ? SAP_OK
                          : sap__fail(err, SAP_ERROR_UNSUPPORTED, "more than %d values at once", SAP__ENDS_MAX);
  if (!status) status = build(schedule, manner->choices, err);
  for (int s = 0; !status && s < schedule->stage_count; s++) {
    sap__stage *stage = &schedule->stages[s];
    const sap__tile *choice[SAP__TILE_COUNT];
    if (stage->kind == SAP__STAGE_TILES && sap__tiles_choose(schedule, &stage->of.tiles, choice) > 0)
      stage->of.tiles.tile = choice[0];
  }
  if (!status) status = place_buffers(schedule, reach(schedule), err);
  if (status)
    sap__schedule_free(schedule);
  else
    *out = schedule;
  return status;
}

void sap__schedule_free(sap__schedule *schedule) {
  if (!schedule) return;
  for (int s = 0; s < schedule->stage_count; s++) {
    sap__stage *stage = &schedule->stages[s];
    if (stage->kind == SAP__STAGE_DENSE) sap__dense_free(&stage->of.dense, schedule->teams, schedule->threads);
    sap__free(stage->bounds);
    sap__free(stage->rows.rows);
    sap__free(stage->gathered.channels);
    sap__free(stage->gathered.bias);
    sap__free(stage->gathered.starts);
    sap__free(stage->gathered.values);
    sap__free(stage->gathered.bases);
    sap__free(stage->gathered.places);
    sap__free(stage->gathered.offsets);
    sap__free(stage->sources);
    sap__free(stage->places);
    sap__free(stage->bits);
    sap__free(stage->runs);
    sap__free(stage->run_bounds);
    sap__free(stage->fetches);
    sap__free(stage->fetch_bounds);
  }
  sap__free(schedule->weights);
  for (int i = 0; i < schedule->strips_count; i++) sap__strips_free(&schedule->strips[i]);
  sap__free(schedule->stages);
  sap__free(schedule->buffers);
  sap__free(schedule);
}
