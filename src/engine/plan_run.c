/* Running a plan: every thread takes slices through segments of nodes, and back. */
#include <math.h>
#include <time.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "base/error.h"
#include "base/memory.h"
#include "engine/plan.h"

void sap__plan_draw(sap__plan *plan, sap__draw draw) { plan->draw = draw; }

static size_t runner(void) {
#ifdef _OPENMP
  return (size_t)omp_get_thread_num();
#else
  return 0;
#endif
}

/* The scratch memory of the running thread. */
static void *scratch(const sap__plan *plan) {
  return plan->scratch ? plan->scratch + runner() * plan->scratch_bytes : NULL;
}

/* ---- the profile ---- */

sap_status sap__plan_profile(sap__plan *plan, sap_error *err) {
  const size_t count = (size_t)plan->runners * (size_t)plan->graph->node_count;
  sap__free(plan->times);
  plan->times = sap__calloc(count, sizeof *plan->times);
  return plan->times ? SAP_OK : sap__fail_memory(err, count * sizeof *plan->times);
}

double sap__plan_time(const sap__plan *plan, int node, sap__time what) {
  double sum = 0;
  for (int r = 0; plan->times && r < plan->runners; r++) sum += plan->times[r * plan->graph->node_count + node][what];
  return sum;
}

/* Processor time of this thread where a profile is taken. */
static double clock_of(const sap__plan *plan) {
  struct timespec now = {0, 0};
  if (plan->times) clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void add_time(const sap__plan *plan, int node, sap__time what, double start) {
  if (plan->times)
    plan->times[runner() * (size_t)plan->graph->node_count + (size_t)node][what] += clock_of(plan) - start;
}

/* An op's function for a slice. */
static void run_op(const sap__plan *plan, void (*run)(sap__op_context *), sap__op_context *op, sap__time what) {
  const double start = clock_of(plan);
  op->scratch = scratch(plan);
  run(op);
  add_time(plan, (int)(op->node - plan->graph->nodes), what, start);
}

/* The pictures of a slice, as activations. */
static void load_slice(sap__plan *plan, int slice, sap__fill *fill, const void *user) {
  int first = sap__plan_start(plan, slice), count = sap__plan_start(plan, slice + 1) - first;
  void *x = sap__plan_pointer(plan, plan->value_buffer[0], slice);
  if (!plan->input) {
    fill(user, first, count, x, plan->labels + first);
    return;
  }
  const sap__format loaded = sap__format_of(&plan->graph->values[0].shape, sizeof(float));
  float *pictures = plan->input + first * sap__format_count(&loaded);
  fill(user, first, count, pictures, plan->labels + first);
  sap__format_copy(&loaded, &plan->formats[0], count, pictures, x, 0);
}

/* A node's work for all slices, as far as it can be shared out. */
static void run_task(sap__plan *plan, const sap__task *task, void (*run)(const sap__op_context *, int, int)) {
  const double start = clock_of(plan);
  sap__op_context op = plan->whole[task->node];
  op.scratch = scratch(plan);
  run(&op, task->part, task->parts);
  add_time(plan, task->node, SAP__TIME_COPIES, start);
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
    if (impl) run_op(plan, impl->forward, &ops[n], SAP__TIME_FORWARD);
  }
  if (last < plan->graph->node_count)
    run_op(plan, sap__plan_impl(plan, last)->forward_statistics, &ops[last], SAP__TIME_FORWARD);
}

