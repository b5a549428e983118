/* Planning of memory: views, fused nodes, values that may lie in each other's place, and lifetimes. */
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "engine/plan.h"

static size_t aligned(size_t bytes) { return (bytes + SAP_ALIGNMENT - 1) / SAP_ALIGNMENT * SAP_ALIGNMENT; }

static int time_forward(int node) { return node + 1; }
static int time_backward(const sap__plan *plan, int node) { return 2 * plan->graph->node_count - node; }
static int time_whole(const sap__plan *plan) { return 2 * plan->graph->node_count + 1; }

static const sap__node *node_of(const sap__plan *plan, int node) { return &plan->graph->nodes[node]; }

/* 1 if the node runs and reads a value, or a view of it. */
static int reads(const sap__plan *plan, int node, int root) {
  for (int i = 0; plan->impls[node] && i < node_of(plan, node)->input_count; i++)
    if (plan->root[node_of(plan, node)->inputs[i]] == root) return 1;
  return 0;
}

/* The value that a node writes: its output, or that of the relu fused into it. */
static int written(const sap__plan *plan, int node) {
  int value = node_of(plan, node)->output;
  return plan->whole[node].relu ? node_of(plan, node + 1)->output : value;
}

/* The node that writes a value; -1 for the input. */
static int writer(const sap__plan *plan, int value) {
  int node = plan->graph->values[value].producer;
  return node >= 0 && !plan->impls[node] ? node - 1 : node; /* a relu is fused into the batch norm before it */
}

/* ---- what runs ---- */

/* A batch norm whose only reader is the relu behind it makes that one's output, and the relu does not run. */
static void fuse(sap__plan *plan) {
  const sap__graph *graph = plan->graph;
  for (int n = 0; plan->engine->fuses_relu && n + 1 < graph->node_count; n++) {
    const sap__node *norm = &graph->nodes[n], *relu = norm + 1;
    if (norm->op != SAP_OP_BATCH_NORM || relu->op != SAP_OP_RELU || relu->inputs[0] != norm->output) continue;
    int readers = 0;
    for (int k = 0; k < graph->node_count; k++)
      for (int i = 0; i < graph->nodes[k].input_count; i++) readers += graph->nodes[k].inputs[i] == norm->output;
    if (readers != 1) continue;
    plan->whole[n].relu = 1;
    plan->impls[n + 1] = NULL;
  }
}

/* Views that need no copy share the memory of what they are views of. */
static void find_views(sap__plan *plan) {
  const sap__graph *graph = plan->graph;
  for (int v = 0; v < graph->value_count; v++) plan->root[v] = v;
  for (int n = 0; n < graph->node_count; n++) {
    const sap__node *node = &graph->nodes[n];
    int in = node->inputs[0], out = node->output;
    plan->impls[n] = plan->engine->ops[node->op];
    if (!sap__op_info_of(node->op)->view || !sap__format_same(&plan->formats[in], &plan->formats[out])) continue;
    plan->impls[n] = NULL;
    plan->root[out] = plan->root[in];
  }
}

/* ---- buffers ---- */

static int new_buffer(sap__plan *plan, const sap__format *format, int birth) {
  plan->buffers[plan->buffer_count] = (sap__buffer){.bytes = sap__format_bytes(format), .birth = birth, .death = birth};
  return plan->buffer_count++;
}

static sap__buffer *buffer_of(sap__plan *plan, const int *of, int value) {
  int buffer = of[plan->root[value]];
  return buffer == SAP__NO_BUFFER ? NULL : &plan->buffers[buffer];
}

static void use(sap__buffer *buffer, int time) {
  if (buffer && buffer->death < time) buffer->death = time;
}

