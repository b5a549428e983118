/* Planning: one context a node and slice, and what the ops prepare. The part all engines share. */
#include "engine/plan.h"

#ifdef _OPENMP
#include <omp.h>
#endif

#include "base/error.h"
#include "base/memory.h"

/* Pictures of a slice, about. The cut depends on the batch alone, so that the same sums are made in the same
 * order for any number of threads; smaller slices would make the matrix products slow. */
enum { SLICE = 64 };

static int count_slices(int batch) { return batch >= SLICE / 2 && batch <= SLICE ? 2 : (batch + SLICE - 1) / SLICE; }

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
    const int relu = plan->whole[n].relu, out = relu ? graph->nodes[n + 1].output : node->output;
    *op = (sap__op_context){.graph = graph,
                            .node = node,
                            .relu = relu,
                            .training = plan->training,
                            .slice = slice,
                            .slices = plan->slices,
                            .first = first,
                            .count = count,
                            .batch = plan->batch,
                            .labels = plan->labels + first,
                            .draw = &plan->draw,
                            .choices = plan->choices};
    for (int i = 0; i < node->input_count; i++) {
      const int root = plan->root[node->inputs[i]];
      op->x_format[i] = plan->formats[node->inputs[i]];
      op->x[i] = sap__plan_pointer(plan, plan->value_buffer[root], slice);
      op->dx[i] = sap__plan_pointer(plan, plan->gradient_buffer[root], slice);
    }
    if (!sap__op_info_of(node->op)->is_loss) {
      op->y_format = plan->formats[out];
      op->y = sap__plan_pointer(plan, plan->value_buffer[plan->root[out]], slice);
      op->dy = sap__plan_pointer(plan, plan->gradient_buffer[plan->root[out]], slice);
    }
    connect_params(plan, weights, slice, op);
  }
}

/* On the walk back the first to write a gradient overwrites it, all others add. A view's gradient is its input's. */
static void find_accumulations(const sap__plan *plan, sap__op_context *ops) {
  const sap__graph *graph = plan->graph;
  for (int n = graph->node_count; n-- > 0;) {
    if (!plan->impls[n]) continue;
    for (int i = 0; i < ops[n].node->input_count; i++) {
      const int root = plan->root[ops[n].node->inputs[i]];
      for (int later = graph->node_count; later-- > n;)
        for (int k = 0; plan->impls[later] && k < ops[later].node->input_count; k++)
          if (plan->root[ops[later].node->inputs[k]] == root && (later > n || k < i)) ops[n].accumulate[i] = 1;
    }
  }
}

static size_t padded(uint64_t count) {
  return (count + SAP__PARAM_ALIGNMENT - 1) / SAP__PARAM_ALIGNMENT * SAP__PARAM_ALIGNMENT;
}

/* Places for the gradients of parameters that are made slice by slice and added up by the plan. */
static sap_status take_partials(sap__plan *plan, sap_error *err) {
  const sap__graph *graph = plan->graph;
  plan->partial_offset = sap__calloc((size_t)graph->param_count, sizeof *plan->partial_offset);
  if (!plan->partial_offset) return sap__fail_memory(err, sizeof *plan->partial_offset);
  for (int p = 0; p < graph->param_count; p++) plan->partial_offset[p] = SAP__NO_PARTIAL;
  for (int n = 0; n < graph->node_count; n++) {
    const sap__op_impl *impl = plan->impls[n];
    if (!plan->training || !impl || !impl->backward_slice || impl->backward_weights) continue;
    for (int i = 0; i < graph->nodes[n].param_count; i++) {
      int param = graph->nodes[n].params[i];
      plan->partial_offset[param] = plan->partial_count;
      plan->partial_count += padded(graph->params[param].count);
    }
  }
  size_t count = plan->partial_count * (size_t)(plan->slices - 1);
  if (count && !(plan->partial = sap__calloc(count, sizeof(float))))
    return sap__fail_memory(err, count * sizeof(float));
  return SAP_OK;
}

/* ---- shared work ---- */

static uint64_t weights_of(const sap__plan *plan, int node) {
  uint64_t sum = 0;
  for (int i = 0; i < plan->graph->nodes[node].param_count; i++)
    sum += plan->graph->params[plan->graph->nodes[node].params[i]].count;
  return sum;
}

/* Adds a node's work to the tasks: in one piece, or in as many parts as there are slices. */
static int add_tasks(const sap__plan *plan, int node, sap__task *tasks, int count) {
  const int parts = plan->impls[node]->indivisible ? 1 : plan->slices;
  for (int part = 0; part < parts; part++) {
    int at = count++;
    for (; at > 0 && weights_of(plan, tasks[at - 1].node) / (uint64_t)tasks[at - 1].parts <
                         weights_of(plan, node) / (uint64_t)parts;
         at--)
      tasks[at] = tasks[at - 1];
    tasks[at] = (sap__task){node, part, parts};
  }
  return count;
}

