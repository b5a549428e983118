/* Everything a running experiment owns, and its three movements. */
#ifndef SAP_TRAIN_TRAINER_H
#define SAP_TRAIN_TRAINER_H

#include "engine/engine.h"
#include "sapwood/dataset.h"
#include "sapwood/experiment.h"
#include "train/pass.h"
#include "train/remember.h"
#include "train/run.h"
#include "train/state.h"

typedef struct sap__trainer {
  const sap_experiment *experiment;
  sap_experiment_callbacks callbacks;
  const sap__engine *engine;
  sap__remember remember; /* how the engine computes */
  sap_dataset *data;
  sap__graph *graph;
  sap__state state;                  /* owns the arenas */
  sap__pass train, validation, test; /* validation is empty without --validation */
  sap__run run;
  /* Room for the end of an iteration, taken once. */
  sap_norms *layer_norms;          /* (layers) */
  sap_layer_record *layer_records; /* (layers) */
  sap_layer *first_layers;         /* (layers) views of state.first; NULL but for method os */
  uint8_t *mask_bytes;             /* (prunable weights) */
  uint64_t profiled_steps;         /* where the callbacks ask for a profile */
  double profiled_seconds;
} sap__trainer;

/* Opens the data, builds and plans the network: all memory is taken here. run: a directory to resume, or NULL. */
sap_status sap__trainer_open(sap__trainer *trainer, const sap_experiment *experiment,
                             const sap_experiment_callbacks *callbacks, const char *run, sap_error *err);
void sap__trainer_close(sap__trainer *trainer);

/* Trains from the current position to the end of the epoch, evaluates, reports, moves to the next epoch.
 * SAP_INTERRUPTED after a step when asked to stop; SAP_ERROR_NONFINITE. */
sap_status sap__trainer_epoch(sap__trainer *trainer, sap_error *err);

/* Ends an iteration: measures, writes the weights, decides, prunes, evaluates the pruned model, reports,
 * rewinds and moves to the next iteration. */
sap_status sap__trainer_prune(sap__trainer *trainer, sap_error *err);

#endif
