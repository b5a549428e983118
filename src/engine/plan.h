/* A plan from within: what planning (plan.c, plan_memory.c) sets up and running (plan_run.c) uses. */
#ifndef SAP_ENGINE_PLAN_H
#define SAP_ENGINE_PLAN_H

#include "base/threads.h"
#include "engine/engine.h"

/* Memory of one value or gradient, or of several that share it.
 *
 * Times: 0 is the loading of the pictures, n + 1 the forward of node n, 2 · nodes − n its walk back, and
 * 2 · nodes + 1 the gradients of parameters over the whole batch. Buffers whose times do not meet share memory. Slices
 * are not at the same time together, so each has a block of memory of its own; what must be in one piece for the
 * whole batch lies outside of the blocks and shares with nobody. */
typedef struct sap__buffer {
  size_t bytes;     /* of one picture */
  int birth, death; /* times of the first write and the last use */
  int whole;        /* 1: in one piece for the whole batch */
  size_t offset;    /* in each slice's block, or among the whole ones */
} sap__buffer;

enum { SAP__NO_BUFFER = -1 };

/* Some of the work of a step that threads share out: a node's refresh or backward_weights, or a part of it. */
typedef struct sap__task {
  int node, part, parts;
} sap__task;

struct sap__plan {
  const sap__engine *engine;
  const sap__graph *graph;
  int batch, slices, training;
  sap__draw draw;
  sap__choices *choices; /* while planning */

  sap__format *formats;       /* (values) */
  const sap__op_impl **impls; /* (nodes); NULL where there is nothing to run: views, and what was fused away */
  int *root;                  /* (values) the value whose memory this one is a view of; else itself */
  int *value_buffer;          /* (values) */
  int *gradient_buffer;       /* (values); SAP__NO_BUFFER where nobody needs it */
  uint8_t *kept;              /* (values) 1: still there after a forward */
  sap__buffer *buffers;
  int buffer_count;
  size_t block_bytes, whole_bytes; /* of a slice's block; of all whole buffers */

  float *input;       /* (batch, input shape) as the loader gives it; NULL: that is the input's format */
  uint8_t *labels;    /* (batch) */
  char *memory;       /* input, labels, whole buffers, and a block a slice lie in here */
  char *whole_memory; /* in memory */
  char *blocks;       /* in memory */
  size_t memory_bytes;
  sap__op_context *ops;   /* (slices, nodes) */
  sap__op_context *whole; /* (nodes) over the whole batch */
  int backward_ran;       /* 1: activations are gone */

  int runners;          /* threads at most */
  size_t scratch_bytes; /* of a thread */
  char *scratch;        /* (runners, scratch_bytes) */

  double (*times)[SAP__TIME_COUNT]; /* (runners, nodes) seconds; NULL: not taken */

  sap__task *refreshes, *gathers; /* in falling order of work */
  int refresh_count, gather_count;

  /* Gradients of the slices after the first, for ops with backward_slice alone; the first one's are the arena's. */
  float *partial;          /* (slices − 1, partial_count) */
  size_t partial_count;    /* elements a slice */
  size_t *partial_offset;  /* (params) a parameter's place among them; SAP__NO_PARTIAL: not made by slices */
  float *weight_gradients; /* the arena of gradients; NULL in a plan for evaluation */
};

#define SAP__NO_PARTIAL ((size_t)-1)

/* The op of a node; NULL where there is nothing to run. */
static inline const sap__op_impl *sap__plan_impl(const sap__plan *plan, int node) { return plan->impls[node]; }

/* The first picture of a slice; slice `slices` begins at the end. */
static inline int sap__plan_start(const sap__plan *plan, int slice) {
  return (int)sap__part((unsigned)plan->batch, (unsigned)slice, (unsigned)plan->slices);
}

/* The contexts of a slice, (nodes). */
static inline sap__op_context *sap__plan_ops(const sap__plan *plan, int slice) {
  return plan->ops + (size_t)slice * (size_t)plan->graph->node_count;
}

/* Where the pictures of a slice begin in a buffer; NULL for SAP__NO_BUFFER. */
void *sap__plan_pointer(const sap__plan *plan, int buffer, int slice);

/* Decides what is a view, what is fused, who shares memory and where it lies, and takes it. */
sap_status sap__plan_memory(sap__plan *plan, sap_error *err);

#endif
