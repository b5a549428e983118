/* Plans and running them: the part all engines share. */
#include <math.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/threads.h"
#include "engine/engine.h"

struct sap__plan {
  const sap__engine *engine;
  const sap__graph *graph;
  int batch, slices;
  float *input;           /* (batch, input shape) */
  uint8_t *labels;        /* (batch) */
  void **values;          /* one activation buffer a value, (batch, shape); views share their input's */
  void **gradients;       /* the same for gradients; NULL entries where nobody needs them */
  sap__op_context *ops;   /* (slices, nodes) */
  sap__op_context *whole; /* (nodes) over the whole batch, for the gradients of parameters */
  void *memory;           /* input, labels, values and gradients lie in here */
};

/* Pictures of a slice, about. The cut depends on the batch alone, so that the same sums are made in the same
 * order for any number of threads; smaller slices would make the matrix products slow. */
enum { SLICE = 64 };

static size_t aligned(size_t bytes) { return (bytes + SAP_ALIGNMENT - 1) / SAP_ALIGNMENT * SAP_ALIGNMENT; }

/* Gradients flow into a value if a parameter lies somewhere before it. */
static int needs_gradient(const sap__graph *graph, int value) {
  int producer = graph->values[value].producer;
  if (producer < 0) return 0;
  const sap__node *node = &graph->nodes[producer];
  return node->param_count > 0 || needs_gradient(graph, node->inputs[0]);
}

/* Hands out ranges of plan->memory; while that is still NULL it only counts. Returns the bytes used. */
static size_t lay_out(sap__plan *plan, int trains) {
  const sap__graph *graph = plan->graph;
  char *base = plan->memory;
  size_t used = 0, batch = (size_t)plan->batch;
#define TAKE(bytes) (used += (bytes), base ? (void *)(base + used - (bytes)) : NULL)
  plan->input = TAKE(aligned(batch * (size_t)sap__shape_count(&graph->values[0].shape) * sizeof(float)));
  plan->labels = TAKE(aligned(batch));
  for (int v = 0; v < graph->value_count; v++) {
    const sap__value *value = &graph->values[v];
    const sap__node *producer = value->producer < 0 ? NULL : &graph->nodes[value->producer];
    size_t bytes = aligned(batch * (size_t)sap__shape_count(&value->shape) * plan->engine->element);
    if (producer && sap__op_info_of(producer->op)->view) {
      plan->values[v] = plan->values[producer->inputs[0]];
      plan->gradients[v] = plan->gradients[producer->inputs[0]];
    } else if (v == 0 && !plan->engine->load) {
      plan->values[v] = plan->input;
    } else {
      plan->values[v] = TAKE(bytes);
      plan->gradients[v] = trains && needs_gradient(graph, v) ? TAKE(bytes) : NULL;
    }
  }
#undef TAKE
  return used;
}

static const sap__op_impl *impl_of(const sap__plan *plan, const sap__node *node) {
  return plan->engine->ops[node->op]; /* NULL for views */
}

/* The first picture of a slice; slice `slices` begins at the end. */
static int slice_start(const sap__plan *plan, int slice) {
  return (int)sap__part((unsigned)plan->batch, (unsigned)slice, (unsigned)plan->slices);
}

/* `buffer` moved on by `first` pictures of a value. */
static void *picture(const sap__plan *plan, void *buffer, int value, int first) {
  size_t size = (size_t)sap__shape_count(&plan->graph->values[value].shape) * plan->engine->element;
  return buffer ? (char *)buffer + size * (size_t)first : NULL;
}

/* Fills in the contexts of all nodes for pictures [first, first + count). */
static void connect(const sap__plan *plan, int first, int count, const float *weights, float *gradients,
                    sap__op_context *ops) {
  for (int n = 0; n < plan->graph->node_count; n++) {
    const sap__node *node = &plan->graph->nodes[n];
    sap__op_context *op = &ops[n];
    int in = node->inputs[0], out = node->output;
    *op = (sap__op_context){.graph = plan->graph, .node = node, .count = count, .batch = plan->batch};
    op->x = picture(plan, plan->values[in], in, first);
    op->dx = picture(plan, plan->gradients[in], in, first);
    if (!sap__op_info_of(node->op)->is_loss) {
      op->y = picture(plan, plan->values[out], out, first);
      op->dy = picture(plan, plan->gradients[out], out, first);
    }
    op->labels = plan->labels + first;
    for (int i = 0; i < node->param_count; i++) {
      uint64_t offset = plan->graph->params[node->params[i]].offset;
      op->w[i] = weights + offset;
      op->dw[i] = gradients ? gradients + offset : NULL;
    }
  }
}

static sap_status prepare(sap__plan *plan, sap_error *err) {
  for (int n = 0; n < plan->slices * plan->graph->node_count; n++) {
    const sap__node *node = plan->ops[n].node;
    const sap__op_impl *impl = impl_of(plan, node);
    sap_status status = impl && impl->prepare ? impl->prepare(&plan->ops[n], err) : SAP_OK;
    if (status) return sap__fail_prefix(err, status, node->name);
  }
  return SAP_OK;
}

int sap__engine_supports(const sap__engine *engine, const sap__graph *graph, const sap__node **node) {
  for (int n = 0; n < graph->node_count; n++) {
    *node = &graph->nodes[n];
    if (sap__op_info_of((*node)->op)->view) continue;
    const sap__op_impl *impl = engine->ops[(*node)->op];
    if (!impl || (impl->supports && !impl->supports(graph, *node))) return 0;
  }
  return 1;
}

