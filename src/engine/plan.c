/* Plans and running them: the part all engines share. */
#include <math.h>

#include "base/error.h"
#include "base/memory.h"
#include "engine/engine.h"

struct sap__plan {
  const sap__engine *engine;
  const sap__graph *graph;
  int batch, trains;
  float *input;         /* (batch, input shape) */
  uint8_t *labels;      /* (batch) */
  void **values;        /* one activation buffer a value; views share their input's */
  void **gradients;     /* the same for gradients; NULL entries where nobody needs them */
  sap__op_context *ops; /* one a node */
  void *memory;         /* input, labels, values and gradients lie in here */
  void *scratch;        /* shared by all ops */
  size_t bytes;
};

static size_t aligned(size_t bytes) { return (bytes + SAP_ALIGNMENT - 1) / SAP_ALIGNMENT * SAP_ALIGNMENT; }

/* Gradients flow into a value if a parameter lies somewhere before it. */
static int needs_gradient(const sap__graph *graph, int value) {
  int producer = graph->values[value].producer;
  if (producer < 0) return 0;
  const sap__node *node = &graph->nodes[producer];
  return node->param_count > 0 || needs_gradient(graph, node->inputs[0]);
}

/* Hands out ranges of plan->memory; while that is still NULL it only counts. Returns the bytes used. */
static size_t lay_out(sap__plan *plan) {
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
      plan->gradients[v] = plan->trains && needs_gradient(graph, v) ? TAKE(bytes) : NULL;
    }
  }
#undef TAKE
  return used;
}

static void connect(sap__plan *plan, const float *weights, float *gradients) {
  for (int n = 0; n < plan->graph->node_count; n++) {
    const sap__node *node = &plan->graph->nodes[n];
    sap__op_context *op = &plan->ops[n];
    int is_loss = sap__op_info_of(node->op)->is_loss;
    *op = (sap__op_context){.graph = plan->graph, .node = node, .batch = plan->batch};
    op->x = plan->values[node->inputs[0]];
    op->dx = plan->gradients[node->inputs[0]];
    op->y = is_loss ? NULL : plan->values[node->output];
    op->dy = is_loss ? NULL : plan->gradients[node->output];
    op->labels = plan->labels;
    for (int i = 0; i < node->param_count; i++) {
      uint64_t offset = plan->graph->params[node->params[i]].offset;
      op->w[i] = weights + offset;
      op->dw[i] = gradients ? gradients + offset : NULL;
    }
  }
}

static const sap__op_impl *impl_of(const sap__plan *plan, int n) {
  return plan->engine->ops[plan->graph->nodes[n].op]; /* NULL for views */
}

/* Lets every op prepare and takes the scratch of the one that wants most. */
static sap_status prepare(sap__plan *plan, sap_error *err) {
  size_t scratch = 0;
  for (int n = 0; n < plan->graph->node_count; n++) {
    const sap__op_impl *impl = impl_of(plan, n);
    if (!impl || !impl->prepare) continue;
    sap_status status = impl->prepare(&plan->ops[n], err);
    if (status) return sap__fail_prefix(err, status, plan->graph->nodes[n].name);
    if (plan->ops[n].scratch_size > scratch) scratch = plan->ops[n].scratch_size;
  }
  if (!(plan->scratch = sap__calloc(scratch, 1))) return sap__fail_memory(err, scratch);
  for (int n = 0; n < plan->graph->node_count; n++) plan->ops[n].scratch = plan->scratch;
  plan->bytes += scratch;
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
  *plan = (sap__plan){.engine = engine, .graph = graph, .batch = batch, .trains = gradients != NULL};
  plan->values = sap__calloc((size_t)graph->value_count, sizeof *plan->values);
  plan->gradients = sap__calloc((size_t)graph->value_count, sizeof *plan->gradients);
  plan->ops = sap__calloc((size_t)graph->node_count, sizeof *plan->ops);
  sap_status status = SAP_OK;
  if (!plan->values || !plan->gradients || !plan->ops) status = sap__fail(err, SAP_ERROR_MEMORY, "no memory to plan");
  if (!status) {
    plan->bytes = lay_out(plan);
    if (!(plan->memory = sap__calloc(plan->bytes, 1))) status = sap__fail_memory(err, plan->bytes);
  }
  if (!status) {
    lay_out(plan);
    connect(plan, weights, gradients);
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
  for (int n = 0; plan->ops && n < plan->graph->node_count; n++) {
    const sap__op_impl *impl = plan->ops[n].node ? impl_of(plan, n) : NULL;
    if (impl && impl->release) impl->release(&plan->ops[n]);
  }
  sap__free(plan->values);
  sap__free(plan->gradients);
  sap__free(plan->ops);
  sap__free(plan->memory);
  sap__free(plan->scratch);
  sap__free(plan);
}

float *sap__plan_input(sap__plan *plan) { return plan->input; }

uint8_t *sap__plan_labels(sap__plan *plan) { return plan->labels; }

const void *sap__plan_value(const sap__plan *plan, int value) { return plan->values[value]; }

size_t sap__plan_bytes(const sap__plan *plan) { return plan->bytes; }

static size_t value_elements(const sap__plan *plan, int value) {
  return (size_t)plan->batch * (size_t)sap__shape_count(&plan->graph->values[value].shape);
}

sap__loss sap__plan_forward(sap__plan *plan) {
  if (plan->engine->load) plan->engine->load(plan->input, plan->values[0], value_elements(plan, 0));
  int count = plan->graph->node_count;
  for (int n = 0; n < count; n++)
    if (impl_of(plan, n)) impl_of(plan, n)->forward(&plan->ops[n]);
  return plan->ops[count - 1].loss;
}

void sap__plan_backward(sap__plan *plan) {
  for (int n = plan->graph->node_count; n-- > 0;)
    if (impl_of(plan, n)) impl_of(plan, n)->backward(&plan->ops[n]);
}

const sap__node *sap__plan_nonfinite(const sap__plan *plan) {
  for (int n = 0; n < plan->graph->node_count; n++) {
    const sap__node *node = &plan->graph->nodes[n];
    if (sap__op_info_of(node->op)->is_loss) continue;
    const float *f = plan->values[node->output];
    const double *d = plan->values[node->output];
    for (size_t i = 0, count = value_elements(plan, node->output); i < count; i++)
      if (!isfinite(plan->engine->element == sizeof *d ? d[i] : (double)f[i])) return node;
  }
  return NULL;
}
