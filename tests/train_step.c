/* One forward and backward of a network on an engine, for tests that compare it with PyTorch.
 *
 *   train_step ENGINE MODEL CLASSES IN OUT [tried]
 *
 * With "tried" each convolution is computed the fastest way, as in training; without it, the first way.
 * IN is a safetensors file of the weights, "x" (N,C,H,W) and "labels" (N, U8). OUT receives "evaluation", the logits
 * with the running statistics of IN, then from a step in training "logits", "loss", which inputs of its ReLUs were
 * above 0 as "gate.I" (N,C,H,W; U8; I counts them in running order), the gradients as "grad.NAME" and the new running
 * statistics under their names. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "graph/zoo/zoo.h"
#include "sapwood/safetensors.h"
#include "train/weights.h"

enum { MAX_TENSORS = 512 };

static sap_error err;

static void check(sap_status status) {
  if (!status) return;
  fprintf(stderr, "train_step: %s\n", err.text);
  exit(1);
}

typedef struct step {
  const sap_tensor *x, *labels;
  sap_tensor out[MAX_TENSORS];
  size_t out_count;
} step;

static void fill(const void *user, int first, int count, float *x, uint8_t *labels) {
  const step *s = user;
  size_t length = (size_t)(s->x->count / s->x->shape[0]);
  memcpy(x, (const float *)s->x->data + (size_t)first * length, (size_t)count * length * sizeof *x);
  memcpy(labels, (const uint8_t *)s->labels->data + first, (size_t)count);
}

static void add(step *s, const char *name, const float *data, uint64_t count) {
  s->out[s->out_count++] = sap_tensor_vector(name, SAP_F32, data, count);
}

/* A value of the whole batch after a forward; *count receives its elements. */
static double *value_of(const sap__plan *plan, const sap__graph *graph, int value, int batch, size_t *count) {
  *count = (size_t)batch * (size_t)sap__shape_count(&graph->values[value].shape);
  double *y = malloc(*count * sizeof *y);
  if (!sap__plan_value(plan, value, y)) {
    fprintf(stderr, "train_step: value %d is lost\n", value);
    exit(1);
  }
  return y;
}

/* What goes into the loss, as floats. */
static void add_logits(step *s, const char *name, const sap__plan *plan, const sap__graph *graph, int batch) {
  size_t count;
  double *logits = value_of(plan, graph, graph->nodes[graph->node_count - 1].inputs[0], batch, &count);
  float *copy = malloc(count * sizeof *copy);
  for (size_t i = 0; i < count; i++) copy[i] = (float)logits[i];
  free(logits);
  add(s, name, copy, count);
}

/* The ReLUs' decisions, from a step that keeps all values; it moves the running statistics. */
static void add_gates(step *s, const sap__engine *engine, const sap__graph *graph, sap__arena *arena,
                      sap__choices *choices, int batch) {
  static char names[MAX_TENSORS][16];
  sap__engine keeping = *engine;
  keeping.keeps_values = 1;
  sap__plan *plan;
  check(sap__plan_new(&keeping, graph, batch, arena->weights, arena->gradients, choices, &plan, &err));
  sap__plan_forward(plan, fill, s);
  for (int n = 0, gates = 0; n < graph->node_count; n++) {
    if (graph->nodes[n].op != SAP_OP_RELU) continue;
    size_t count;
    double *y = value_of(plan, graph, graph->nodes[n].output, batch, &count);
    uint8_t *gate = malloc(count);
    for (size_t i = 0; i < count; i++) gate[i] = y[i] > 0;
    free(y);
    snprintf(names[gates], sizeof names[gates], "gate.%d", gates);
    s->out[s->out_count++] = sap_tensor_vector(names[gates++], SAP_U8, gate, count);
  }
  sap__plan_free(plan);
}

int main(int count, char **words) {
  if (count < 6) return 2;
  sap__choices *choices = count > 6 ? sap__choices_new() : NULL;
  const sap__engine *engine = sap__engine_find(words[1]);
  sap_safetensors *file;
  check(sap_safetensors_open(words[4], &file, &err));
  static step s;
  s.x = sap_safetensors_find(file, "x");
  s.labels = sap_safetensors_find(file, "labels");
  const uint64_t *shape = s.x->shape;
  int batch = (int)shape[0];
  sap__shape input = sap__shape_3((int64_t)shape[1], (int64_t)shape[2], (int64_t)shape[3]);
  sap__graph *graph;
  check(sap__model_graph(words[2], input, atoi(words[3]), &graph, &err));
  sap__arena *arena;
  check(sap__arena_new(graph, 1, &arena, &err));
  sap_checkpoint *weights;
  check(sap_checkpoint_open(words[4], NULL, &weights, &err));
  check(sap__weights_read(weights, arena, &err));
  sap_checkpoint_close(weights);

  sap__plan *plan;
  check(sap__plan_new(engine, graph, batch, arena->weights, NULL, choices, &plan, &err));
  sap__plan_forward(plan, fill, &s);
  add_logits(&s, "evaluation", plan, graph, batch);
  sap__plan_free(plan);
  const size_t bytes = (size_t)graph->arena_count * sizeof *arena->weights;
  float *before = malloc(bytes);
  memcpy(before, arena->weights, bytes);
  add_gates(&s, engine, graph, arena, choices, batch);
  memcpy(arena->weights, before, bytes);
  free(before);
  check(sap__plan_new(engine, graph, batch, arena->weights, arena->gradients, choices, &plan, &err));
  float loss = (float)(sap__plan_forward(plan, fill, &s).sum / batch);
  add_logits(&s, "logits", plan, graph, batch);
  sap__plan_backward(plan);
  add(&s, "loss", &loss, 1);
  static char names[MAX_TENSORS][SAP__NAME_SIZE + 8];
  for (int p = 0; p < graph->param_count; p++) {
    const sap__param *param = &graph->params[p];
    snprintf(names[p], sizeof names[p], "%s%s", param->trained ? "grad." : "", param->name);
    add(&s, names[p], (param->trained ? arena->gradients : arena->weights) + param->offset, param->count);
  }
  check(sap_safetensors_write(words[5], s.out, s.out_count, NULL, 0, &err));
  for (size_t i = 0; i < s.out_count; i++)
    if (!strcmp(s.out[i].name, "evaluation") || !strcmp(s.out[i].name, "logits") || !strncmp(s.out[i].name, "gate.", 5))
      free((void *)(uintptr_t)s.out[i].data);
  sap__plan_free(plan);
  sap__arena_free(arena);
  sap__graph_free(graph);
  sap__choices_free(choices);
  sap_safetensors_close(file);
  return 0;
}
