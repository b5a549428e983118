#include "train/pass.h"

#include <math.h>

sap_status sap__pass_plan(sap__pass *pass, const sap__engine *engine, const sap__arena *arena, int batch,
                          float *gradients, sap_error *err) {
  uint32_t count = pass->loader.count, full = count / (uint32_t)batch, rest = count % (uint32_t)batch;
  pass->batch = batch;
  pass->steps = full + (rest > 0);
  sap_status status = SAP_OK;
  if (full) status = sap__plan_new(engine, arena->graph, batch, arena->weights, gradients, &pass->full, err);
  if (!status && rest)
    status = sap__plan_new(engine, arena->graph, (int)rest, arena->weights, gradients, &pass->tail, err);
  return status;
}

void sap__pass_free(sap__pass *pass) {
  sap__plan_free(pass->full);
  sap__plan_free(pass->tail);
  sap__loader_free(&pass->loader);
  *pass = (sap__pass){0};
}

uint32_t sap__pass_count(const sap__pass *pass, uint32_t step) {
  uint32_t batch = (uint32_t)pass->batch, first = step * batch;
  return pass->loader.count - first < batch ? pass->loader.count - first : batch;
}

/* Where in a loader's order a batch begins. */
typedef struct batch_start {
  const sap__loader *loader;
  uint32_t first;
} batch_start;

static void fill(const void *user, int first, int count, float *x, uint8_t *labels) {
  const batch_start *batch = user;
  sap__loader_fill(batch->loader, batch->first + (uint32_t)first, (uint32_t)count, x, labels);
}

sap__loss sap__pass_forward(sap__pass *pass, uint32_t step, sap__draw draw, sap__plan **plan) {
  *plan = sap__pass_count(pass, step) == (uint32_t)pass->batch ? pass->full : pass->tail;
  batch_start start = {&pass->loader, step * (uint32_t)pass->batch};
  sap__plan_draw(*plan, draw);
  return sap__plan_forward(*plan, fill, &start);
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
