#include "runtime/strips.h"

#include <limits.h>

#include "base/error.h"
#include "base/memory.h"

/* Rows that a layer computes before the next has its turn: few, so that they stay in a near cache, but not so few that
 * threads meet after every row. */
enum { TURN = 2 };

typedef struct planner {
  const sap__program *program;
  sap__strip_value *values;
  sap__strips *strips;
  int64_t cache; /* floats */
  int *ready;    /* (values) rows written */
  int *done;     /* (layers of the program) rows computed */
  int complete;  /* 0: no memory */
} planner;

static int height_of(const planner *p, int value) { return p->program->values[value].height; }

static int is_conv(const planner *p, int layer) { return p->program->layers[layer].kind == SAP__LAYER_CONV; }

/* Whether an affine is written along with a convolution's output. */
static int is_twin(const planner *p, int layer) {
  const sap__layer *l = &p->program->layers[layer];
  return l->kind == SAP__LAYER_AFFINE && p->values[l->input].twin == l->output;
}

/* The layers from the first on that can be computed in strips and, but for the first, read large values. */
static sap__range group_of(const planner *p, sap__range layers) {
  sap__range group = {layers.first, layers.first};
  int convs = 0;
  for (; group.last < layers.last; group.last++) {
    if (is_twin(p, group.last)) continue;
    int large = p->values[p->program->layers[group.last].input].floats > p->cache;
    if (!is_conv(p, group.last) || (convs > 0 && !large)) break;
    convs++;
  }
  return convs > 1 ? group : (sap__range){layers.first, layers.first};
}

/* Whether only layers of the group read a value. */
static int stays_inside(const planner *p, int value) {
  return !sap__program_needed(p->program, value, p->strips->layers.last);
}

static void add_step(planner *p, sap__step step) {
  p->complete = p->complete && sap__grow(&p->strips->steps, (size_t)p->strips->count, sizeof step);
  if (p->complete) p->strips->steps[p->strips->count++] = step;
}

/* The first row of a value that is still read; behind the last if none is. */
static int needed_from(const planner *p, int value) {
  int from = INT_MAX;
  for (int i = p->strips->layers.first; i < p->strips->layers.last; i++) {
    const sap__layer *layer = &p->program->layers[i];
    if (!is_conv(p, i) || p->done[i] == height_of(p, layer->output)) continue;
    int first = p->done[i] * (int)layer->conv.stride[0] - (int)layer->conv.pad[0];
    if (layer->input == value && first < from) from = first;
    if (layer->residual == value && p->done[i] < from) from = p->done[i];
  }
  return from;
}

/* Rows of its output that a layer can have computed at the end of its turn. */
static int possible(const planner *p, int index) {
  const sap__layer *layer = &p->program->layers[index];
  const sap__conv2d *conv = &layer->conv;
  int64_t rows = height_of(p, layer->output), ready = p->ready[layer->input];
  if (rows > p->done[index] + TURN) rows = p->done[index] + TURN;
  if (ready < height_of(p, layer->input)) {
    int64_t beyond = ready + conv->pad[0] - ((conv->kernel[0] - 1) * conv->dilation[0] + 1);
    int64_t most = beyond < 0 ? 0 : beyond / conv->stride[0] + 1;
    if (most < rows) rows = most;
  }
  if (layer->residual >= 0 && p->ready[layer->residual] < rows) rows = p->ready[layer->residual];
  return (int)rows;
}

/* Rows of a value up to `last` are about to be written, and the border behind the last: the ring must hold them besides
 * what is still read. */
static void advance(planner *p, int value, int last) {
  if (value < 0) return;
  sap__strip_value *v = &p->values[value];
  int bottom = last == height_of(p, value) ? v->bottom : 0, from = needed_from(p, value);
  if (from > p->ready[value]) from = p->ready[value];
  if (v->rows < last + bottom - from) v->rows = last + bottom - from;
  if (bottom > 0) add_step(p, (sap__step){-1, value, v->top + last, v->top + last + bottom, 0, 0});
  p->ready[value] = last;
}

static void run_layer(planner *p, int index, int last) {
  const sap__layer *layer = &p->program->layers[index];
  advance(p, p->values[layer->output].written ? layer->output : -1, last);
  advance(p, p->values[layer->output].twin, last);
  add_step(p, (sap__step){index, -1, p->done[index], last, 0, 0});
  p->done[index] = last;
}

/* Before the first strip: what the group makes is not there, and what it reads besides is. */
static void begin(planner *p) {
  for (int v = 0; v < p->program->value_count; v++) p->ready[v] = height_of(p, v);
  for (int i = p->strips->layers.first; i < p->strips->layers.last; i++) {
    int y = p->program->layers[i].output;
    p->ready[y] = 0;
    if (p->values[y].top > 0) add_step(p, (sap__step){-1, y, 0, p->values[y].top, 0, 0});
  }
}

/* Takes all layers of the group through the picture. */
static void sweep(planner *p) {
  const sap__range group = p->strips->layers;
  begin(p);
  for (int going = group.last > group.first; going;) {
    going = 0;
    for (int i = group.first; i < group.last; i++) {
      if (!is_conv(p, i)) continue;
      int rows = possible(p, i);
      if (rows > p->done[i]) run_layer(p, i, rows);
      going |= p->done[i] < height_of(p, p->program->layers[i].output);
    }
  }
}

/* A ring that is as long as the value, and the value of which more is read, lie in memory as a whole; their borders
 * stay 0 by themselves. */
static void settle(planner *p) {
  for (int v = 0; v < p->program->value_count; v++) {
    sap__strip_value *value = &p->values[v];
    if (value->rows >= value->top + height_of(p, v) + value->bottom || !stays_inside(p, v)) value->rows = 0;
  }
  int kept = 0;
  for (int i = 0; i < p->strips->count; i++) {
    sap__step step = p->strips->steps[i];
    if (step.layer >= 0 || p->values[step.value].rows > 0) p->strips->steps[kept++] = step;
  }
  p->strips->count = kept;
}

sap_status sap__strips_plan(const sap__program *program, sap__range layers, int64_t cache, sap__strip_value *values,
                            sap__strips *strips, sap_error *err) {
  planner p = {program, values, strips, cache, .complete = 1};
  *strips = (sap__strips){.layers = group_of(&p, layers)};
  p.ready = sap__calloc((size_t)program->value_count, sizeof *p.ready);
  p.done = sap__calloc((size_t)program->layer_count + 1, sizeof *p.done);
  p.complete = p.ready && p.done;
  if (p.complete) sweep(&p);
  if (p.complete) settle(&p);
  sap__free(p.ready);
  sap__free(p.done);
  if (p.complete) return SAP_OK;
  sap__free(strips->steps);
  *strips = (sap__strips){.layers = {layers.first, layers.first}};
  return sap__fail_memory(err, (size_t)program->value_count * sizeof *p.ready);
}
