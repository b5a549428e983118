/* The network as data: values, parameters and nodes in the order they run.
 *
 * A graph is built, finished and then read only. It holds no weights: a parameter is a range of the flat
 * arenas (weights, gradients, momentum and mask share one layout), a value is the shape of what flows
 * between two nodes, for one picture.
 *
 * Parameters that no gradient changes (the running statistics of batch norm, which PyTorch calls buffers)
 * come last in the arenas: the optimizer goes over [0, trained_count), rewinding and files over the whole.
 */
#ifndef SAP_GRAPH_GRAPH_H
#define SAP_GRAPH_GRAPH_H

#include <stddef.h>
#include <stdint.h>

#include "sapwood/status.h"

/* Every op: X(constant, name). An op is src/graph/op_<name>.c, a line here, and a file and a line in
 * each engine that has it. */
#define SAP__OP_LIST(X)                      \
  X(SAP_OP_FLATTEN, flatten)                 \
  X(SAP_OP_LINEAR, linear)                   \
  X(SAP_OP_CONV2D, conv2d)                   \
  X(SAP_OP_BATCH_NORM, batch_norm)           \
  X(SAP_OP_RELU, relu)                       \
  X(SAP_OP_SIGMOID, sigmoid)                 \
  X(SAP_OP_DROPOUT, dropout)                 \
  X(SAP_OP_MAX_POOL, max_pool)               \
  X(SAP_OP_AVG_POOL, avg_pool)               \
  X(SAP_OP_GLOBAL_AVG_POOL, global_avg_pool) \
  X(SAP_OP_ADD, add)                         \
  X(SAP_OP_CROSS_ENTROPY, cross_entropy)

typedef enum sap__op {
#define SAP__OP_ENUM(constant, name) constant,
  SAP__OP_LIST(SAP__OP_ENUM)
#undef SAP__OP_ENUM
      SAP_OP_COUNT
} sap__op;

enum {
  SAP__MAX_RANK = 4,
  SAP__MAX_INPUTS = 2,
  SAP__MAX_PARAMS = 4,
  SAP__NAME_SIZE = 96,
  SAP__MODEL_SIZE = 1024,
  /* Parameters start at multiples of this many elements: of a mask word and of a cache line. */
  SAP__PARAM_ALIGNMENT = 64
};

/* Lengths of the axes, the batch not among them: (C, H, W) or (features). */
typedef struct sap__shape {
  int rank;
  int64_t dim[SAP__MAX_RANK];
} sap__shape;

/* How a parameter starts. */
typedef enum sap__init {
  SAP_INIT_ZERO,
  SAP_INIT_ONE,
  SAP_INIT_UNIFORM_FAN_IN, /* U(±1/√fan): the frameworks' default of linear layers */
  SAP_INIT_KAIMING_FAN_OUT /* N(0, 2/fan): He et al. 2015 */
} sap__init;

typedef struct sap__param {
  char name[SAP__NAME_SIZE]; /* as in a PyTorch state dict, "blocks.0.weight" */
  sap__shape shape;
  uint64_t count;  /* product of the shape */
  uint64_t offset; /* first element in the arenas, a multiple of SAP__PARAM_ALIGNMENT; 0 until finished */
  sap__init init;
  int64_t fan;  /* what init divides by */
  int trained;  /* 0: running statistics */
  int prunable; /* "*.weight" of rank >= 2 */
} sap__param;

typedef struct sap__value {
  sap__shape shape;
  int producer; /* node; -1 for the graph's input */
  int readers;  /* how many inputs of nodes are this value */
  int reader;   /* the last node that reads it */
} sap__value;

/* Pairs are (height, width); pad is (top, left, bottom, right), zeros. */
typedef struct sap__conv2d {
  int64_t out_channels;
  int64_t kernel[2], stride[2], pad[4], dilation[2];
  int64_t groups;
  int bias;
} sap__conv2d;

typedef struct sap__pool {
  int64_t kernel[2], stride[2], pad[4];
  int ceil;              /* 1: a last window that is only partly inside counts */
  int count_include_pad; /* avg_pool: 1 divides by the window with its padding, 0 by the pixels in it */
} sap__pool;

