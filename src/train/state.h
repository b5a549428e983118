/* Where a run is, and the file that keeps it: state.safetensors, replaced as a whole each time.
 *
 * Everything random follows from the seed and the position, so arenas and these few numbers are all that
 * a resumed run needs to write the same bytes as an uninterrupted one.
 */
#ifndef SAP_TRAIN_STATE_H
#define SAP_TRAIN_STATE_H

#include "train/arena.h"
#include "train/run.h"

typedef struct sap__position {
  uint64_t iteration;   /* 0 … T; T + 1: the run is complete */
  uint64_t epoch;       /* in progress, 1 … E; E + 1: trained, the iteration's end is still to do */
  uint64_t step;        /* next step of that epoch */
  uint64_t correct;     /* over the epoch's steps so far */
  double loss;          /* likewise, a sum */
  uint64_t best_epoch;  /* of this iteration; 0: none yet */
  double best_accuracy; /* on the set that --select looks at */
} sap__position;

typedef struct sap__state {
  sap__position at;
  sap__arena *arena;
  float *initial; /* (arena count) the weights every iteration restarts from */
  float *best;    /* (arena count) of best_epoch; NULL with --select last */
  float *first;   /* (arena count) the first trained model; NULL but for method os */
  /* PQ Indices at the method's scope of the retrained models so far and their densities, (iterations + 1) each, then
   * zeros; in one piece of memory; NULL without --stop auto. */
  double *pqi, *density;
  uint64_t series_count;
} sap__state;

/* Flushes the metrics, then replaces the file. */
sap_status sap__state_save(const sap__state *state, sap__run *run, sap_error *err);

/* Fills *state from the file and cuts the metrics to what it counts. SAP_ERROR_FORMAT where the file
 * does not fit the network. */
sap_status sap__state_load(sap__state *state, sap__run *run, sap_error *err);

/* The iteration that the saved state of a run directory is in. SAP_ERROR_NOT_FOUND if there is no state. */
sap_status sap__state_iteration(const char *run, uint64_t *iteration, sap_error *err);

#endif
