/* The weights of a network as they are kept in memory between a file and a session: the kept ones alone. */
#ifndef SAP_RUNTIME_WEIGHTS_H
#define SAP_RUNTIME_WEIGHTS_H

#include "graph/graph.h"

/* One parameter. */
typedef struct sap__kept_weights {
  uint64_t count;      /* kept entries */
  uint32_t *positions; /* (count) flat indices, rising; NULL: all are kept */
  float *values;       /* (count) */
} sap__kept_weights;

/* Takes the entries of w (n floats) whose bit in mask is 1; mask NULL: all. SAP_ERROR_MEMORY. */
sap_status sap__kept_weights_make(const float *w, const uint64_t *mask, uint64_t n, sap__kept_weights *weights,
                                  sap_error *err) SAP_WARN_UNUSED;

/* The positions of n weights' kept ones, and room for their values. SAP_ERROR_MEMORY. */
sap_status sap__kept_weights_place(const uint64_t *mask, uint64_t n, sap__kept_weights *weights,
                                   sap_error *err) SAP_WARN_UNUSED;
void sap__kept_weights_free(sap__kept_weights *weights);

/* Which entry i of the kept ones is in the whole parameter. */
static inline uint64_t sap__kept_position(const sap__kept_weights *weights, uint64_t i) {
  return weights->positions ? weights->positions[i] : i;
}

#endif