/* One buffer a value, with its times. */
static void make_value_buffers(sap__plan *plan) {
  const sap__graph *graph = plan->graph;
  plan->value_buffer[0] = new_buffer(plan, &plan->formats[0], 0);
  for (int n = 0; n < graph->node_count; n++) {
    const sap__op_impl *impl = plan->impls[n];
    if (!impl) continue;
    const sap__node *node = &graph->nodes[n];
    int out = written(plan, n), last = time_forward(n);
    if (!sap__op_info_of(node->op)->is_loss)
      plan->value_buffer[out] = new_buffer(plan, &plan->formats[out], time_forward(n));
    if (plan->training && impl->keeps & SAP__KEEPS_X) last = time_backward(plan, n);
    if (plan->training && impl->keeps & SAP__KEEPS_WHOLE) last = time_whole(plan);
    if (plan->engine->keeps_values) {
      last = time_whole(plan);
      use(buffer_of(plan, plan->value_buffer, out), last);
    }
    for (int i = 0; i < node->input_count; i++) {
      sap__buffer *x = buffer_of(plan, plan->value_buffer, node->inputs[i]);
      use(x, last);
      if (plan->training && impl->keeps & SAP__KEEPS_WHOLE) x->whole = 1;
    }
    if (plan->training && impl->keeps & SAP__KEEPS_Y)
      use(buffer_of(plan, plan->value_buffer, out), time_backward(plan, n));
  }
}

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

/* One buffer a gradient: born with the last reader of the value, used up by the node that wrote the value. */
static void make_gradient_buffers(sap__plan *plan, const uint8_t *needs) {
  const sap__graph *graph = plan->graph;
  for (int n = graph->node_count; n-- > 0;) {
    const sap__op_impl *impl = plan->impls[n];
    const sap__node *node = &graph->nodes[n];
    if (!impl) continue;
    for (int i = 0; i < node->input_count; i++) {
      int root = plan->root[node->inputs[i]];
      if (needs[root] && plan->gradient_buffer[root] == SAP__NO_BUFFER)
        plan->gradient_buffer[root] = new_buffer(plan, &plan->formats[root], time_backward(plan, n));
    }
    if (sap__op_info_of(node->op)->is_loss) continue;
    sap__buffer *dy = buffer_of(plan, plan->gradient_buffer, written(plan, n));
    use(dy, time_backward(plan, n));
    if (dy && impl->keeps & SAP__KEEPS_WHOLE) dy->whole = 1, use(dy, time_whole(plan));
  }
}

/* ---- sharing ---- */

static int same_format(const sap__plan *plan, int a, int b) {
  return sap__format_same(&plan->formats[a], &plan->formats[b]) &&
         sap__format_count(&plan->formats[a]) == sap__format_count(&plan->formats[b]);
}

/* Puts everything that lies in `from` into `to`. */
static void merge(sap__plan *plan, int *of, int from, int to) {
  for (int v = 0; v < plan->graph->value_count; v++)
    if (of[v] == from) of[v] = to;
  sap__buffer *a = &plan->buffers[from], *b = &plan->buffers[to];
  if (a->birth < b->birth) b->birth = a->birth;
  if (a->death > b->death) b->death = a->death;
  a->bytes = 0;
}

/* A node that may work in place writes its output over an input that nobody reads later. */
static void share_values(sap__plan *plan) {
  for (int n = 0; n < plan->graph->node_count; n++) {
    const sap__op_impl *impl = plan->impls[n];
    if (!impl || !impl->in_place) continue;
    int out = written(plan, n), y = plan->value_buffer[out];
    for (int i = 0; i < node_of(plan, n)->input_count; i++) {
      int in = plan->root[node_of(plan, n)->inputs[i]], x = plan->value_buffer[in];
      if (x == y || plan->buffers[x].death > time_forward(n) || !same_format(plan, in, out)) continue;
      if (plan->buffers[x].whole || plan->buffers[y].whole) continue;
      for (int v = 0; v < plan->graph->value_count; v++)
        if (plan->value_buffer[plan->root[v]] == x) plan->kept[v] = 0;
      merge(plan, plan->value_buffer, y, x);
      break;
    }
  }
}

/* The last node before `node` that reads a value, and adds to its gradient after `node` did; -1 if there is none. */
static int reader_before(const sap__plan *plan, int node, int root) {
  do node--;
  while (node >= 0 && !reads(plan, node, root));
  return node;
}

