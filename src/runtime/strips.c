#include "runtime/strips.h"

#include <limits.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/threads.h"

/* Rows that a layer computes before the next has its turn: few, so that they stay in a near cache. */
enum { TURN = 2 };

/* Shares may compute one part in so many more than the whole has. */
enum { EXTRA_PART = 8 };

/* Rows of a value, or of a layer's output. */
typedef struct span {
  int first, last;
} span;

typedef struct planner {
  const sap__program *program;
  sap__strip_value *values;
  sap__strips *strips;
  int64_t cache; /* floats */
  span *needed;  /* (values) of the share */
  span *made;    /* (layers of the program) by the share */
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

static void need(const planner *p, int value, int first, int last) {
  if (value < 0 || last <= first) return;
  span *r = &p->needed[value];
  if (first < 0) first = 0;
  if (last > height_of(p, value)) last = height_of(p, value);
  *r =
      r->last == 0 ? (span){first, last} : (span){first < r->first ? first : r->first, last > r->last ? last : r->last};
}

/* A share's own rows of a value, if it leaves the group. */
static span own_rows(const planner *p, int value, int share) {
  if (value < 0 || stays_inside(p, value)) return (span){0, 0};
  unsigned height = (unsigned)height_of(p, value), shares = (unsigned)p->strips->shares;
  return (span){(int)sap__part(height, (unsigned)share, shares), (int)sap__part(height, (unsigned)share + 1, shares)};
}

/* From what a share's layers must make to what they read, last layer first. 0 if it would write rows of a value that
 * leaves the group which are another's. */
static int assign(const planner *p, int share) {
  const sap__range group = p->strips->layers;
  for (int v = 0; v < p->program->value_count; v++) p->needed[v] = (span){0, 0};
  for (int i = group.last - 1; i >= group.first; i--) {
    if (!is_conv(p, i)) continue;
    const sap__layer *layer = &p->program->layers[i];
    const sap__conv2d *conv = &layer->conv;
    const int made[] = {layer->output, p->values[layer->output].twin};
    span own[2], all = {0, 0};
    for (int k = 0; k < 2; k++) {
      own[k] = own_rows(p, made[k], share);
      need(p, made[k], own[k].first, own[k].last);
      if (made[k] >= 0) need(p, layer->output, p->needed[made[k]].first, p->needed[made[k]].last);
    }
    all = p->needed[layer->output];
    for (int k = 0; k < 2; k++)
      if (own[k].last > 0 && (own[k].first != all.first || own[k].last != all.last)) return 0;
    if (all.last == all.first) return 0;
    p->made[i] = all;
    need(p, made[1], all.first, all.last);
    need(p, layer->input, all.first * (int)conv->stride[0] - (int)conv->pad[0],
         (all.last - 1) * (int)conv->stride[0] - (int)conv->pad[0] + (int)((conv->kernel[0] - 1) * conv->dilation[0]) +
             1);
    need(p, layer->residual, all.first, all.last);
  }
  return 1;
}

/* Whether the shares can do the group, and compute hardly more than the whole. */
static int can_be_shared(const planner *p) {
  const sap__range group = p->strips->layers;
  double whole = 0, shared = 0;
  for (int share = 0; share < p->strips->shares; share++) {
    if (!assign(p, share)) return 0;
    for (int i = group.first; i < group.last; i++) {
      if (!is_conv(p, i)) continue;
      const sap__layer *layer = &p->program->layers[i];
      double height = height_of(p, layer->output);
      double row = (double)layer->weights->count * p->program->values[layer->output].width;
      shared += row * (p->made[i].last - p->made[i].first);
      whole += share == 0 ? row * height : 0;
    }
  }
  return p->strips->shares == 1 || EXTRA_PART * (shared - whole) <= whole;
}

/* The largest group that can be shared. */
static void choose_group(planner *p, sap__range layers) {
  sap__range *group = &p->strips->layers;
  *group = group_of(p, layers);
  while (group->last > group->first && !can_be_shared(p)) {
    layers.last = group->last - 1;
    *group = group_of(p, layers);
  }
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
    if (!is_conv(p, i) || p->done[i] == p->made[i].last) continue;
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
  int64_t rows = p->made[index].last, ready = p->ready[layer->input];
  if (rows > p->done[index] + TURN) rows = p->done[index] + TURN;
  if (ready < p->needed[layer->input].last) {
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

static void begin_value(planner *p, int value) {
  if (value < 0) return;
  p->ready[value] = p->needed[value].first;
  if (p->values[value].top > 0 && p->ready[value] == 0)
    add_step(p, (sap__step){-1, value, 0, p->values[value].top, 0, 0});
}

/* Before the first strip: what the group makes is not there, and what it reads besides is. */
static void begin(planner *p) {
  for (int v = 0; v < p->program->value_count; v++) p->ready[v] = height_of(p, v);
  for (int i = p->strips->layers.first; i < p->strips->layers.last; i++) {
    if (!is_conv(p, i)) continue;
    const int y = p->program->layers[i].output;
    p->done[i] = p->made[i].first;
    begin_value(p, y);
    begin_value(p, p->values[y].twin);
  }
}

/* Takes all layers of the group through a share of the picture. */
static void sweep(planner *p) {
  const sap__range group = p->strips->layers;
  begin(p);
  for (int going = group.last > group.first; going;) {
    going = 0;
    for (int i = group.first; i < group.last; i++) {
      if (!is_conv(p, i)) continue;
      int rows = possible(p, i);
      if (rows > p->done[i]) run_layer(p, i, rows);
      going |= p->done[i] < p->made[i].last;
    }
  }
}

/* A ring that is as long as the value, and the value of which more is read, lie in memory as a whole; their borders
 * stay 0 by themselves. What several shares compute, each has in a ring. */
static void settle(planner *p) {
  for (int v = 0; v < p->program->value_count; v++) {
    sap__strip_value *value = &p->values[v];
    int whole = p->strips->shares == 1 && value->rows >= value->top + height_of(p, v) + value->bottom;
    if (whole || !stays_inside(p, v)) value->rows = 0;
  }
  int kept = 0, next = 0;
  for (int share = 0; share < p->strips->shares; share++) {
    for (; next < p->strips->ends[share]; next++) {
      sap__step step = p->strips->steps[next];
      if (step.layer >= 0 || p->values[step.value].rows > 0) p->strips->steps[kept++] = step;
    }
    p->strips->ends[share] = kept;
  }
  p->strips->count = kept;
}

static void plan(planner *p, sap__range layers) {
  choose_group(p, layers);
  for (int share = 0; share < p->strips->shares; share++) {
    if (p->strips->layers.last > p->strips->layers.first) {
      assign(p, share);
      sweep(p);
    }
    p->strips->ends[share] = p->strips->count;
  }
  if (p->complete) settle(p);
}

sap_status sap__strips_plan(const sap__program *program, sap__range layers, int64_t cache, sap__strip_value *values,
                            sap__strips *strips, sap_error *err) {
  size_t value_count = (size_t)program->value_count, layer_count = (size_t)program->layer_count + 1;
  planner p = {program, values, strips, cache, .complete = 1};
  *strips = (sap__strips){.layers = {layers.first, layers.first}, .shares = strips->shares};
  strips->ends = sap__calloc((size_t)strips->shares, sizeof *strips->ends);
  p.needed = sap__calloc(value_count, sizeof *p.needed);
  p.made = sap__calloc(layer_count, sizeof *p.made);
  p.ready = sap__calloc(value_count, sizeof *p.ready);
  p.done = sap__calloc(layer_count, sizeof *p.done);
  p.complete = strips->ends && p.needed && p.made && p.ready && p.done;
  if (p.complete) plan(&p, layers);
  sap__free(p.needed);
  sap__free(p.made);
  sap__free(p.ready);
  sap__free(p.done);
  return p.complete ? SAP_OK : sap__fail_memory(err, value_count * sizeof *p.ready);
}

void sap__strips_free(sap__strips *strips) {
  sap__free(strips->steps);
  sap__free(strips->ends);
}
