/* Planning: memory, and one context a node and slice. The part all engines share. */
#include "engine/plan.h"

#include "base/error.h"
#include "base/memory.h"

/* Pictures of a slice, about. The cut depends on the batch alone, so that the same sums are made in the same
 * order for any number of threads; smaller slices would make the matrix products slow. */
enum { SLICE = 64 };

static size_t aligned(size_t bytes) { return (bytes + SAP_ALIGNMENT - 1) / SAP_ALIGNMENT * SAP_ALIGNMENT; }

/* needs[v] = 1 where gradients flow into a value: a trained parameter lies somewhere before it. */
static void find_gradients(const sap__graph *graph, uint8_t *needs) {
  needs[0] = 0;
  for (int n = 0; n < graph->node_count; n++) {
    const sap__node *node = &graph->nodes[n];
    int wanted = 0;
    for (int i = 0; i < node->param_count; i++) wanted |= graph->params[node->params[i]].trained;
    for (int i = 0; i < node->input_count; i++) wanted |= needs[node->inputs[i]];
    needs[node->output] = (uint8_t)wanted;
  }
}

/* Hands out ranges of plan->memory; while that is still NULL it only counts. Returns the bytes used. */
static size_t lay_out(sap__plan *plan, const uint8_t *needs) {
  const sap__graph *graph = plan->graph;
  char *base = plan->memory;
  size_t used = 0, batch = (size_t)plan->batch;
#define TAKE(bytes) (used += (bytes), base ? (void *)(base + used - (bytes)) : NULL)
  plan->input = TAKE(aligned(sap__plan_elements(plan, 0, plan->batch) * sizeof(float)));
  plan->labels = TAKE(aligned(batch));
  for (int v = 0; v < graph->value_count; v++) {
    const sap__value *value = &graph->values[v];
    const sap__node *producer = value->producer < 0 ? NULL : &graph->nodes[value->producer];
    size_t bytes = aligned(sap__plan_elements(plan, v, plan->batch) * plan->engine->element);
    if (producer && sap__op_info_of(producer->op)->view) {
      plan->values[v] = plan->values[producer->inputs[0]];
      plan->gradients[v] = plan->gradients[producer->inputs[0]];
    } else if (v == 0 && !plan->engine->load) {
      plan->values[v] = plan->input;
    } else {
      plan->values[v] = TAKE(bytes);
      plan->gradients[v] = plan->training && needs[v] ? TAKE(bytes) : NULL;
    }
  }
#undef TAKE
  return used;
}

/* `buffer` moved on by `first` pictures of a value. */
static void *picture(const sap__plan *plan, void *buffer, int value, int first) {
  return buffer ? (char *)buffer + sap__plan_elements(plan, value, first) * plan->engine->element : NULL;
}

/* The parameters of a node and where their gradients go: the arena's, or those of this slice. */
static void connect_params(const sap__plan *plan, float *weights, int slice, sap__op_context *op) {
  for (int i = 0; i < op->node->param_count; i++) {
    int param = op->node->params[i];
    uint64_t offset = plan->graph->params[param].offset;
    size_t partial = plan->partial_offset[param];
    op->w[i] = weights + offset;
    if (!plan->training) continue;
    op->dw[i] = plan->weight_gradients + offset;
    if (slice > 0 && partial != SAP__NO_PARTIAL)
      op->dw[i] = plan->partial + (size_t)(slice - 1) * plan->partial_count + partial;
  }
}

/* Fills in the contexts of all nodes for pictures [first, first + count). */
static void connect(const sap__plan *plan, float *weights, int slice, int first, int count, sap__op_context *ops) {
  const sap__graph *graph = plan->graph;
  for (int n = 0; n < graph->node_count; n++) {
    const sap__node *node = &graph->nodes[n];
    sap__op_context *op = &ops[n];
    *op = (sap__op_context){.graph = graph,
                            .node = node,
                            .training = plan->training,
                            .slice = slice,
                            .slices = plan->slices,
                            .first = first,
                            .count = count,
                            .batch = plan->batch,
                            .labels = plan->labels + first,
                            .draw = &plan->draw};
    for (int i = 0; i < node->input_count; i++) {
      op->x[i] = picture(plan, plan->values[node->inputs[i]], node->inputs[i], first);
      op->dx[i] = picture(plan, plan->gradients[node->inputs[i]], node->inputs[i], first);
    }
    if (!sap__op_info_of(node->op)->is_loss) {
      op->y = picture(plan, plan->values[node->output], node->output, first);
      op->dy = picture(plan, plan->gradients[node->output], node->output, first);
    }
    connect_params(plan, weights, slice, op);
  }
}

/* On the walk back the first to write a gradient overwrites it, all others add. A view's gradient is its input's. */
static void find_accumulations(const sap__plan *plan, sap__op_context *ops) {
  const sap__graph *graph = plan->graph;
  for (int n = graph->node_count; n-- > 0;) {
    if (!sap__plan_impl(plan, n)) continue;
    for (int i = 0; i < ops[n].node->input_count; i++)
      for (int later = graph->node_count; ops[n].dx[i] && later-- > n;)
        for (int k = 0; sap__plan_impl(plan, later) && k < ops[later].node->input_count; k++)
          if (ops[later].dx[k] == ops[n].dx[i] && (later > n || k < i)) ops[n].accumulate[i] = 1;
  }
}

