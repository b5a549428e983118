/* The contract between the network as data and what computes it.
 *
 * An engine is a table of ops. A plan is one graph on one engine for one batch size: planning takes all
 * memory and lets each op prepare; running then allocates nothing. Activations are the engine's own,
 * `element` bytes each; weights and gradients are float and live in the caller's arenas.
 *
 * Threads: a plan is cut into slices of the batch. A thread takes a slice through the whole network and
 * back to the gradients of the activations; then, after one barrier, the threads share out the gradients
 * of the parameters, which need all pictures. So a step has two places to wait, however deep the network.
 * The cut depends on the batch alone: any number of threads makes the same sums in the same order.
 */
#ifndef SAP_ENGINE_ENGINE_H
#define SAP_ENGINE_ENGINE_H

#include "graph/graph.h"

typedef struct sap__op_context sap__op_context;

/* One op on one engine. Functions may run at the same time on different contexts. */
typedef struct sap__op_impl {
  /* 1 if this node can be computed; NULL: always. */
  int (*supports)(const sap__graph *graph, const sap__node *node);
  /* Once, when planned: may set op->state. NULL: nothing to prepare. */
  sap_status (*prepare)(sap__op_context *op, sap_error *err);
  /* y from x. */
  void (*forward)(sap__op_context *op);
  /* dx from dy. Called only where dx is wanted. */
  void (*backward_data)(sap__op_context *op);
  /* The parameters' gradients, over the whole batch, from x and dy; part `part` of `parts` of the work.
   * They are overwritten. op->state is not available. NULL: the op has no parameters. */
  void (*backward_weights)(const sap__op_context *op, int part, int parts);
  /* Frees op->state. NULL: nothing to free. */
  void (*release)(sap__op_context *op);
} sap__op_impl;

typedef struct sap__engine {
  const char *name;
  size_t element;                                  /* bytes of an activation: 4 (float) or 8 (double) */
  const sap__op_impl *const *ops;                  /* SAP_OP_COUNT; NULL: not supported; views need none */
  void (*load)(const float *x, void *y, size_t n); /* loader's floats to activations; NULL: they are the same */
} sap__engine;

/* What the loss op leaves behind for a batch. */
typedef struct sap__loss {
  double sum;       /* of the pictures' losses, nats */
  uint32_t correct; /* pictures whose largest logit is the label's */
} sap__loss;

/* One node for one slice of the batch. Activations are (count, shape of the value), row-major, of the
 * engine's element. */
struct sap__op_context {
  const sap__graph *graph;
  const sap__node *node;
  int count;                       /* pictures of this slice */
  int batch;                       /* pictures of the whole batch, which the mean loss is over */
  const void *x;                   /* input */
  void *y;                         /* output; NULL for the loss */
  const void *dy;                  /* gradient of the output; NULL for the loss */
  void *dx;                        /* gradient of the input; NULL when nobody needs it */
  const float *w[SAP__MAX_PARAMS]; /* parameters in the weight arena */
  float *dw[SAP__MAX_PARAMS];      /* their gradients; NULL in a plan for evaluation */
  const uint8_t *labels;           /* (count), for the loss */
  sap__loss loss;                  /* of this slice */
  void *state;                     /* the op's own */
};

typedef struct sap__plan sap__plan;

/* Engines of this build: "auto" or NULL gives the first. NULL if there is none of that name. */
const sap__engine *sap__engine_find(const char *name);

/* 1 if the engine has every op of the graph; else 0 and *node is the first it lacks. */
int sap__engine_supports(const sap__engine *engine, const sap__graph *graph, const sap__node **node);

/* Plans the graph for exactly `batch` pictures. weights and gradients are
 * arenas of graph->arena_count floats which outlive the plan; gradients NULL: forward only.
 * SAP_ERROR_UNSUPPORTED names the node. */
sap_status sap__plan_new(const sap__engine *engine, const sap__graph *graph, int batch, const float *weights,
                         float *gradients, sap__plan **plan, sap_error *err);
void sap__plan_free(sap__plan *plan);

/* Fills pictures [first, first + count) of the batch: x (count, shape of values[0]), labels (count).
 * Called by several threads at once for different ranges. */
typedef void sap__fill(const void *user, int first, int count, float *x, uint8_t *labels);

/* Fills the batch and runs all nodes; returns the loss of the batch. */
sap__loss sap__plan_forward(sap__plan *plan, sap__fill *fill, const void *user);

/* After a forward: gradients of the mean loss into the gradient arena (gaps are left as they are). */
void sap__plan_backward(sap__plan *plan);

/* The activations of a value after a forward, (batch, shape), of the engine's element. */
const void *sap__plan_value(const sap__plan *plan, int value);

/* The first node (in running order) whose output holds a NaN or an infinity; NULL if none. */
const sap__node *sap__plan_nonfinite(const sap__plan *plan);

#endif
