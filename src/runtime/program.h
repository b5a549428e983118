/* The program: a graph made ready to run. Nodes that can be computed together are one layer.
 *
 *   batch norm after a convolution      its scale goes into the weights, its shift into the bias
 *   batch norm before one, with ReLU    an affine layer, which sessions fuse into what writes or copies its input
 *   add, ReLU after a convolution       its residual and its clamp
 *   flatten, dropout                    nothing: another name of the same value
 *   linear                              a convolution whose kernel covers its whole input
 */
#ifndef SAP_RUNTIME_PROGRAM_H
#define SAP_RUNTIME_PROGRAM_H

#include "graph/graph.h"
#include "runtime/weights.h"

/* Every kind of layer: X(constant, name). */
#define SAP__LAYER_LIST(X)          \
  X(SAP__LAYER_CONV, "convolution") \
  X(SAP__LAYER_AFFINE, "affine")    \
  X(SAP__LAYER_ADD, "add")          \
  X(SAP__LAYER_SIGMOID, "sigmoid")  \
  X(SAP__LAYER_POOL, "pool")        \
  X(SAP__LAYER_MEAN, "mean")

typedef enum sap__layer_kind {
#define SAP__LAYER_ENUM(constant, name) constant,
  SAP__LAYER_LIST(SAP__LAYER_ENUM)
#undef SAP__LAYER_ENUM
      SAP__LAYER_KINDS
} sap__layer_kind;

/* What flows between layers; features are channels of one pixel. */
typedef struct sap__picture {
  int channels, height, width;
} sap__picture;

typedef struct sap__layer {
  sap__layer_kind kind;
  const sap__node *node;       /* the first it stands for */
  int input, residual, output; /* values; residual −1: none */
  sap__conv2d conv;            /* CONV */
  sap__pool pool;              /* POOL */
  int average;                 /* POOL: the mean, not the largest */
  const sap__kept_weights *weights;
  int terms;    /* out channels of CONV, and of an AFFINE that is more than a clamp; else 0 */
  float *scale; /* (terms) CONV: of the weights of an output, AFFINE: of x; NULL without terms, or not folded yet */
  float *shift; /* (terms) CONV: bias, AFFINE: added to scale · x */
  int relu;     /* the result is clamped at 0 */
} sap__layer;

typedef struct sap__program {
  const sap__graph *graph;
  const sap__kept_weights *weights;
  int value_count, layer_count;
  sap__picture *values; /* (value_count), numbered as the graph's */
  sap__layer *layers;   /* in running order */
  int *layer_of;        /* (nodes) the layer that a node is computed in; −1: none */
  float *terms;         /* scales and shifts of all layers */
  int output;           /* value: the logits */
} sap__program;

/* `weights`: one entry a parameter of the graph. Both outlive the program.
 * SAP_ERROR_UNSUPPORTED: a shape that does not fit the kernels' 32-bit offsets; SAP_ERROR_MEMORY. */
sap_status sap__program_new(const sap__graph *graph, const sap__kept_weights *weights, sap__program **program,
                            sap_error *err) SAP_WARN_UNUSED;

/* Makes the scales and shifts, once: the one thing here that reads values of the file. Only schedules need them.
 * Errors: SAP_ERROR_MEMORY, SAP_ERROR_IO. */
sap_status sap__program_fold(sap__program *program, sap_error *err) SAP_WARN_UNUSED;
void sap__program_free(sap__program *program);

/* Layers [first, last). */
typedef struct sap__range {
  int first, last;
} sap__range;

/* Values that flow into or out of a range. */
enum { SAP__ENDS_MAX = 8 };
typedef struct sap__ends {
  int count, values[SAP__ENDS_MAX];
} sap__ends;

static inline sap__range sap__program_all(const sap__program *program) { return (sap__range){0, program->layer_count}; }

/* What a range reads of the values made before it (the program's input counts as such), and which of its own are read
 * behind it or are the logits. 0 if that is more than SAP__ENDS_MAX. */
int sap__program_ends(const sap__program *program, sap__range range, sap__ends *in, sap__ends *out);

/* Floats of a value, one picture. */
static inline size_t sap__program_floats(const sap__program *program, int value) {
  const sap__picture *v = &program->values[value];
  return (size_t)v->channels * (size_t)v->height * (size_t)v->width;
}

/* How many layers read a value, as input or as residual. */
int sap__program_readers(const sap__program *program, int value);

/* 1 if a layer from `from` on reads a value, or it is the network's output. */
int sap__program_needed(const sap__program *program, int value, int from);

/* Multiply-adds of a layer for one picture with dense weights; 0 but for convolutions. */
uint64_t sap__layer_products(const sap__program *program, const sap__layer *layer);

const char *sap__layer_kind_name(sap__layer_kind kind);

#endif
