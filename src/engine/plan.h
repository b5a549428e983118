/* A plan from within: what planning (plan.c) sets up and running (plan_run.c) uses. */
#ifndef SAP_ENGINE_PLAN_H
#define SAP_ENGINE_PLAN_H

#include "base/threads.h"
#include "engine/engine.h"

struct sap__plan {
  const sap__engine *engine;
  const sap__graph *graph;
  int batch, slices, training;
  sap__draw draw;
  float *input;           /* (batch, input shape) */
  uint8_t *labels;        /* (batch) */
  void **values;          /* one activation buffer a value, (batch, shape); views share their input's */
  void **gradients;       /* the same for gradients; NULL entries where nobody needs them */
  sap__op_context *ops;   /* (slices, nodes) */
  sap__op_context *whole; /* (nodes) over the whole batch */
  void *memory;           /* input, labels, values and gradients lie in here */
  int refreshes;          /* 1: some op has refresh */
  /* Gradients of the slices after the first, for ops with backward_slice; the first one's are the arena's. */
  float *partial;          /* (slices − 1, partial_count) */
  size_t partial_count;    /* elements a slice */
  size_t *partial_offset;  /* (params) a parameter's place among them; SAP__NO_PARTIAL: not made by slices */
  float *weight_gradients; /* the arena of gradients; NULL in a plan for evaluation */
};

#define SAP__NO_PARTIAL ((size_t)-1)

/* The op of a node; NULL for views. */
static inline const sap__op_impl *sap__plan_impl(const sap__plan *plan, int node) {
  return plan->engine->ops[plan->graph->nodes[node].op];
}

/* The first picture of a slice; slice `slices` begins at the end. */
static inline int sap__plan_start(const sap__plan *plan, int slice) {
  return (int)sap__part((unsigned)plan->batch, (unsigned)slice, (unsigned)plan->slices);
}

/* The contexts of a slice, (nodes). */
static inline sap__op_context *sap__plan_ops(const sap__plan *plan, int slice) {
  return plan->ops + (size_t)slice * (size_t)plan->graph->node_count;
}

/* Elements of a value for `count` pictures. */
static inline size_t sap__plan_elements(const sap__plan *plan, int value, int count) {
  return (size_t)count * (size_t)sap__shape_count(&plan->graph->values[value].shape);
}

#endif
