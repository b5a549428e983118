#include "train/arena.h"

#include <math.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/random.h"

/* Purpose of the random stream. */
enum { STREAM_WEIGHTS = 1 };

static void view_layers(sap__arena *arena) {
  for (int i = 0; i < arena->graph->param_count; i++) {
    const sap__param *param = &arena->graph->params[i];
    uint64_t *mask = arena->mask + param->offset / 64;
    sap_mask_fill(mask, param->count);
    if (!param->prunable) continue;
    arena->layers[arena->layer_count++] = (sap_layer){.name = param->name,
                                                      .data = arena->weights + param->offset,
                                                      .dtype = SAP_F32,
                                                      .count = param->count,
                                                      .rows = (uint64_t)param->shape.dim[0],
                                                      .mask = mask};
    arena->prunable += param->count;
  }
}

sap_status sap__arena_new(const sap__graph *graph, int trains, sap__arena **out, sap_error *err) {
  size_t count = (size_t)graph->arena_count;
  sap__arena *arena = sap__calloc(1, sizeof *arena);
  if (!arena) return sap__fail_memory(err, sizeof *arena);
  *arena = (sap__arena){.graph = graph, .count = count, .trained = graph->trained_count};
  arena->weights = sap__calloc(count, sizeof(float));
  arena->mask = sap__calloc(count / 64, sizeof(uint64_t));
  arena->layers = sap__calloc((size_t)graph->param_count, sizeof *arena->layers);
  if (trains) {
    arena->gradients = sap__calloc(count, sizeof(float));
    arena->momentum = sap__calloc(count, sizeof(float));
  }
  if (!arena->weights || !arena->mask || !arena->layers || (trains && (!arena->gradients || !arena->momentum))) {
    sap__arena_free(arena);
    return sap__fail_memory(err, count * sizeof(float));
  }
  view_layers(arena);
  *out = arena;
  return SAP_OK;
}

void sap__arena_free(sap__arena *arena) {
  if (!arena) return;
  sap__free(arena->weights);
  sap__free(arena->gradients);
  sap__free(arena->momentum);
  sap__free(arena->mask);
  sap__free(arena->layers);
  sap__free(arena);
}

/* Box and Muller's first of two: N(0, 1). */
static double normal(sap__random *random) {
  double radius = sqrt(-2 * log(1 - sap__random_unit(random)));
  return radius * cos(2 * 3.14159265358979323846 * sap__random_unit(random));
}

static double initial_value(const sap__param *param, sap__random *random) {
  switch (param->init) {
    case SAP_INIT_ZERO: return 0;
    case SAP_INIT_ONE: return 1;
    case SAP_INIT_UNIFORM_FAN_IN: return (2 * sap__random_unit(random) - 1) / sqrt((double)param->fan);
    case SAP_INIT_KAIMING_FAN_OUT: return normal(random) * sqrt(2 / (double)param->fan);
  }
  return 0;
}

void sap__arena_initialise(sap__arena *arena, uint64_t seed) {
  for (int i = 0; i < arena->graph->param_count; i++) {
    const sap__param *param = &arena->graph->params[i];
    float *w = arena->weights + param->offset;
    sap__random random = sap__random_stream(seed, STREAM_WEIGHTS, (uint64_t)i, 0);
    for (uint64_t k = 0; k < param->count; k++) w[k] = (float)initial_value(param, &random);
  }
}

uint64_t sap__arena_kept(const sap__arena *arena) {
  uint64_t kept = 0;
  for (size_t i = 0; i < arena->layer_count; i++) kept += sap_mask_count(arena->layers[i].mask, arena->layers[i].count);
  return kept;
}

void sap__arena_apply_mask(sap__arena *arena) { sap_mask_apply(arena->weights, SAP_F32, arena->mask, arena->count); }

const char *sap__arena_nonfinite(const sap__arena *arena, const float *values) {
  for (int i = 0; i < arena->graph->param_count; i++) {
    const sap__param *param = &arena->graph->params[i];
    for (uint64_t k = 0; k < param->count; k++)
      if (!isfinite(values[param->offset + k])) return param->name;
  }
  return NULL;
}