static sap_status make_tasks(sap__plan *plan, sap_error *err) {
  size_t most = (size_t)plan->graph->node_count * (size_t)plan->slices;
  plan->refreshes = sap__calloc(most, sizeof *plan->refreshes);
  plan->gathers = sap__calloc(most, sizeof *plan->gathers);
  if (!plan->refreshes || !plan->gathers) return sap__fail_memory(err, most * sizeof *plan->gathers);
  for (int n = 0; n < plan->graph->node_count; n++) {
    const sap__op_impl *impl = plan->impls[n];
    if (impl && impl->refresh) plan->refresh_count = add_tasks(plan, n, plan->refreshes, plan->refresh_count);
    if (impl && impl->backward_weights && plan->training)
      plan->gather_count = add_tasks(plan, n, plan->gathers, plan->gather_count);
  }
  return SAP_OK;
}

/* ---- the whole ---- */

static sap_status take_memory(sap__plan *plan, sap_error *err) {
  size_t values = (size_t)plan->graph->value_count, nodes = (size_t)plan->graph->node_count;
  plan->formats = sap__calloc(values, sizeof *plan->formats);
  plan->impls = sap__calloc(nodes, sizeof *plan->impls);
  plan->ops = sap__calloc((size_t)plan->slices * nodes, sizeof *plan->ops);
  plan->whole = sap__calloc(nodes, sizeof *plan->whole);
  if (!plan->formats || !plan->impls || !plan->ops || !plan->whole)
    return sap__fail_memory(err, (size_t)plan->slices * nodes * sizeof *plan->ops);
  plan->engine->choose_formats(plan->graph, plan->formats);
  sap_status status = sap__plan_memory(plan, err);
  if (!status) status = take_partials(plan, err);
  return status ? status : make_tasks(plan, err);
}

static void need_scratch(sap__plan *plan, const sap__op_context *op) {
  size_t bytes = (op->scratch_bytes + SAP_ALIGNMENT - 1) / SAP_ALIGNMENT * SAP_ALIGNMENT;
  if (plan->scratch_bytes < bytes) plan->scratch_bytes = bytes;
}

/* Lets the ops prepare: each node once, then each of its slices; and takes the scratch memory they ask for. */
static sap_status prepare(sap__plan *plan, sap_error *err) {
  for (int n = 0; n < plan->graph->node_count; n++) {
    const sap__op_impl *impl = plan->impls[n];
    if (!impl) continue;
    sap__op_context *whole = &plan->whole[n];
    sap_status status = impl->share ? impl->share(whole, err) : SAP_OK;
    need_scratch(plan, whole);
    for (int s = 0; s < plan->slices && !status; s++) {
      sap__op_context *op = &sap__plan_ops(plan, s)[n];
      op->shared = whole->shared;
      if (impl->prepare) status = impl->prepare(op, err);
      need_scratch(plan, op);
    }
    if (status) return sap__fail_prefix(err, status, whole->node->name);
  }
#ifdef _OPENMP
  plan->runners = omp_get_max_threads() < plan->slices ? omp_get_max_threads() : plan->slices;
#else
  plan->runners = 1;
#endif
  size_t bytes = (size_t)plan->runners * plan->scratch_bytes;
  if (bytes && !(plan->scratch = sap__alloc(bytes, 1))) return sap__fail_memory(err, bytes);
  return SAP_OK;
}

int sap__engine_supports(const sap__engine *engine, const sap__graph *graph, const sap__node **node) {
  for (int n = 0; n < graph->node_count; n++) {
    *node = &graph->nodes[n];
    const sap__op_impl *impl = engine->ops[(*node)->op];
    if (!impl && sap__op_info_of((*node)->op)->view) continue;
    if (!impl || (impl->supports && !impl->supports(graph, *node))) return 0;
  }
  return 1;
}

sap_status sap__plan_new(const sap__engine *engine, const sap__graph *graph, int batch, float *weights,
                         float *gradients, sap__choices *choices, sap__plan **out, sap_error *err) {
  const sap__node *lacking;
  if (!sap__engine_supports(engine, graph, &lacking))
    return sap__fail(err, SAP_ERROR_UNSUPPORTED, "%s: engine %s has no op %s for it", lacking->name, engine->name,
                     sap__op_info_of(lacking->op)->name);
  sap__plan *plan = sap__calloc(1, sizeof *plan);
  if (!plan) return sap__fail_memory(err, sizeof *plan);
  *plan = (sap__plan){.engine = engine,
                      .graph = graph,
                      .batch = batch,
                      .slices = count_slices(batch),
                      .training = gradients != NULL,
                      .choices = choices,
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
    const sap__op_impl *impl = plan->impls[n];
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
  if (plan->ops && plan->whole && plan->impls) release(plan);
  void *owned[] = {plan->formats, plan->impls,     plan->root,    plan->value_buffer, plan->gradient_buffer,
                   plan->kept,    plan->buffers,   plan->memory,  plan->ops,          plan->whole,
                   plan->scratch, plan->refreshes, plan->gathers, plan->partial,      plan->partial_offset,
                   plan->times};
  for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) sap__free(owned[i]);
  sap__free(plan);
}