/* 1 if the gradient of value `in`, which `node` passes on unchanged, may lie where dy does: `node` writes it first, and
 * of all that lie there nobody adds to one while another is still to be read, by the node that writes its value. */
static int may_pass(const sap__plan *plan, int node, int in, int dy) {
  int inputs = 0; /* 2: a value added to itself */
  for (int i = 0; i < node_of(plan, node)->input_count; i++) inputs += plan->root[node_of(plan, node)->inputs[i]] == in;
  if (inputs > 1) return 0;
  for (int k = node + 1; k < plan->graph->node_count; k++)
    if (reads(plan, k, in)) return 0;
  for (int v = 0; v < plan->graph->value_count; v++) {
    if (plan->root[v] != v || plan->gradient_buffer[v] != dy) continue;
    if (v == in || writer(plan, v) <= reader_before(plan, node, in)) return 0;
    if (writer(plan, in) <= reader_before(plan, node, v)) return 0;
  }
  return 1;
}

static void share_gradients(sap__plan *plan) {
  for (int n = plan->graph->node_count; n-- > 0;) {
    const sap__op_impl *impl = plan->impls[n];
    if (!impl || sap__op_info_of(node_of(plan, n)->op)->is_loss) continue;
    int out = plan->root[written(plan, n)], dy = plan->gradient_buffer[out];
    if (dy == SAP__NO_BUFFER) continue;
    for (int i = 0; i < node_of(plan, n)->input_count; i++) {
      int in = plan->root[node_of(plan, n)->inputs[i]], dx = plan->gradient_buffer[in];
      if (dx == SAP__NO_BUFFER || dx == dy || !same_format(plan, in, out)) continue;
      if (plan->buffers[dx].whole || plan->buffers[dy].whole) continue;
      const int only = plan->buffers[dx].birth == time_backward(plan, n) &&
                       plan->buffers[dy].death == time_backward(plan, n) && node_of(plan, n)->input_count == 1;
      if ((impl->in_place && only) || (impl->passes_gradients && may_pass(plan, n, in, dy)))
        merge(plan, plan->gradient_buffer, dx, dy);
    }
  }
}

/* ---- places ---- */

static int meet(const sap__buffer *a, const sap__buffer *b) { return a->birth <= b->death && b->birth <= a->death; }

/* The lowest offset where a buffer of `size` bytes lies clear of those already placed that it meets. */
static size_t find_place(const sap__plan *plan, const int *placed, int count, const sap__buffer *buffer, size_t size,
                         size_t pictures) {
  size_t offset = 0;
  for (int moved = 1; moved;) {
    moved = 0;
    for (int k = 0; k < count; k++) {
      const sap__buffer *other = &plan->buffers[placed[k]];
      size_t end = other->offset + aligned(other->bytes * pictures);
      if (!meet(buffer, other) || offset + size <= other->offset || end <= offset) continue;
      offset = end;
      moved = 1;
    }
  }
  return offset;
}

/* Places the buffers, the largest first. */
static sap_status place_buffers(sap__plan *plan, sap_error *err) {
  const size_t pictures = (size_t)((plan->batch + plan->slices - 1) / plan->slices);
  int *placed = sap__calloc((size_t)plan->buffer_count, sizeof *placed), count = 0;
  uint8_t *done = sap__calloc((size_t)plan->buffer_count, 1);
  for (;;) {
    int next = -1;
    for (int b = 0; placed && done && b < plan->buffer_count; b++)
      if (!done[b] && plan->buffers[b].bytes && (next < 0 || plan->buffers[b].bytes > plan->buffers[next].bytes))
        next = b;
    if (next < 0) break;
    done[next] = 1;
    sap__buffer *buffer = &plan->buffers[next];
    if (buffer->whole) {
      buffer->offset = plan->whole_bytes;
      plan->whole_bytes += aligned(buffer->bytes * (size_t)plan->batch);
      continue;
    }
    size_t size = aligned(buffer->bytes * pictures);
    buffer->offset = find_place(plan, placed, count, buffer, size, pictures);
    placed[count++] = next;
    if (plan->block_bytes < buffer->offset + size) plan->block_bytes = buffer->offset + size;
  }
  sap_status status = placed && done ? SAP_OK : sap__fail_memory(err, (size_t)plan->buffer_count * sizeof *placed);
  sap__free(placed);
  sap__free(done);
  return status;
}

