/* Which activations dropout drops: the same for every engine, cut into slices and number of threads. */
#ifndef SAP_ENGINE_DROPOUT_H
#define SAP_ENGINE_DROPOUT_H

#include "base/random.h"
#include "engine/engine.h"

/* The stream for picture `picture` of the slice, whose activations draw from it in order. */
static inline sap__random sap__dropout_stream(const sap__op_context *op, int picture) {
  enum { STREAM_DROPOUT = 5 };
  uint64_t node = (uint64_t)(op->node - op->graph->nodes), number = (uint64_t)(op->first + picture);
  return sap__random_stream(op->draw->seed, STREAM_DROPOUT, op->draw->step, node << 32 | number);
}

/* What the next activation of the stream is multiplied by: 0 with probability `rate`, else 1/(1 − rate). */
static inline double sap__dropout_factor(sap__random *random, double rate) {
  return sap__random_unit(random) < rate ? 0 : 1 / (1 - rate);
}

#endif
