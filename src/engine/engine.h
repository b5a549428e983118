/* The contract between the network as data and what computes it.
 *
 * An engine is a table of ops. A plan is one graph on one engine for one batch size: planning takes all
 * memory and lets each op prepare; running then allocates nothing. Activations are the engine's own,
 * `element` bytes each; weights and gradients are float and live in the caller's arenas.
 *
 * Threads: a plan is cut into slices of the batch, and a thread takes a slice through a segment of nodes.
 * Segments end where an op must know the whole batch: batch norm leaves partial sums of each slice, all
 * threads wait, and every slice then adds up the same sums in the same order. A network without batch norm is
 * one segment, so that a step has two places to wait, however deep the network. The cut depends on the batch
 * alone: any number of threads makes the same sums in the same order.
 *
 * Gradients of parameters come in one of two ways. An op with `backward_slice` makes those of one slice on the
 * walk back, and the plan adds up the slices in order; an op with `backward_weights` makes them over the whole
 * batch at the end.
 *
 *   forward:   refresh of all nodes | forward of the segment's nodes, forward_statistics of the next node | …
 *   backward:  backward_slice and backward_data of the segment's nodes from the last to the first,
 *              backward_statistics of the one before them | … | backward_weights of all nodes, sums over slices
 * where all threads wait at each |.
 */
#ifndef SAP_ENGINE_ENGINE_H
#define SAP_ENGINE_ENGINE_H

#include "engine/choices.h"
#include "engine/fixed_conv.h"
#include "engine/format.h"
#include "graph/graph.h"

typedef struct sap__op_context sap__op_context;

/* What the walk back reads of a node, for which the plan must keep it. */
enum {
  SAP__KEEPS_X = 1,    /* the inputs */
  SAP__KEEPS_Y = 2,    /* the output */
  SAP__KEEPS_WHOLE = 4 /* backward_weights reads the inputs and dy of the whole batch, in one piece */
};

/* One op on one engine. Functions may run at the same time on different contexts. NULL: nothing to do. */
typedef struct sap__op_impl {
  int keeps;            /* SAP__KEEPS_… */
  int in_place;         /* 1: y may lie where the first input does, and dx where dy does, if nobody else reads them */
  int passes_gradients; /* 1: the gradient of each input is dy itself, and may lie there */
  int indivisible;      /* 1: refresh and backward_weights are called with part 0 of 1 only */

  /* 1 if this node can be computed; NULL: always. */
  int (*supports)(const sap__graph *graph, const sap__node *node);

  /* Once a node, when planned, before its slices are prepared: may set op->shared, which all contexts of the
   * node then have. Called with the context of the whole batch. */
  sap_status (*share)(sap__op_context *op, sap_error *err);
  void (*unshare)(sap__op_context *op);
  /* Once a slice, when planned: may set op->state. */
  sap_status (*prepare)(sap__op_context *op, sap_error *err);
  void (*release)(sap__op_context *op);

  /* At the start of each forward, part `part` of `parts`: for ops that keep a copy of their weights in op->shared. */
  void (*refresh)(const sap__op_context *op, int part, int parts);
  /* In training, before `forward`: what the other slices must know of this one, into row `slice` of op->shared. */
  void (*forward_statistics)(sap__op_context *op);
  /* y from x. */
  void (*forward)(sap__op_context *op);

  /* Before `backward_data`, from dy; as forward_statistics. */
  void (*backward_statistics)(sap__op_context *op);
  /* dx from dy, for each input whose dx is not NULL; added to what is there where accumulate is set. Called only
   * where some dx is wanted. */
  void (*backward_data)(sap__op_context *op);
  /* The parameters' gradients of this slice alone, from x and dy, into dw, which is overwritten. */
  void (*backward_slice)(sap__op_context *op);
  /* The parameters' gradients over the whole batch, from x and dy, or from op->shared: part `part` of `parts` of
   * the work. They are overwritten. op->state is not available. */
  void (*backward_weights)(const sap__op_context *op, int part, int parts);

  /* How it computes pass 0 (forward), 1 (dx) or 2 (dw), in words, where there are several ways. */
  void (*describe)(const sap__op_context *op, int pass, char *text, size_t size);
} sap__op_impl;

typedef struct sap__engine {
  const char *name;
  const struct sap__engine
      *bf16; /* the same with activations in bf16; weights, sums and updates stay floats. NULL: none */
  const sap__op_impl *const *ops; /* SAP_OP_COUNT; NULL: not supported. A view is asked for where it must be copied */
  /* How each value lies in memory: (value_count) formats. */
  void (*choose_formats)(const sap__graph *graph, sap__format *formats);
  /* What the choices of plans depend on: the library, the processor; and of which ops there are any, a bit each
   * (1 << SAP_OP_…). NULL and 0: it makes none. */
  void (*describe_machine)(char *text, size_t size);
  unsigned chooses;
  int fuses_relu;                /* 1: a batch norm whose only reader is a relu makes that one's output as well */
  const sap__fixed_convs *fixed; /* convolutions for inference; NULL: none */
  int keeps_values;              /* 1: no two values share memory, so that all can be looked at after a forward */
} sap__engine;

/* What the loss op leaves behind for a batch. */
typedef struct sap__loss {
  double sum;       /* of the pictures' losses, nats */
  uint32_t correct; /* pictures whose largest logit is the label's */
} sap__loss;

/* What random numbers of a step follow from (dropout). */
typedef struct sap__draw {
  uint64_t seed, step;
} sap__draw;