/* Places for the gradients of parameters that are made slice by slice. */
static sap_status take_partials(sap__plan *plan, sap_error *err) {
  const sap__graph *graph = plan->graph;
  plan->partial_offset = sap__calloc((size_t)graph->param_count, sizeof *plan->partial_offset);
  if (!plan->partial_offset) return sap__fail_memory(err, sizeof *plan->partial_offset);
  for (int p = 0; p < graph->param_count; p++) plan->partial_offset[p] = SAP__NO_PARTIAL;
  for (int n = 0; n < graph->node_count; n++) {
    const sap__op_impl *impl = sap__plan_impl(plan, n);
    plan->refreshes |= impl && impl->refresh;
    if (!plan->training || !impl || !impl->backward_slice) continue;
    for (int i = 0; i < graph->nodes[n].param_count; i++) {
      int param = graph->nodes[n].params[i];
      plan->partial_offset[param] = plan->partial_count;
      plan->partial_count += aligned(graph->params[param].count * sizeof(float)) / sizeof(float);
    }
  }
  size_t count = plan->partial_count * (size_t)(plan->slices - 1);
  if (count && !(plan->partial = sap__calloc(count, sizeof(float))))
    return sap__fail_memory(err, count * sizeof(float));
  return SAP_OK;
}

static sap_status take_memory(sap__plan *plan, sap_error *err) {
  size_t values = (size_t)plan->graph->value_count, nodes = (size_t)plan->graph->node_count;
  uint8_t *needs = sap__calloc(values, 1);
  plan->values = sap__calloc(values, sizeof *plan->values);
  plan->gradients = sap__calloc(values, sizeof *plan->gradients);
  plan->ops = sap__calloc((size_t)plan->slices * nodes, sizeof *plan->ops);
  plan->whole = sap__calloc(nodes, sizeof *plan->whole);
  sap_status status = SAP_OK;
  if (!needs || !plan->values || !plan->gradients || !plan->ops || !plan->whole)
    status = sap__fail_memory(err, (size_t)plan->slices * nodes * sizeof *plan->ops);
  if (!status) {
    find_gradients(plan->graph, needs);
    size_t bytes = lay_out(plan, needs);
    plan->memory = sap__calloc(bytes, 1);
    if (plan->memory)
      lay_out(plan, needs);
    else
      status = sap__fail_memory(err, bytes);
  }
  sap__free(needs);
  return status ? status : take_partials(plan, err);
}

/* Lets the ops prepare: each node once, then each of its slices. */
static sap_status prepare(sap__plan *plan, sap_error *err) {
  for (int n = 0; n < plan->graph->node_count; n++) {
    const sap__op_impl *impl = sap__plan_impl(plan, n);
    if (!impl) continue;
    sap__op_context *whole = &plan->whole[n];
    sap_status status = impl->share ? impl->share(whole, err) : SAP_OK;
    for (int s = 0; s < plan->slices && !status; s++) {
      sap__op_context *op = &sap__plan_ops(plan, s)[n];
      op->shared = whole->shared;
      if (impl->prepare) status = impl->prepare(op, err);
    }
    if (status) return sap__fail_prefix(err, status, whole->node->name);
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

sap_status sap__plan_new(const sap__engine *engine, const sap__graph *graph, int batch, float *weights,
                         float *gradients, sap__plan **out, sap_error *err) {
  const sap__node *lacking;
  if (!sap__engine_supports(engine, graph, &lacking))
    return sap__fail(err, SAP_ERROR_UNSUPPORTED, "%s: engine %s has no op %s for it", lacking->name, engine->name,
                     sap__op_info_of(lacking->op)->name);
  sap__plan *plan = sap__calloc(1, sizeof *plan);
  if (!plan) return sap__fail_memory(err, sizeof *plan);
  *plan = (sap__plan){.engine = engine,
                      .graph = graph,
                      .batch = batch,
                      .slices = (batch + SLICE - 1) / SLICE,
                      .training = gradients != NULL,
                      .weight_gradients = gradients};
  sap_status status = take_memory(plan, err);
  if (!status) {
    connect(plan, weights, 0, 0, batch, plan->whole);
    for (int s = 0; s < plan->slices; s++) {
      int first = sap__plan_start(plan, s);
      connect(plan, weights, s, first, sap__plan_start(plan, s + 1) - first, sap__plan_ops(plan, s));
      find_accumulations(plan, sap__plan_ops(plan, s));
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

static void release(sap__plan *plan) {
  for (int n = 0; n < plan->graph->node_count; n++) {
    const sap__op_impl *impl = sap__plan_impl(plan, n);
    if (!impl) continue;
    for (int s = 0; impl->release && s < plan->slices; s++) {
      sap__op_context *op = &sap__plan_ops(plan, s)[n];
      if (op->node) impl->release(op);
    }
    if (impl->unshare && plan->whole[n].node) impl->unshare(&plan->whole[n]);
  }
}

void sap__plan_free(sap__plan *plan) {
  if (!plan) return;
  if (plan->ops && plan->whole) release(plan);
  sap__free(plan->values);
  sap__free(plan->gradients);
  sap__free(plan->ops);
  sap__free(plan->whole);
  sap__free(plan->partial);
  sap__free(plan->partial_offset);
  sap__free(plan->memory);
  sap__free(plan);
}
