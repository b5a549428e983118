/* What each layer of a session takes. */
#include <stdio.h>

#include "base/error.h"
#include "base/memory.h"
#include "runtime/session.h"

static void describe(const sap_session *session, const sap__layer *layer, sap_layer_timing *timing) {
  const sap__program *program = session->program;
  *timing = (sap_layer_timing){.name = layer->node->name, .kind = sap__layer_kind_name(layer->kind)};
  if (layer->kind != SAP__LAYER_CONV) return;
  const sap__picture *y = &program->values[layer->output];
  timing->kept = layer->weights->count;
  timing->total = program->graph->params[layer->node->params[0]].count;
  timing->products = timing->kept * (uint64_t)y->height * (uint64_t)y->width;
}

static void name_kernel(const sap__stage *stage, sap_layer_timing *timing) {
  if (stage->kind == SAP__STAGE_TILES)
    snprintf(timing->kernel, sizeof timing->kernel, "%dx%d", stage->of.tiles.tile->rows, stage->of.tiles.tile->columns);
  if (stage->kind == SAP__STAGE_GATHER) snprintf(timing->kernel, sizeof timing->kernel, "gather");
  if (stage->kind == SAP__STAGE_DENSE)
    snprintf(timing->kernel, sizeof timing->kernel, "%s", stage->of.dense.engine->name(stage->of.dense.whole[0]));
}

/* Adds the least seconds of each stage, for a whole batch, to its layer. */
static void time_segment(const sap__segment *segment, const sap__unit *unit, size_t units, int rounds,
                         sap_layer_timing *timings) {
  const sap__schedule *schedule = segment->schedule;
  for (int s = 0; s < schedule->stage_count; s++) {
    const sap__stage *stage = &schedule->stages[s];
    double least = 1e30;
    for (int round = 0; round < rounds; round++) {
      double start = sap__session_clock();
      sap__stage_run(schedule, stage, unit, 0, 1);
      double seconds = sap__session_clock() - start;
      if (seconds < least) least = seconds;
    }
    if (stage->layer < 0) continue;
    timings[stage->layer].seconds += least * (double)units;
    name_kernel(stage, &timings[stage->layer]);
  }
}

sap_status sap_session_time(sap_session *session, const float *x, size_t count, int rounds, sap_layer_timing *timings,
                            size_t *layers, sap_error *err) {
  const sap__program *program = session->program;
  if (count < 1 || rounds < 1) return sap__fail(err, SAP_ERROR_ARGUMENT, "count and rounds: expected at least 1");
  *layers = (size_t)program->layer_count;
  if (!timings) return SAP_OK;
  float *y = sap__alloc(count * (size_t)session->model->info.outputs, sizeof *y);
  if (!y) return sap__fail_memory(err, count * (size_t)session->model->info.outputs * sizeof *y);
  for (size_t i = 0; i < *layers; i++) describe(session, &program->layers[i], &timings[i]);
  for (int i = 0; i < session->segment_count; i++) {
    const sap__segment *segment = &session->segments[i];
    const sap__range *range = &segment->schedule->layers;
    size_t pictures = (size_t)segment->schedule->pictures, units = (count + pictures - 1) / pictures;
    sap__unit unit = sap__session_unit(session, segment, x, y, count);
    for (int k = range->first; k < range->last; k++) timings[k].way = segment->way;
    time_segment(segment, &unit, units, rounds, timings);
  }
  sap__free(y);
  return SAP_OK;
}