/* One node for one slice of the batch. Activations are (count, shape of the value), in the formats given. */
struct sap__op_context {
  const sap__graph *graph;
  const sap__node *node;
  sap__format x_format[SAP__MAX_INPUTS], y_format; /* of the inputs and the output, and of their gradients */
  int relu;                                        /* 1: y is max(0, the output), for an engine that fuses */
  int training;                    /* 1: gradients follow; batch norm takes the batch's statistics, dropout drops */
  int slice, slices;               /* this slice of how many; the context of the whole batch says slice 0 */
  int first, count;                /* pictures of this slice */
  int batch;                       /* pictures of the whole batch, which the mean loss is over */
  const void *x[SAP__MAX_INPUTS];  /* inputs */
  void *y;                         /* output; NULL for the loss */
  const void *dy;                  /* gradient of the output; NULL for the loss */
  void *dx[SAP__MAX_INPUTS];       /* gradients of the inputs; NULL when nobody needs them */
  int accumulate[SAP__MAX_INPUTS]; /* 1: another reader of the value has written dx before; add to it */
  float *w[SAP__MAX_PARAMS];       /* parameters in the weight arena; only running statistics are written */
  float *dw[SAP__MAX_PARAMS];      /* their gradients, or this slice's; NULL in a plan for evaluation */
  const uint8_t *labels;           /* (count), for the loss */
  const sap__draw *draw;
  sap__choices *choices; /* while planning; NULL: nothing is to be tried */
  sap__loss loss;        /* of this slice */
  void *shared;          /* the op's own, of all slices */
  void *state;           /* the op's own, of this slice */
  size_t scratch_bytes;  /* set by share or prepare: what the functions below find at `scratch` */
  void *scratch;         /* the running thread's; holds nothing between two calls */
};

typedef struct sap__plan sap__plan;

/* Engines of this build: "auto" or NULL gives the first. NULL if there is none of that name. */
const sap__engine *sap__engine_find(const char *name);

/* 1 if the engine has every op of the graph; else 0 and *node is the first it lacks. */
int sap__engine_supports(const sap__engine *engine, const sap__graph *graph, const sap__node **node);

/* Plans the finished graph for exactly `batch` pictures. weights and gradients are arenas of graph->arena_count
 * floats which outlive the plan; gradients NULL: forward only, as in evaluation. A forward in training moves the
 * running statistics among the weights. Where an engine has several ways to compute a thing, the fastest is found by
 * trying, unless it is among the choices; it is added to them. choices NULL: the first way, untried.
 * SAP_ERROR_UNSUPPORTED names the node. */
sap_status sap__plan_new(const sap__engine *engine, const sap__graph *graph, int batch, float *weights,
                         float *gradients, sap__choices *choices, sap__plan **plan, sap_error *err);
void sap__plan_free(sap__plan *plan);

/* Fills pictures [first, first + count) of the batch: x (count, shape of values[0]), labels (count).
 * Called by several threads at once for different ranges. */
typedef void sap__fill(const void *user, int first, int count, float *x, uint8_t *labels);

/* What the random numbers of the next forward follow from: the same draw gives the same numbers. */
void sap__plan_draw(sap__plan *plan, sap__draw draw);

/* Fills the batch and runs all nodes; returns the loss of the batch. */
sap__loss sap__plan_forward(sap__plan *plan, sap__fill *fill, const void *user);

/* After a forward: gradients of the mean loss into the gradient arena (gaps are left as they are). */
void sap__plan_backward(sap__plan *plan);

/* What a step spends its time on. */
typedef enum sap__time {
  SAP__TIME_FORWARD, /* forward, and its statistics */
  SAP__TIME_DATA,    /* gradients of activations, and their statistics */
  SAP__TIME_WEIGHTS, /* gradients of parameters */
  SAP__TIME_COPIES,  /* copies of weights into an engine's own layout, sums of gradients over slices and back */
  SAP__TIME_COUNT
} sap__time;

/* From now on the time of each node is taken: processor time, so that other programs do not count. */
sap_status sap__plan_profile(sap__plan *plan, sap_error *err);

/* Seconds spent on a node since then, of all threads together. */
double sap__plan_time(const sap__plan *plan, int node, sap__time what);

/* What the plan decided for a node: its output's format, whether it runs, and the bytes of its output in the batch,
 * 0 where that lies over an input or is not made. */
typedef struct sap__plan_node {
  sap__format format;
  int is_view, is_fused, reorders;
  uint64_t bytes;
} sap__plan_node;
sap__plan_node sap__plan_describe(const sap__plan *plan, int node);

/* How a node computes a pass, in words; "" where there is one way only. */
void sap__plan_way(const sap__plan *plan, int node, int pass, char *text, size_t size);

/* Bytes of activations and gradients, shared and as they would be without sharing, and of working memory. */
typedef struct sap__plan_sizes {
  int slices;
  uint64_t bytes, unshared_bytes, scratch_bytes;
} sap__plan_sizes;
sap__plan_sizes sap__plan_size(const sap__plan *plan);

/* The activations of a value after a forward into y, (batch, shape) doubles, row-major. 0 if the plan does not keep
 * them: it was fused away, or its memory has been used again. */
int sap__plan_value(const sap__plan *plan, int value, double *y);

/* After a forward: the first node (in running order) whose output holds a NaN or an infinity; NULL if none. An output
 * whose memory has been used again is judged by what relu, pools and the like made of it. */
const sap__node *sap__plan_nonfinite(const sap__plan *plan);

#endif
