/* The arenas: weights, gradients, momentum and mask of a whole network, each flat, all of one layout.
 *
 * A parameter is the range [offset, offset + count) of each. Gaps between parameters hold zeros and
 * cleared mask bits; parameters that are not prunable have all their mask bits set. So the optimizer,
 * the mask and rewinding are each one loop over the whole.
 */
#ifndef SAP_TRAIN_ARENA_H
#define SAP_TRAIN_ARENA_H

#include "graph/graph.h"
#include "sapwood/layer.h"

typedef struct sap__arena {
  const sap__graph *graph;
  uint64_t count;    /* elements, a multiple of 64 */
  uint64_t trained;  /* the first so many have gradients; running statistics follow */
  float *weights;    /* (count) */
  float *gradients;  /* (count); NULL in an arena for evaluation */
  float *momentum;   /* (count); likewise */
  uint64_t *mask;    /* (count / 64) */
  sap_layer *layers; /* views of the prunable parameters, in arena order */
  size_t layer_count;
  uint64_t prunable; /* weights in all layers */
} sap__arena;

/* All zero, everything kept. trains = 0: without gradients and momentum. */
sap_status sap__arena_new(const sap__graph *graph, int trains, sap__arena **arena, sap_error *err);
void sap__arena_free(sap__arena *arena);

/* Initial weights of the seed's own stream for each parameter. */
void sap__arena_initialise(sap__arena *arena, uint64_t seed);

/* Kept weights over all layers. */
uint64_t sap__arena_kept(const sap__arena *arena);

/* Zeroes the pruned weights. */
void sap__arena_apply_mask(sap__arena *arena);

/* The name of the first parameter in which `values` (an arena) holds a NaN or infinity; NULL if none. */
const char *sap__arena_nonfinite(const sap__arena *arena, const float *values);

#endif