sap_status sap__plan_new(const sap__engine *engine, const sap__graph *graph, int batch, const float *weights,
                         float *gradients, sap__plan **out, sap_error *err) {
  const sap__node *lacking;
  if (!sap__engine_supports(engine, graph, &lacking))
    return sap__fail(err, SAP_ERROR_UNSUPPORTED, "%s: engine %s has no op %s for it", lacking->name, engine->name,
                     sap__op_info_of(lacking->op)->name);
  sap__plan *plan = sap__calloc(1, sizeof *plan);
  if (!plan) return sap__fail_memory(err, sizeof *plan);
  *plan = (sap__plan){.engine = engine, .graph = graph, .batch = batch, .slices = (batch + SLICE - 1) / SLICE};
  size_t values = (size_t)graph->value_count, nodes = (size_t)graph->node_count;
  plan->values = sap__calloc(values, sizeof *plan->values);
  plan->gradients = sap__calloc(values, sizeof *plan->gradients);
  plan->ops = sap__calloc((size_t)plan->slices * nodes, sizeof *plan->ops);
  plan->whole = sap__calloc(nodes, sizeof *plan->whole);
  sap_status status = SAP_OK;
  if (!plan->values || !plan->gradients || !plan->ops || !plan->whole) status = sap__fail_memory(err, sizeof *plan);
  if (!status) {
    size_t bytes = lay_out(plan, gradients != NULL);
    if (!(plan->memory = sap__calloc(bytes, 1))) status = sap__fail_memory(err, bytes);
  }
  if (!status) {
    lay_out(plan, gradients != NULL);
    connect(plan, 0, batch, weights, gradients, plan->whole);
    for (int s = 0, first; s < plan->slices; s++) {
      first = slice_start(plan, s);
      connect(plan, first, slice_start(plan, s + 1) - first, weights, gradients, plan->ops + (size_t)s * nodes);
    }
    status = prepare(plan, err);
  }
  if (status) {
    sap__plan_free(plan);
    return status;
  }
  *out = plan;
  return SAP_OK;
}

void sap__plan_free(sap__plan *plan) {
  if (!plan) return;
  for (int n = 0; plan->ops && n < plan->slices * plan->graph->node_count; n++) {
    const sap__op_impl *impl = plan->ops[n].node ? impl_of(plan, plan->ops[n].node) : NULL;
    if (impl && impl->release) impl->release(&plan->ops[n]);
  }
  sap__free(plan->values);
  sap__free(plan->gradients);
  sap__free(plan->ops);
  sap__free(plan->whole);
  sap__free(plan->memory);
  sap__free(plan);
}

const void *sap__plan_value(const sap__plan *plan, int value) { return plan->values[value]; }

static size_t value_elements(const sap__plan *plan, int value, int count) {
  return (size_t)count * (size_t)sap__shape_count(&plan->graph->values[value].shape);
}

/* One slice from the pictures to its loss. */
static void slice_forward(sap__plan *plan, int slice, sap__fill *fill, const void *user) {
  int first = slice_start(plan, slice), count = slice_start(plan, slice + 1) - first;
  float *input = plan->input + value_elements(plan, 0, first);
  fill(user, first, count, input, plan->labels + first);
  if (plan->engine->load)
    plan->engine->load(input, picture(plan, plan->values[0], 0, first), value_elements(plan, 0, count));
  sap__op_context *ops = plan->ops + (size_t)slice * (size_t)plan->graph->node_count;
  for (int n = 0; n < plan->graph->node_count; n++)
    if (impl_of(plan, ops[n].node)) impl_of(plan, ops[n].node)->forward(&ops[n]);
}

/* One slice from its loss back to the gradients of its activations. */
static void slice_backward(sap__plan *plan, int slice) {
  sap__op_context *ops = plan->ops + (size_t)slice * (size_t)plan->graph->node_count;
  for (int n = plan->graph->node_count; n-- > 0;)
    if (ops[n].dx && impl_of(plan, ops[n].node)) impl_of(plan, ops[n].node)->backward_data(&ops[n]);
}

sap__loss sap__plan_forward(sap__plan *plan, sap__fill *fill, const void *user) {
  int slices = plan->slices, nodes = plan->graph->node_count;
#pragma omp parallel for schedule(static) if (slices > 1)
  for (int s = 0; s < slices; s++) slice_forward(plan, s, fill, user);
  sap__loss loss = {0, 0};
  for (int s = 0; s < slices; s++) {
    loss.sum += plan->ops[s * nodes + nodes - 1].loss.sum;
    loss.correct += plan->ops[s * nodes + nodes - 1].loss.correct;
  }
  return loss;
}

void sap__plan_backward(sap__plan *plan) {
  int slices = plan->slices, nodes = plan->graph->node_count;
#pragma omp parallel if (slices > 1)
  {
#pragma omp for schedule(static)
    for (int s = 0; s < slices; s++) slice_backward(plan, s);
#pragma omp for schedule(static)
    for (int s = 0; s < slices; s++)
      for (int n = nodes; n-- > 0;) {
        const sap__op_impl *impl = impl_of(plan, plan->whole[n].node);
        if (impl && impl->backward_weights) impl->backward_weights(&plan->whole[n], s, slices);
      }
  }
}

const sap__node *sap__plan_nonfinite(const sap__plan *plan) {
  for (int n = 0; n < plan->graph->node_count; n++) {
    const sap__node *node = &plan->graph->nodes[n];
    if (sap__op_info_of(node->op)->is_loss) continue;
    const float *f = plan->values[node->output];
    const double *d = plan->values[node->output];
    for (size_t i = 0, count = value_elements(plan, node->output, plan->batch); i < count; i++)
      if (!isfinite(plan->engine->element == sizeof *d ? d[i] : (double)f[i])) return node;
  }
  return NULL;
}
