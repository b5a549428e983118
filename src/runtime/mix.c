#include "runtime/mix.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"

enum { WAYS = SAP_WAY_MIXED, ROUNDS = 3, PROBE_PIXELS = 256, PROBE_CHANNELS = 64 };

/* Seconds a float to take a value into a layout, and out of it. */
typedef struct change {
  double in, out;
} change;

/* A layer in a way: the least seconds up to it, and the way of the layer before. */
typedef struct step {
  double seconds;
  int before;
} step;

/* As the stages do it: lanes and blocks are interleaved, plain channels copied. */
static void probe(int way, int in, const float *x, float *y) {
  const sap__pass_kernels *pass = sap__pass_kernels_active();
  int lanes = sap__conv_kernels_active()->lanes, groups = PROBE_CHANNELS / lanes;
  const sap__strides block = {(int64_t)PROBE_PIXELS * lanes, 0};
  const sap__grid grid = {.rows = 1, .length = PROBE_PIXELS, .x = block, .y = block};
  if (way == SAP_WAY_PICTURE)
    memcpy(y, x, sizeof *x * PROBE_PIXELS * PROBE_CHANNELS);
  else
    (in ? pass->interleave : pass->separate)(&grid, PROBE_PIXELS, lanes, x, y, 0, groups);
}

static sap_status measure(change changes[WAYS], sap_error *err) {
  size_t floats = (size_t)PROBE_PIXELS * PROBE_CHANNELS;
  float *x = sap__calloc(2 * floats, sizeof *x);
  if (!x) return sap__fail_memory(err, 2 * floats * sizeof *x);
  for (int way = 0; way < WAYS; way++)
    for (int in = 0; in < 2; in++) {
      double least = SAP__NOT_MEASURED;
      for (int round = 0; round <= ROUNDS; round++) {
        double start = sap__session_clock();
        probe(way, in, x, x + floats);
        double seconds = sap__session_clock() - start;
        if (round > 0 && seconds < least) least = seconds;
      }
      *(in ? &changes[way].in : &changes[way].out) = least / (double)floats;
    }
  sap__free(x);
  return SAP_OK;
}

/* Floats that a cut before a layer passes on, of a batch; SAP__NOT_MEASURED: too many values. */
static double crossing(const sap__program *program, int layer, int batch) {
  sap__ends in, out;
  double floats = 0;
  if (!sap__program_ends(program, (sap__range){layer, program->layer_count}, &in, &out)) return SAP__NOT_MEASURED;
  for (int i = 0; i < in.count; i++) floats += (double)sap__program_floats(program, in.values[i]);
  return floats * batch;
}

/* Row i of the table from row i − 1. */
static void extend(const double *const *costs, const change changes[WAYS], int i, double floats, step (*table)[WAYS]) {
  for (int way = 0; way < WAYS; way++) {
    step *s = &table[i][way];
    *s = (step){i > 0 ? SAP__NOT_MEASURED : 0, way};
    for (int before = 0; i > 0 && before < WAYS; before++) {
      double seconds = table[i - 1][before].seconds;
      if (before != way) seconds += floats * (changes[before].out + changes[way].in);
      if (seconds < s->seconds) *s = (step){seconds, before};
    }
    s->seconds += costs[way][i];
  }
}

sap_status sap__mix(const sap__program *program, int batch, const double *const *costs,
                    sap__stretch stretches[SAP__STRETCHES_MAX], int *count, sap_error *err) {
  int layers = program->layer_count, way = 0;
  change changes[WAYS];
  *count = 0;
  sap_status status = measure(changes, err);
  if (status || layers == 0) return status;
  step(*table)[WAYS] = sap__calloc((size_t)layers, sizeof *table);
  sap__stretch *found = sap__calloc((size_t)layers, sizeof *found);
  if (!table || !found) status = sap__fail_memory(err, (size_t)layers * sizeof *table);
  for (int i = 0; !status && i < layers; i++) extend(costs, changes, i, i > 0 ? crossing(program, i, batch) : 0, table);
  for (int k = 1; !status && k < WAYS; k++)
    if (table[layers - 1][k].seconds < table[layers - 1][way].seconds) way = k;
  int parts = 0;
  for (int i = layers - 1; !status && i >= 0; i--) { /* from the last */
    if (parts == 0 || (int)found[parts - 1].way != way) found[parts++] = (sap__stretch){(sap_way)way, i + 1};
    way = table[i][way].before;
  }
  if (parts <= SAP__STRETCHES_MAX) {
    for (int k = 0; k < parts; k++) stretches[k] = found[parts - 1 - k];
    *count = parts;
  }
  sap__free(table);
  sap__free(found);
  return status;
}
