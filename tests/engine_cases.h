/* The networks that every engine must compute alike: one table, used by tests and benchmarks. */
#ifndef SAP_TESTS_ENGINE_CASES_H
#define SAP_TESTS_ENGINE_CASES_H

#include <stdint.h>
#include <stdlib.h>

#include "base/random.h"
#include "engine/engine.h"
#include "graph/zoo/zoo.h"

enum { CASE_OPS = 8 };

typedef struct engine_case {
  const char *name;
  const char *model; /* a network of the zoo; NULL: the ops below */
  int64_t input[3];  /* C, H, W */
  int classes, batch;
  struct {
    sap__op op;
    int64_t features;
  } ops[CASE_OPS];
  int op_count;
} engine_case;

#define FLATTEN \
  { SAP_OP_FLATTEN, 0 }
#define LINEAR(n) \
  { SAP_OP_LINEAR, n }
#define RELU \
  { SAP_OP_RELU, 0 }

static const engine_case engine_cases[] = {
    {"one weight", NULL, {1, 1, 1}, 2, 1, {FLATTEN, LINEAR(2)}, 2},
    {"odd lengths", NULL, {1, 3, 5}, 7, 3, {FLATTEN, LINEAR(7)}, 2},
    {"one picture", NULL, {1, 4, 4}, 10, 1, {FLATTEN, LINEAR(33), RELU, LINEAR(10)}, 4},
    {"three channels", NULL, {3, 4, 4}, 5, 8, {FLATTEN, LINEAR(17), RELU, LINEAR(5)}, 4},
    {"deep", NULL, {1, 2, 3}, 3, 4, {FLATTEN, LINEAR(9), RELU, LINEAR(8), RELU, LINEAR(6), RELU, LINEAR(3)}, 8},
    {"relu first", NULL, {1, 3, 3}, 4, 5, {FLATTEN, RELU, LINEAR(4)}, 3},
    {"no hidden relu", NULL, {1, 3, 3}, 4, 6, {FLATTEN, LINEAR(5), LINEAR(4)}, 3},
    {"two slices", NULL, {1, 4, 4}, 10, 65, {FLATTEN, LINEAR(31), RELU, LINEAR(10)}, 4},
    {"many slices", NULL, {1, 4, 4}, 10, 333, {FLATTEN, LINEAR(31), RELU, LINEAR(10)}, 4},
    {"more slices than outputs", NULL, {1, 2, 2}, 2, 300, {FLATTEN, LINEAR(3), LINEAR(2)}, 3},
    {"linear", "linear", {1, 28, 28}, 10, 50, {{0, 0}}, 0},
    {"mlp", "mlp", {1, 28, 28}, 10, 50, {{0, 0}}, 0},
    {"mlp, its usual batch", "mlp", {1, 28, 28}, 10, 250, {{0, 0}}, 0},
};
enum { ENGINE_CASES = sizeof engine_cases / sizeof engine_cases[0] };

#undef FLATTEN
#undef LINEAR
#undef RELU

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
    char name[] = {(char)('a' + i), 0};
    if (sap__graph_add(graph, c->ops[i].op, name, (sap__attributes){.linear = {c->ops[i].features}}, value, &value,
                       NULL))
      abort();
  }
  if (sap__graph_add(graph, SAP_OP_CROSS_ENTROPY, "loss", (sap__attributes){0}, value, &value, NULL)) abort();
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
  if (sap__plan_new(engine, b.graph, c->batch, b.weights, b.gradients, &b.plan, NULL)) abort();
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
