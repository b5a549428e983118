/* The networks that every engine must compute alike: one table, used by tests and benchmarks. */
#ifndef SAP_TESTS_ENGINE_CASES_H
#define SAP_TESTS_ENGINE_CASES_H

#include <stdint.h>
#include <stdlib.h>

#include "base/random.h"
#include "engine/engine.h"
#include "graph/zoo/zoo.h"

enum { CASE_OPS = 12 };

/* A node of a case reads the value before it, and an `add` also the one `back` nodes before that. */
typedef struct case_op {
  sap__op op;
  sap__attributes attributes;
  int back;
} case_op;

typedef struct engine_case {
  const char *name;
  const char *model; /* a network of the zoo; NULL: the ops below */
  int64_t input[3];  /* C, H, W */
  int classes, batch;
  case_op ops[CASE_OPS]; /* ends with an op that makes the logits */
  int op_count;
} engine_case;

#define SQUARE(n) \
  { n, n }
#define AROUND(n) \
  { n, n, n, n }
#define FLATTEN \
  { .op = SAP_OP_FLATTEN }
#define LINEAR(n)                                      \
  {                                                    \
    .op = SAP_OP_LINEAR, .attributes.linear = { n, 1 } \
  }
#define LINEAR_PLAIN(n)                                \
  {                                                    \
    .op = SAP_OP_LINEAR, .attributes.linear = { n, 0 } \
  }
#define RELU \
  { .op = SAP_OP_RELU }
#define SIGMOID \
  { .op = SAP_OP_SIGMOID }
#define DROPOUT(r)                                    \
  {                                                   \
    .op = SAP_OP_DROPOUT, .attributes.dropout = { r } \
  }
#define ADD(n) \
  { .op = SAP_OP_ADD, .back = n }
#define NORM                                                        \
  {                                                                 \
    .op = SAP_OP_BATCH_NORM, .attributes.batch_norm = { 0.1, 1e-5 } \
  }
#define MEAN \
  { .op = SAP_OP_GLOBAL_AVG_POOL }
/* channels, kernel, stride, padding */
#define CONV(o, k, s, p) CONV_FULL(o, SQUARE(k), SQUARE(s), AROUND(p), SQUARE(1), 1, 0)
#define CONV_BIAS(o, k, s, p) CONV_FULL(o, SQUARE(k), SQUARE(s), AROUND(p), SQUARE(1), 1, 1)
#define CONV_GROUPS(o, k, s, p, g) CONV_FULL(o, SQUARE(k), SQUARE(s), AROUND(p), SQUARE(1), g, 0)
#define CONV_FULL(...)                                        \
  {                                                           \
    .op = SAP_OP_CONV2D, .attributes.conv2d = { __VA_ARGS__ } \
  }
#define POOL(o, k, s, p, c, i)                                            \
  {                                                                       \
    .op = o, .attributes.pool = { SQUARE(k), SQUARE(s), AROUND(p), c, i } \
  }
#define MAX_POOL(k, s, p) POOL(SAP_OP_MAX_POOL, k, s, p, 0, 0)
#define AVG_POOL(k, s, p, include) POOL(SAP_OP_AVG_POOL, k, s, p, 0, include)
#define COUNT_OF_OPS(...) (int)(sizeof((case_op[]){__VA_ARGS__}) / sizeof(case_op))
#define CASE(name, c, h, w, classes, batch, ...) \
  { name, NULL, {c, h, w}, classes, batch, {__VA_ARGS__}, COUNT_OF_OPS(__VA_ARGS__) }
#define MODEL(name, model, c, h, w, classes, batch) \
  { name, model, {c, h, w}, classes, batch, {{.op = SAP_OP_FLATTEN}}, 0 }

