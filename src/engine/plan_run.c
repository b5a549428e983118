/* Running a plan: every thread takes slices through segments of nodes, and back. */
#include <math.h>

#include "engine/plan.h"

void sap__plan_draw(sap__plan *plan, sap__draw draw) { plan->draw = draw; }

const void *sap__plan_value(const sap__plan *plan, int value) { return plan->values[value]; }

/* The pictures of a slice, as activations. */
static void load_slice(sap__plan *plan, int slice, sap__fill *fill, const void *user) {
  int first = sap__plan_start(plan, slice), count = sap__plan_start(plan, slice + 1) - first;
  size_t before = sap__plan_elements(plan, 0, first);
  fill(user, first, count, plan->input + before, plan->labels + first);
  if (plan->engine->load)
    plan->engine->load(plan->input + before, (char *)plan->values[0] + before * plan->engine->element,
                       sap__plan_elements(plan, 0, count));
}

/* ---- forward ---- */

/* The first node from `node` on that must wait for the other slices; the number of nodes if there is none. */
static int next_wait(const sap__plan *plan, int node) {
  const int nodes = plan->graph->node_count;
  if (!plan->training) return nodes;
  while (node < nodes && !(sap__plan_impl(plan, node) && sap__plan_impl(plan, node)->forward_statistics)) node++;
  return node;
}

/* Nodes [first, last) of a slice, and the statistics of the node they lead to. */
static void forward_segment(sap__plan *plan, int slice, int first, int last) {
  sap__op_context *ops = sap__plan_ops(plan, slice);
  for (int n = first; n < last; n++) {
    const sap__op_impl *impl = sap__plan_impl(plan, n);
    if (impl) impl->forward(&ops[n]);
  }
  if (last < plan->graph->node_count) sap__plan_impl(plan, last)->forward_statistics(&ops[last]);
}

static void refresh(const sap__plan *plan, int part, int parts) {
  for (int n = 0; n < plan->graph->node_count; n++) {
    const sap__op_impl *impl = sap__plan_impl(plan, n);
    if (impl && impl->refresh) impl->refresh(&plan->whole[n], part, parts);
  }
}

sap__loss sap__plan_forward(sap__plan *plan, sap__fill *fill, const void *user) {
  const int slices = plan->slices, nodes = plan->graph->node_count;
#pragma omp parallel if (slices > 1)
  {
    /* A thread has the same slices in every loop, so it need not wait between its pictures and its nodes. */
#pragma omp for schedule(static) nowait
    for (int s = 0; s < slices; s++) load_slice(plan, s, fill, user);
    if (plan->refreshes) {
#pragma omp for schedule(static)
      for (int s = 0; s < slices; s++) refresh(plan, s, slices);
    }
    int first = 0, last = next_wait(plan, 0);
    do {
#pragma omp for schedule(static)
      for (int s = 0; s < slices; s++) forward_segment(plan, s, first, last);
      first = last;
      last = next_wait(plan, first + 1);
    } while (first < nodes);
  }
  sap__loss loss = {0, 0};
  for (int s = 0; s < slices; s++) {
    const sap__loss *part = &sap__plan_ops(plan, s)[nodes - 1].loss;
    loss.sum += part->sum;
    loss.correct += part->correct;
  }
  return loss;
}

/* ---- backward ---- */

/* The last node before `node` that must wait for the other slices; -1 if there is none. */
static int previous_wait(const sap__plan *plan, int node) {
  do node--;
  while (node >= 0 && !(sap__plan_impl(plan, node) && sap__plan_impl(plan, node)->backward_statistics));
  return node;
}

static void backward_node(const sap__op_impl *impl, sap__op_context *op) {
  if (impl->backward_slice) impl->backward_slice(op);
  int wanted = 0;
  for (int i = 0; i < op->node->input_count; i++) wanted |= op->dx[i] != NULL;
  if (wanted) impl->backward_data(op);
}

/* Nodes from `last` down to the one after `wait`, and the statistics of that one. */
static void backward_segment(sap__plan *plan, int slice, int last, int wait) {
  sap__op_context *ops = sap__plan_ops(plan, slice);
  for (int n = last; n > wait; n--)
    if (sap__plan_impl(plan, n)) backward_node(sap__plan_impl(plan, n), &ops[n]);
  if (wait >= 0) sap__plan_impl(plan, wait)->backward_statistics(&ops[wait]);
}

/* Adds the slices' gradients of a parameter to the first one's, in order: part `part` of `parts` of it. */
static void add_slices(const sap__plan *plan, int param, int part, int parts) {
  if (plan->partial_offset[param] == SAP__NO_PARTIAL) return;
  const sap__param *p = &plan->graph->params[param];
  uint64_t first = sap__part(p->count, (unsigned)part, (unsigned)parts);
  uint64_t last = sap__part(p->count, (unsigned)part + 1, (unsigned)parts);
  float *restrict sum = plan->weight_gradients + p->offset;
  for (int s = 0; s < plan->slices - 1; s++) {
    const float *restrict g = plan->partial + (size_t)s * plan->partial_count + plan->partial_offset[param];
    for (uint64_t k = first; k < last; k++) sum[k] += g[k];
  }
}

static void backward_weights(sap__plan *plan, int part, int parts) {
  for (int n = plan->graph->node_count; n-- > 0;) {
    const sap__op_impl *impl = sap__plan_impl(plan, n);
    if (impl && impl->backward_weights) impl->backward_weights(&plan->whole[n], part, parts);
  }
  for (int p = 0; p < plan->graph->param_count; p++) add_slices(plan, p, part, parts);
}

void sap__plan_backward(sap__plan *plan) {
  const int slices = plan->slices;
#pragma omp parallel if (slices > 1)
  {
    int last = plan->graph->node_count - 1, wait;
    do {
      wait = previous_wait(plan, last);
#pragma omp for schedule(static)
      for (int s = 0; s < slices; s++) backward_segment(plan, s, last, wait);
      last = wait;
    } while (wait >= 0);
#pragma omp for schedule(static)
    for (int s = 0; s < slices; s++) backward_weights(plan, s, slices);
  }
}

const sap__node *sap__plan_nonfinite(const sap__plan *plan) {
  for (int n = 0; n < plan->graph->node_count; n++) {
    const sap__node *node = &plan->graph->nodes[n];
    if (sap__op_info_of(node->op)->is_loss) continue;
    const float *f = plan->values[node->output];
    const double *d = plan->values[node->output];
    for (size_t i = 0, count = sap__plan_elements(plan, node->output, plan->batch); i < count; i++)
      if (!isfinite(plan->engine->element == sizeof *d ? d[i] : (double)f[i])) return node;
  }
  return NULL;
}