sap__loss sap__plan_forward(sap__plan *plan, sap__fill *fill, const void *user) {
  const int slices = plan->slices, nodes = plan->graph->node_count;
  plan->backward_ran = 0;
#pragma omp parallel num_threads(plan->runners)
  {
    /* A thread has the same slices in every loop, so it need not wait between its pictures and its nodes. */
#pragma omp for schedule(static) nowait
    for (int s = 0; s < slices; s++) load_slice(plan, s, fill, user);
    if (plan->refresh_count) {
#pragma omp for schedule(dynamic)
      for (int i = 0; i < plan->refresh_count; i++)
        run_task(plan, &plan->refreshes[i], sap__plan_impl(plan, plan->refreshes[i].node)->refresh);
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

static void backward_node(const sap__plan *plan, const sap__op_impl *impl, sap__op_context *op) {
  if (impl->backward_slice) run_op(plan, impl->backward_slice, op, SAP__TIME_WEIGHTS);
  int wanted = 0;
  for (int i = 0; i < op->node->input_count; i++) wanted |= op->dx[i] != NULL;
  if (wanted) run_op(plan, impl->backward_data, op, SAP__TIME_DATA);
}

/* Nodes from `last` down to the one after `wait`, and the statistics of that one. */
static void backward_segment(sap__plan *plan, int slice, int last, int wait) {
  sap__op_context *ops = sap__plan_ops(plan, slice);
  for (int n = last; n > wait; n--)
    if (sap__plan_impl(plan, n)) backward_node(plan, sap__plan_impl(plan, n), &ops[n]);
  if (wait >= 0) run_op(plan, sap__plan_impl(plan, wait)->backward_statistics, &ops[wait], SAP__TIME_DATA);
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

void sap__plan_backward(sap__plan *plan) {
  const int slices = plan->slices;
  plan->backward_ran = 1;
#pragma omp parallel num_threads(plan->runners)
  {
    int last = plan->graph->node_count - 1, wait;
    do {
      wait = previous_wait(plan, last);
#pragma omp for schedule(static)
      for (int s = 0; s < slices; s++) backward_segment(plan, s, last, wait);
      last = wait;
    } while (wait >= 0);
#pragma omp for schedule(dynamic) nowait
    for (int i = 0; i < plan->gather_count; i++)
      run_task(plan, &plan->gathers[i], sap__plan_impl(plan, plan->gathers[i].node)->backward_weights);
#pragma omp for schedule(static)
    for (int s = 0; s < slices; s++)
      for (int p = 0; p < plan->graph->param_count; p++) add_slices(plan, p, s, slices);
  }
}

/* ---- looking at what was computed ---- */

int sap__plan_value(const sap__plan *plan, int value, double *y) {
  if (plan->backward_ran || !plan->kept[value]) return 0;
  const sap__format *format = &plan->formats[value];
  const sap__format plain = sap__format_of(&plan->graph->values[value].shape, sizeof *y);
  for (int s = 0; s < plan->slices; s++) {
    int first = sap__plan_start(plan, s), count = sap__plan_start(plan, s + 1) - first;
    const void *x = sap__plan_pointer(plan, plan->value_buffer[plan->root[value]], s);
    sap__format_copy(format, &plain, count, x, y + first * sap__format_count(&plain), 0);
  }
  return 1;
}

/* 1 if a slice of a value holds a NaN or an infinity. */
static int nonfinite(const sap__plan *plan, int value, int slice) {
  const sap__format *format = &plan->formats[value];
  const sap__format elements = {.bytes = format->bytes, .block = 1, .channels = 1, .height = 1, .width = INT64_MAX};
  const void *x = sap__plan_pointer(plan, plan->value_buffer[plan->root[value]], slice);
  const int64_t count = sap__plan_start(plan, slice + 1) - sap__plan_start(plan, slice);
  double element = 0;
  for (int64_t i = 0; i < count * sap__format_count(format) && isfinite(element); i++)
    element = sap__format_get(&elements, x, 0, i);
  return !isfinite(element);
}

/* The node to blame for what `node` made: relu, pools and the like only pass on what the node before them made, which
 * may be lost by now. */
static const sap__node *origin(const sap__plan *plan, const sap__node *node) {
  while (node->input_count == 1 && node->param_count == 0 && !plan->kept[node->inputs[0]] && node->inputs[0] > 0)
    node = &plan->graph->nodes[plan->graph->values[node->inputs[0]].producer];
  return node;
}

const sap__node *sap__plan_nonfinite(const sap__plan *plan) {
  for (int n = 0; n < plan->graph->node_count && !plan->backward_ran; n++) {
    const sap__node *node = &plan->graph->nodes[n];
    if (sap__op_info_of(node->op)->is_loss || !plan->kept[node->output]) continue;
    for (int s = 0; s < plan->slices; s++)
      if (nonfinite(plan, node->output, s)) return origin(plan, node);
  }
  return NULL;
}