static const engine_case engine_cases[] = {
    CASE("one weight", 1, 1, 1, 2, 1, FLATTEN, LINEAR(2)),
    CASE("odd lengths", 1, 3, 5, 7, 3, FLATTEN, LINEAR(7)),
    CASE("one picture", 1, 4, 4, 10, 1, FLATTEN, LINEAR(33), RELU, LINEAR(10)),
    CASE("three channels", 3, 4, 4, 5, 8, FLATTEN, LINEAR(17), RELU, LINEAR(5)),
    CASE("deep", 1, 2, 3, 3, 4, FLATTEN, LINEAR(9), RELU, LINEAR(8), RELU, LINEAR(6), RELU, LINEAR(3)),
    CASE("relu first", 1, 3, 3, 4, 5, FLATTEN, RELU, LINEAR(4)),
    CASE("no hidden relu", 1, 3, 3, 4, 6, FLATTEN, LINEAR(5), LINEAR(4)),
    CASE("no bias", 1, 3, 3, 4, 6, FLATTEN, LINEAR_PLAIN(5), RELU, LINEAR_PLAIN(4)),
    CASE("two slices", 1, 4, 4, 10, 65, FLATTEN, LINEAR(31), RELU, LINEAR(10)),
    CASE("many slices", 1, 4, 4, 10, 333, FLATTEN, LINEAR(31), RELU, LINEAR(10)),
    CASE("more slices than outputs", 1, 2, 2, 2, 300, FLATTEN, LINEAR(3), LINEAR(2)),
    MODEL("linear", "linear", 1, 28, 28, 10, 50),
    MODEL("mlp", "mlp", 1, 28, 28, 10, 50),
    MODEL("mlp, its usual batch", "mlp", 1, 28, 28, 10, 250),
    CASE("convolution", 3, 8, 8, 10, 4, CONV(16, 3, 1, 1), RELU, CONV(10, 3, 1, 1), MEAN, FLATTEN),
    CASE("odd sizes", 5, 7, 9, 3, 3, CONV_BIAS(11, 3, 1, 1), RELU, CONV(13, 5, 1, 2), FLATTEN, LINEAR(3)),
    CASE("one channel, one picture", 1, 6, 5, 4, 1, CONV_BIAS(7, 3, 1, 0), RELU, FLATTEN, LINEAR(4)),
    CASE("stride 2", 3, 9, 8, 5, 4, CONV(16, 3, 2, 1), RELU, CONV(32, 3, 2, 1), RELU, FLATTEN, LINEAR(5)),
    CASE("1 × 1", 16, 6, 6, 10, 5, CONV(32, 1, 1, 0), RELU, CONV_BIAS(10, 1, 2, 0), MEAN, FLATTEN),
    CASE("groups", 8, 6, 6, 6, 4, CONV_GROUPS(12, 3, 1, 1, 4), RELU, CONV_GROUPS(6, 3, 2, 1, 2), MEAN, FLATTEN),
    CASE("depthwise", 12, 7, 7, 6, 4, CONV_GROUPS(12, 3, 1, 1, 12), RELU, CONV(6, 1, 1, 0), MEAN, FLATTEN),
    CASE("dilation", 4, 11, 12, 6, 3, CONV_FULL(6, {3, 3}, {1, 2}, {2, 1, 2, 1}, {2, 3}, 1, 1), FLATTEN, LINEAR(6)),
    CASE("uneven padding", 4, 7, 8, 6, 3, CONV_FULL(6, {3, 2}, {2, 1}, {0, 1, 2, 0}, {1, 1}, 1, 1), FLATTEN, LINEAR(6)),
    CASE("large kernel", 3, 12, 12, 4, 2, CONV(8, 7, 2, 3), RELU, MAX_POOL(3, 2, 1), FLATTEN, LINEAR(4)),
    CASE("many channels", 33, 5, 5, 4, 3, CONV(65, 3, 1, 1), RELU, CONV_BIAS(17, 3, 1, 1), FLATTEN, LINEAR(4)),
    CASE("max pool", 3, 7, 9, 4, 3, MAX_POOL(2, 2, 0), CONV(5, 3, 1, 1), MAX_POOL(3, 2, 1), FLATTEN, LINEAR(4)),
    CASE("max pool, ceil", 3, 8, 7, 4, 3, CONV(5, 3, 1, 1), POOL(SAP_OP_MAX_POOL, 3, 2, 1, 1, 0), FLATTEN, LINEAR(4)),
    CASE("average pool", 3, 7, 9, 4, 3, CONV(5, 3, 1, 1), AVG_POOL(2, 2, 0, 0), FLATTEN, LINEAR(4)),
    CASE("average pool, padded", 3, 7, 9, 4, 3, CONV(5, 3, 1, 1), AVG_POOL(3, 2, 1, 1), FLATTEN, LINEAR(4)),
    CASE("average pool, padding not counted", 3, 7, 9, 4, 3, CONV(5, 3, 1, 1), AVG_POOL(3, 2, 1, 0), FLATTEN,
         LINEAR(4)),
    CASE("average pool, ceil", 2, 8, 7, 4, 3, CONV(5, 3, 1, 1), POOL(SAP_OP_AVG_POOL, 3, 2, 1, 1, 1), FLATTEN,
         LINEAR(4)),
    CASE("batch norm", 3, 6, 5, 4, 5, CONV_BIAS(8, 3, 1, 1), NORM, RELU, CONV(4, 3, 1, 1), NORM, MEAN, FLATTEN),
    CASE("batch norm first", 3, 6, 5, 4, 6, NORM, CONV(8, 3, 1, 1), FLATTEN, LINEAR(4)),
    CASE("batch norm of features", 1, 3, 4, 4, 9, FLATTEN, LINEAR(6), NORM, RELU, LINEAR(4)),
    CASE("batch norm, three slices", 2, 4, 4, 5, 130, CONV(7, 3, 1, 1), NORM, RELU, CONV(5, 3, 2, 1), NORM, MEAN,
         FLATTEN),
    CASE("sigmoid", 2, 4, 4, 4, 5, CONV(6, 3, 1, 1), SIGMOID, FLATTEN, LINEAR(7), SIGMOID, LINEAR(4)),
    CASE("dropout", 2, 4, 4, 4, 70, CONV(6, 3, 1, 1), RELU, DROPOUT(0.3), FLATTEN, LINEAR(9), DROPOUT(0.5), LINEAR(4)),
    CASE("add", 4, 5, 5, 4, 3, CONV(8, 3, 1, 1), RELU, CONV(8, 3, 1, 1), ADD(2), RELU, FLATTEN, LINEAR(4)),
    CASE("added to itself", 2, 4, 4, 4, 3, CONV(8, 3, 1, 1), ADD(0), MEAN, FLATTEN, LINEAR(4)),
    CASE("three readers", 2, 4, 4, 4, 66, CONV(8, 3, 1, 1), NORM, RELU, CONV(8, 1, 1, 0), ADD(2), CONV(8, 3, 1, 1),
         ADD(2), ADD(5), MEAN, FLATTEN, LINEAR(4)),
    CASE("read around a flatten", 8, 1, 1, 8, 3, CONV(8, 1, 1, 0), FLATTEN, LINEAR(8), SIGMOID, ADD(2), ADD(3)),
    CASE("blocks of channels", 3, 5, 6, 4, 4, CONV(32, 3, 1, 1), NORM, RELU, CONV(32, 3, 1, 1), ADD(2), NORM, SIGMOID,
         MAX_POOL(2, 2, 0), CONV_BIAS(48, 3, 2, 1), RELU, FLATTEN, LINEAR(4)),
    CASE("blocks, one channel, two slices", 1, 8, 8, 4, 101, CONV(16, 3, 1, 1), NORM, RELU, CONV(32, 1, 2, 0),
         AVG_POOL(2, 1, 1, 0), DROPOUT(0.2), NORM, SIGMOID, MEAN, FLATTEN, LINEAR(4)),
    CASE("blocks, depthwise", 16, 7, 7, 4, 3, CONV_GROUPS(16, 3, 1, 1, 16), RELU, CONV_BIAS(32, 1, 1, 0), MEAN, FLATTEN,
         LINEAR(4)),
    CASE("input read twice", 4, 4, 4, 4, 3, CONV(4, 3, 1, 1), ADD(1), RELU, MEAN, FLATTEN, LINEAR(4)),
    CASE("many rows", 2, 27, 4, 4, 3, CONV(6, 3, 1, 1), NORM, RELU, CONV(6, 3, 1, 1), ADD(3), CONV(5, 5, 2, 2), RELU,
         CONV_FULL(4, {3, 3}, {1, 1}, {2, 1, 2, 1}, {2, 1}, 1, 1), CONV(4, 3, 2, 1), MEAN, FLATTEN),
    CASE("many rows, two by two", 2, 32, 4, 4, 2, CONV_BIAS(6, 3, 1, 1), NORM, RELU, CONV(6, 3, 1, 1), ADD(3), NORM,
         RELU, CONV(8, 3, 2, 1), RELU, CONV(4, 3, 1, 1), MEAN, FLATTEN),
    MODEL("cnn", "cnn", 3, 8, 8, 10, 3),
    MODEL("resnet9", "resnet9", 1, 9, 8, 10, 2),
    MODEL("resnet18", "resnet18", 3, 8, 8, 10, 4),
    MODEL("wresnet28x2", "wresnet28x2", 3, 8, 8, 10, 3),
};
enum { ENGINE_CASES = sizeof engine_cases / sizeof engine_cases[0] };

