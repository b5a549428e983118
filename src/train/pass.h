/* One way through a list of pictures: a loader, and a plan for full batches and one for the rest. */
#ifndef SAP_TRAIN_PASS_H
#define SAP_TRAIN_PASS_H

#include "data/loader.h"
#include "data/prefetch.h"
#include "engine/engine.h"
#include "train/arena.h"

typedef struct sap__pass {
  sap__loader loader;
  int batch;
  uint32_t steps;          /* batches, the last possibly shorter */
  sap__plan *full, *tail;  /* NULL where no batch of that size occurs */
  sap__prefetch *prefetch; /* NULL: batches are prepared by the threads that compute */
} sap__pass;

/* Plans batches over pass->loader, which the caller has filled; gradients NULL: forward only. */
sap_status sap__pass_plan(sap__pass *pass, const sap__engine *engine, const sap__arena *arena, int batch,
                          float *gradients, sap__choices *choices, sap_error *err);

/* Has batches prepared ahead by that many threads, once the pass is planned; 0: none. */
sap_status sap__pass_prefetch(sap__pass *pass, int threads, sap_error *err);

/* Shuffles the pictures for an epoch, whose batches will be asked for from `step` on. */
void sap__pass_shuffle(sap__pass *pass, uint64_t seed, int iteration, int epoch, uint32_t step);

/* Frees plans, loader and background threads. */
void sap__pass_free(sap__pass *pass);

/* Pictures of batch `step`. */
uint32_t sap__pass_count(const sap__pass *pass, uint32_t step);

/* Loads batch `step` and runs it forward with that draw of random numbers; *plan receives the plan that holds it. */
sap__loss sap__pass_forward(sap__pass *pass, uint32_t step, sap__draw draw, sap__plan **plan);

/* Mean loss and accuracy over the whole list; NaN both for an empty one. */
void sap__pass_evaluate(sap__pass *pass, double *loss, double *accuracy);

#endif