/* What an op was built with; each op reads its own member. */
typedef union sap__attributes {
  struct {
    int64_t features; /* outputs */
    int bias;
  } linear;
  sap__conv2d conv2d;
  sap__pool pool; /* max_pool, avg_pool */
  struct {
    double momentum; /* weight of the new batch in the running statistics, (0, 1] */
    double eps;      /* added to the variance */
  } batch_norm;
  struct {
    double rate; /* probability of a zero, [0, 1) */
  } dropout;
} sap__attributes;

typedef struct sap__node {
  sap__op op;
  char name[SAP__NAME_SIZE]; /* prefix of its parameters' names */
  sap__attributes attributes;
  int inputs[SAP__MAX_INPUTS], input_count; /* values */
  int output;                               /* value */
  int params[SAP__MAX_PARAMS], param_count;
} sap__node;

typedef struct sap__graph {
  char model[SAP__MODEL_SIZE];     /* a name of the zoo, or a path */
  struct sap__onnx_source *source; /* the file it came from; NULL: the zoo */
  int classes;
  sap__value *values; /* values[0] is the input */
  sap__node *nodes;   /* in running order; the last is the loss */
  sap__param *params; /* in the order of a state dict */
  int value_count, node_count, param_count;
  size_t value_room, node_room, param_room; /* elements that the arrays have room for */
  /* Elements of an arena, gaps included, and of its part that is trained; multiples of SAP__PARAM_ALIGNMENT. */
  uint64_t arena_count, trained_count;
} sap__graph;

sap_status sap__graph_new(const char *model, sap__shape input, int classes, sap__graph **graph, sap_error *err);
void sap__graph_free(sap__graph *graph);

/* There will be so many more nodes, about. */
sap_status sap__graph_expect(sap__graph *graph, size_t nodes, sap_error *err);

/* Appends a node reading the values `inputs` and the value it makes, infers its shape and creates its
 * parameters. *output receives the value. SAP_ERROR_MISMATCH: the op cannot take those shapes. */
sap_status sap__graph_add(sap__graph *graph, sap__op op, const char *name, sap__attributes attributes,
                          const int *inputs, int input_count, int *output, sap_error *err);

/* Appends the loss, which reads `logits`, and gives every parameter its place in the arenas. Nothing is added
 * after that. SAP_ERROR_MISMATCH: a value that nobody reads, or logits that do not fit the classes. */
sap_status sap__graph_finish(sap__graph *graph, int logits, sap_error *err);

/* For ops: appends a parameter "<node name>.<suffix>" to the node; trained by gradients, or not. */
sap_status sap__graph_add_param(sap__graph *graph, sap__node *node, const char *suffix, sap__shape shape,
                                sap__init init, int64_t fan, sap_error *err);
sap_status sap__graph_add_buffer(sap__graph *graph, sap__node *node, const char *suffix, sap__shape shape,
                                 sap__init init, sap_error *err);

/* The parameter of that name; NULL if there is none. */
const sap__param *sap__graph_find_param(const sap__graph *graph, const char *name);

/* What the graph must know of an op. */
typedef struct sap__op_info {
  const char *name;
  int view;    /* 1: the output is the input's memory under another shape; engines have nothing to do */
  int is_loss; /* 1: reads labels, ends the graph */
  int inputs;  /* how many values it reads */
  /* Checks the shapes of the inputs, sets that of the output and adds the parameters. */
  sap_status (*infer)(sap__graph *graph, sap__node *node, const sap__shape *inputs, sap__shape *output, sap_error *err);
} sap__op_info;

const sap__op_info *sap__op_info_of(sap__op op);

/* Product of the lengths; 1 for rank 0. */
int64_t sap__shape_count(const sap__shape *shape);

/* "(1, 28, 28)" into text. */
void sap__shape_text(const sap__shape *shape, char *text, size_t size);

static inline sap__shape sap__shape_1(int64_t a) { return (sap__shape){1, {a}}; }
static inline sap__shape sap__shape_2(int64_t a, int64_t b) { return (sap__shape){2, {a, b}}; }
static inline sap__shape sap__shape_3(int64_t a, int64_t b, int64_t c) { return (sap__shape){3, {a, b, c}}; }
static inline sap__shape sap__shape_4(int64_t a, int64_t b, int64_t c, int64_t d) {
  return (sap__shape){4, {a, b, c, d}};
}

#endif