/* A case brought to life on one engine. Weights, gradients and pictures follow from the case alone. */
typedef struct engine_bench {
  const engine_case *what;
  sap__graph *graph;
  float *weights, *gradients, *pictures;
  uint8_t *labels;
  size_t picture; /* floats of one picture */
  sap__plan *plan;
} engine_bench;

static inline sap__graph *engine_case_graph(const engine_case *c) {
  sap__shape input = sap__shape_3(c->input[0], c->input[1], c->input[2]);
  sap__graph *graph = NULL;
  if (c->model) {
    if (sap__model_graph(c->model, input, c->classes, &graph, NULL)) abort();
    return graph;
  }
  if (sap__graph_new(c->name, input, c->classes, &graph, NULL)) abort();
  int value = 0;
  for (int i = 0; i < c->op_count; i++) {
    const case_op *op = &c->ops[i];
    const char name[] = {(char)('a' + i), 0};
    const int inputs[] = {value, value - op->back};
    if (sap__graph_add(graph, op->op, name, op->attributes, inputs, sap__op_info_of(op->op)->inputs, &value, NULL))
      abort();
  }
  if (sap__graph_finish(graph, value, NULL)) abort();
  return graph;
}

static inline engine_bench engine_bench_new(const engine_case *c, const sap__engine *engine) {
  engine_bench b = {.what = c, .graph = engine_case_graph(c)};
  size_t count = (size_t)b.graph->arena_count, batch = (size_t)c->batch;
  b.picture = (size_t)sap__shape_count(&b.graph->values[0].shape);
  b.weights = calloc(count, sizeof(float));
  b.gradients = calloc(count, sizeof(float));
  b.pictures = calloc(batch * b.picture, sizeof(float));
  b.labels = calloc(batch, 1);
  sap__random random = sap__random_stream(1, 100, count, batch);
  for (int i = 0; i < b.graph->param_count; i++)
    for (uint64_t k = 0; k < b.graph->params[i].count; k++)
      b.weights[b.graph->params[i].offset + k] = (float)(sap__random_unit(&random) - 0.5);
  for (size_t i = 0; i < batch * b.picture; i++) b.pictures[i] = (float)(2 * sap__random_unit(&random) - 1);
  for (size_t i = 0; i < batch; i++) b.labels[i] = (uint8_t)sap__random_below(&random, (uint32_t)c->classes);
  if (sap__plan_new(engine, b.graph, c->batch, b.weights, b.gradients, NULL, &b.plan, NULL)) abort();
  return b;
}

static inline void engine_bench_free(engine_bench *b) {
  sap__plan_free(b->plan);
  sap__graph_free(b->graph);
  free(b->weights);
  free(b->gradients);
  free(b->pictures);
  free(b->labels);
}

static inline void engine_bench_fill(const void *user, int first, int count, float *x, uint8_t *labels) {
  const engine_bench *b = user;
  for (size_t i = 0; i < (size_t)count * b->picture; i++) x[i] = b->pictures[(size_t)first * b->picture + i];
  for (int i = 0; i < count; i++) labels[i] = b->labels[first + i];
}

static inline sap__loss engine_bench_forward(engine_bench *b) {
  return sap__plan_forward(b->plan, engine_bench_fill, b);
}

#endif
