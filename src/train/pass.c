#include "train/pass.h"

#include <math.h>
#include <string.h>

sap_status sap__pass_plan(sap__pass *pass, const sap__engine *engine, const sap__arena *arena, int batch,
                          float *gradients, sap__choices *choices, sap_error *err) {
  uint32_t count = pass->loader.count, full = count / (uint32_t)batch, rest = count % (uint32_t)batch;
  pass->batch = batch;
  pass->steps = full + (rest > 0);
  sap_status status = SAP_OK;
  if (full) status = sap__plan_new(engine, arena->graph, batch, arena->weights, gradients, choices, &pass->full, err);
  if (!status && rest)
    status = sap__plan_new(engine, arena->graph, (int)rest, arena->weights, gradients, choices, &pass->tail, err);
  return status;
}

sap_status sap__pass_prefetch(sap__pass *pass, int threads, sap_error *err) {
  if (!threads) return SAP_OK;
  return sap__prefetch_new(&pass->loader, (uint32_t)pass->batch, threads, &pass->prefetch, err);
}

void sap__pass_shuffle(sap__pass *pass, uint64_t seed, int iteration, int epoch, uint32_t step) {
  if (pass->prefetch) sap__prefetch_pause(pass->prefetch);
  sap__loader_shuffle(&pass->loader, seed, iteration, epoch);
  if (pass->prefetch) sap__prefetch_start(pass->prefetch, step);
}

void sap__pass_free(sap__pass *pass) {
  sap__prefetch_free(pass->prefetch);
  sap__plan_free(pass->full);
  sap__plan_free(pass->tail);
  sap__loader_free(&pass->loader);
  *pass = (sap__pass){0};
}

uint32_t sap__pass_count(const sap__pass *pass, uint32_t step) {
  uint32_t batch = (uint32_t)pass->batch, first = step * batch;
  return pass->loader.count - first < batch ? pass->loader.count - first : batch;
}

/* A batch: where it begins in the loader's order and, if it was prepared ahead, its elements and labels. */
typedef struct source {
  const sap__loader *loader;
  uint32_t first;
  const uint8_t *elements, *labels;
} source;

static void fill(const void *user, int first, int count, float *x, uint8_t *labels) {
  const source *from = user;
  const sap_dataset *set = from->loader->set;
  if (!from->elements) {
    sap__loader_fill(from->loader, from->first + (uint32_t)first, (uint32_t)count, x, labels);
    return;
  }
  size_t picture = (size_t)set->channels * (size_t)set->height * (size_t)set->width;
  const uint8_t *elements = from->elements + (size_t)first * picture * sap__loader_element(from->loader);
  sap__loader_finish(from->loader, elements, (uint32_t)count, x);
  memcpy(labels, from->labels + first, (size_t)count);
}

sap__loss sap__pass_forward(sap__pass *pass, uint32_t step, sap__draw draw, sap__plan **plan) {
  *plan = sap__pass_count(pass, step) == (uint32_t)pass->batch ? pass->full : pass->tail;
  source from = {.loader = &pass->loader, .first = step * (uint32_t)pass->batch};
  if (pass->prefetch) from.elements = sap__prefetch_take(pass->prefetch, step, &from.labels);
  sap__plan_draw(*plan, draw);
  return sap__plan_forward(*plan, fill, &from);
}

void sap__pass_evaluate(sap__pass *pass, double *loss, double *accuracy) {
  double sum = 0, correct = 0;
  for (uint32_t step = 0; step < pass->steps; step++) {
    sap__plan *plan;
    sap__loss batch = sap__pass_forward(pass, step, (sap__draw){0, 0}, &plan);
    sum += batch.sum;
    correct += batch.correct;
  }
  *loss = pass->steps ? sum / pass->loader.count : NAN;
  *accuracy = pass->steps ? correct / pass->loader.count : NAN;
}
