#include "runtime/dense.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "engine/engine.h"

struct sap__dense {
  const sap_model *model;
  const sap__engine *engine;
  float *weights;
  sap__plan *plan;
  double *values; /* (batch, outputs) */
  int batch;
  size_t picture; /* floats */
  int logits;     /* value */
};

/* Part of the caller's pictures; those past the last are zero. */
typedef struct feed {
  const sap__dense *dense;
  const float *x;
  size_t count;
} feed;

static void fill(const void *user, int first, int count, float *x, uint8_t *labels) {
  const feed *f = user;
  size_t picture = f->dense->picture, left = f->count > (size_t)first ? f->count - (size_t)first : 0;
  size_t given = left < (size_t)count ? left : (size_t)count;
  if (given > 0) memcpy(x, f->x + (size_t)first * picture, given * picture * sizeof *x);
  memset(x + given * picture, 0, ((size_t)count - given) * picture * sizeof *x);
  memset(labels, 0, (size_t)count);
}

sap_status sap__dense_new(const sap_model *model, int batch, sap__dense **out, sap_error *err) {
  const sap__engine *engine = sap__engine_find(NULL);
  const sap__node *lacking = NULL;
  if (!strcmp(engine->name, "ref"))
    return sap__fail(err, SAP_ERROR_UNSUPPORTED, "dense: this build has the reference engine only");
  if (!sap__engine_supports(engine, model->graph, &lacking))
    return sap__fail(err, SAP_ERROR_UNSUPPORTED, "dense: %s: engine %s lacks op %s", lacking->name, engine->name,
                     sap__op_info_of(lacking->op)->name);
  sap__dense *dense = sap__calloc(1, sizeof *dense);
  if (!dense) return sap__fail_memory(err, sizeof *dense);
  *dense = (sap__dense){.model = model, .engine = engine, .batch = batch, .logits = model->program->output};
  dense->picture = (size_t)sap__shape_count(&model->graph->values[0].shape);
  dense->weights = sap__model_arena(model);
  dense->values = sap__calloc((size_t)batch * (size_t)model->info.outputs, sizeof *dense->values);
  sap__choices *choices = sap__choices_new(); /* so that the fastest convolutions are found */
  sap_status status = dense->weights && dense->values && choices
                          ? SAP_OK
                          : sap__fail_memory(err, model->graph->arena_count * sizeof(float));
  if (!status) status = sap__plan_new(engine, model->graph, batch, dense->weights, NULL, choices, &dense->plan, err);
  sap__choices_free(choices);
  if (status)
    sap__dense_free(dense);
  else
    *out = dense;
  return status;
}

void sap__dense_free(sap__dense *dense) {
  if (!dense) return;
  sap__plan_free(dense->plan);
  sap__free(dense->weights);
  sap__free(dense->values);
  sap__free(dense);
}

void sap__dense_run(sap__dense *dense, const float *x, size_t count, float *y) {
  size_t outputs = (size_t)dense->model->info.outputs;
  for (size_t at = 0; at < count; at += (size_t)dense->batch) {
    size_t now = count - at < (size_t)dense->batch ? count - at : (size_t)dense->batch;
    const feed f = {dense, x + at * dense->picture, now};
    sap__plan_forward(dense->plan, fill, &f);
    sap__plan_value(dense->plan, dense->logits, dense->values);
    for (size_t i = 0; i < now * outputs; i++) y[at * outputs + i] = (float)dense->values[i];
  }
}