/* A value is lost when something born later, but still in the forward walk, lies in its place. */
static void find_kept(sap__plan *plan) {
  const size_t pictures = (size_t)((plan->batch + plan->slices - 1) / plan->slices);
  for (int v = 0; v < plan->graph->value_count; v++) {
    const sap__buffer *mine = buffer_of(plan, plan->value_buffer, v);
    if (!mine) plan->kept[v] = 0;
    for (int b = 0; mine && !mine->whole && b < plan->buffer_count; b++) {
      const sap__buffer *other = &plan->buffers[b];
      if (other->whole || !other->bytes || other->birth <= mine->birth ||
          other->birth > time_forward(plan->graph->node_count))
        continue;
      if (other->offset < mine->offset + mine->bytes * pictures &&
          mine->offset < other->offset + other->bytes * pictures)
        plan->kept[v] = 0;
    }
  }
}

static sap_status take(sap__plan *plan, sap_error *err) {
  const size_t batch = (size_t)plan->batch, labels = aligned(batch);
  const sap__format *x = &plan->formats[0];
  const sap__format loaded = sap__format_of(&plan->graph->values[0].shape, sizeof(float));
  size_t input = sap__format_same(x, &loaded) ? 0 : aligned(batch * sap__format_bytes(&loaded));
  plan->memory_bytes = input + labels + plan->whole_bytes + (size_t)plan->slices * plan->block_bytes;
  plan->memory = sap__calloc(plan->memory_bytes, 1);
  if (!plan->memory) return sap__fail_memory(err, plan->memory_bytes);
  plan->input = input ? (float *)(void *)plan->memory : NULL;
  plan->labels = (uint8_t *)plan->memory + input;
  plan->whole_memory = plan->memory + input + labels;
  plan->blocks = plan->whole_memory + plan->whole_bytes;
  return SAP_OK;
}

sap_status sap__plan_memory(sap__plan *plan, sap_error *err) {
  const size_t values = (size_t)plan->graph->value_count;
  uint8_t *needs = sap__calloc(values, 1);
  plan->root = sap__calloc(values, sizeof *plan->root);
  plan->value_buffer = sap__calloc(values, sizeof *plan->value_buffer);
  plan->gradient_buffer = sap__calloc(values, sizeof *plan->gradient_buffer);
  plan->kept = sap__calloc(values, 1);
  plan->buffers = sap__calloc(2 * values + 1, sizeof *plan->buffers);
  sap_status status = SAP_OK;
  if (!needs || !plan->root || !plan->value_buffer || !plan->gradient_buffer || !plan->kept || !plan->buffers) {
    status = sap__fail_memory(err, values * sizeof *plan->buffers);
  } else {
    for (size_t v = 0; v < values; v++) {
      plan->value_buffer[v] = plan->gradient_buffer[v] = SAP__NO_BUFFER;
      plan->kept[v] = 1;
    }
    find_views(plan);
    fuse(plan);
    make_value_buffers(plan);
    find_gradients(plan->graph, needs);
    if (plan->training) make_gradient_buffers(plan, needs);
    share_values(plan);
    share_gradients(plan);
    status = place_buffers(plan, err);
  }
  sap__free(needs);
  if (!status) find_kept(plan);
  return status ? status : take(plan, err);
}

void *sap__plan_pointer(const sap__plan *plan, int buffer, int slice) {
  if (buffer == SAP__NO_BUFFER) return NULL;
  const sap__buffer *b = &plan->buffers[buffer];
  if (b->whole) return plan->whole_memory + b->offset + b->bytes * (size_t)sap__plan_start(plan, slice);
  return plan->blocks + (size_t)slice * plan->block_bytes + b->offset;
}
