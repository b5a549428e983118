/* Weights packed for the kernels: values and distances, output by output, in order of their number. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "runtime/schedule.h"

/* Weights that take the time in which a row or a group of rows begins and ends. */
enum { UNIT_WORK = 4 };

/* Entries of one output channel in the kept weights. */
typedef struct span {
  uint64_t start;
  int32_t count, channel;
} span;

/* What every packing needs of a layer. */
typedef struct packer {
  const sap__layer *layer;
  sap__kept_list weights;
  uint64_t entries;   /* of an output, dense */
  int32_t *distances; /* (copies, entries) of what they read from what the first group's first channel has */
  int64_t group;      /* floats between what groups read */
  int outputs;        /* channels that one group makes */
} packer;

static void packer_end(packer *p) {
  sap__kept_list_free(&p->weights);
  sap__free(p->distances);
}

/* channel: floats between input channels; taps: (copies, places of the kernel). */
static sap_status packer_begin(const sap__program *program, const sap__layer *layer, int64_t channel,
                               const int32_t *taps, int copies, packer *p, sap_error *err) {
  const sap__conv2d *conv = &layer->conv;
  const int inputs = program->values[layer->input].channels / (int)conv->groups;
  const int places = (int)(conv->kernel[0] * conv->kernel[1]);
  *p = (packer){.layer = layer, .entries = (uint64_t)inputs * (uint64_t)places, .group = inputs * channel};
  p->outputs = (int)(conv->out_channels / conv->groups);
  p->distances = sap__alloc((size_t)copies * p->entries, sizeof *p->distances);
  if (!p->distances) return sap__fail_memory(err, (size_t)copies * p->entries * sizeof *p->distances);
  int32_t *distance = p->distances;
  for (int copy = 0; copy < copies; copy++)
    for (int input = 0; input < inputs; input++)
      for (int place = 0; place < places; place++)
        *distance++ = (int32_t)(input * channel) + taps[copy * places + place];
  sap_status status = sap__kept_list_make(layer->weights, &p->weights, err);
  if (status) packer_end(p);
  return status;
}

static int by_length(const void *a, const void *b) {
  const span *x = a, *y = b;
  return x->count != y->count ? (x->count > y->count) - (x->count < y->count)
                              : (x->channel > y->channel) - (x->channel < y->channel);
}

/* The spans of all outputs by rising length; NULL without memory. */
static span *spans_of(const packer *p) {
  const sap__kept_list *weights = &p->weights;
  int channels = (int)p->layer->conv.out_channels;
  span *spans = sap__calloc((size_t)channels, sizeof *spans);
  if (!spans) return NULL;
  uint64_t i = 0;
  for (int c = 0; c < channels; c++) {
    uint64_t start = i, end = (uint64_t)(c + 1) * p->entries;
    while (i < weights->count && sap__kept_position(weights, i) < end) i++;
    spans[c] = (span){start, (int32_t)(i - start), c};
  }
  qsort(spans, (size_t)channels, sizeof *spans, by_length);
  return spans;
}

/* Entry i of the kept weights, which belongs to `channel`: its value, and the distance of what it reads in a copy. */
static inline int32_t entry(const packer *p, uint64_t i, int channel, int copy, float *value) {
  uint64_t within = sap__kept_position(&p->weights, i) - (uint64_t)channel * p->entries;
  *value = p->weights.values[i] * p->layer->scale[channel];
  return (int32_t)(channel / p->outputs * p->group) + p->distances[(uint64_t)copy * p->entries + within];
}

sap_status sap__pack_room(sap__schedule *schedule, const int *copies, sap_error *err) {
  size_t count = SAP__WEIGHTS_AHEAD;
  for (int i = schedule->layers.first; i < schedule->layers.last; i++) {
    const sap__layer *layer = &schedule->program->layers[i];
    if (layer->kind == SAP__LAYER_CONV) count += layer->weights->count * (copies ? (size_t)copies[i] : 1);
  }
  schedule->weights = sap__alloc(count, sizeof *schedule->weights);
  if (!schedule->weights) return sap__fail_memory(err, count * sizeof *schedule->weights);
  memset(schedule->weights + count - SAP__WEIGHTS_AHEAD, 0, SAP__WEIGHTS_AHEAD * sizeof *schedule->weights);
  return SAP_OK;
}

/* Where each thread's share of `count` rows or groups begins (threads + 1), shares of equal work. starts: (count + 1)
 * weights before each. NULL without memory. */
static int *share(const uint32_t *starts, int count, int threads) {
  int *bounds = sap__calloc((size_t)threads + 1, sizeof *bounds), row = 0;
  const uint64_t all = starts[count] + UNIT_WORK * (uint64_t)count;
  for (int t = 1; bounds && t <= threads; t++) {
    while (row < count && (starts[row] + UNIT_WORK * (uint64_t)row) * (uint64_t)threads < all * (uint64_t)t) row++;
    bounds[t] = t == threads ? count : row;
  }
  return bounds;
}

static int by_channel(const void *a, const void *b) { return ((const span *)a)->channel - ((const span *)b)->channel; }

/* The same for rows, which come into the order of their channels: what one thread writes lies side by side. Where
 * neighbouring lines are written by different cores, each fetches those of the other along with its own. */
static int *share_spans(span *spans, int count, int threads) {
  uint32_t *starts = sap__calloc((size_t)count + 1, sizeof *starts);
  qsort(spans, (size_t)count, sizeof *spans, by_channel);
  for (int i = 0; starts && i < count; i++) starts[i + 1] = starts[i] + (uint32_t)spans[i].count;
  int *bounds = starts ? share(starts, count, threads) : NULL;
  sap__free(starts);
  return bounds;
}

/* Cuts the entries before `end` of an output's dense ones off a span. */
static span cut(const packer *p, span *from, uint64_t end) {
  span part = {from->start, 0, from->channel};
  end += (uint64_t)from->channel * p->entries;
  while (part.count < from->count && sap__kept_position(&p->weights, part.start + (uint64_t)part.count) < end)
    part.count++;
  from->start += (uint64_t)part.count;
  from->count -= part.count;
  return part;
}

/* Packs a block: the entries before `end` that the spans have left. Each thread's share is in order of its own. */
static void pack_block(const packer *p, span *spans, span *parts, uint64_t end, const int *bounds, int threads,
                       int copies, sap__weight_row *rows, sap__weight *weights, uint32_t *next) {
  for (int c = 0; c < bounds[threads]; c++) parts[c] = cut(p, &spans[c], end);
  for (int t = 0; t < threads; t++)
    qsort(parts + bounds[t], (size_t)(bounds[t + 1] - bounds[t]), sizeof *parts, by_length);
  for (int c = 0; c < bounds[threads]; c++) {
    const span *part = &parts[c];
    rows[c] = (sap__weight_row){part->channel, part->count, *next};
    for (int32_t k = 0; k < part->count; k++, (*next)++)
      for (int copy = 0; copy < copies; copy++) {
        sap__weight *w = &weights[(size_t)copy * p->weights.count + *next];
        w->offset = entry(p, part->start + (uint64_t)k, part->channel, copy, &w->value);
      }
  }
}

sap_status sap__pack_rows(sap__schedule *schedule, const sap__layer *layer, int64_t channel, const int32_t *taps,
                          int copies, sap__stage *stage, sap_error *err) {
  packer p;
  sap_status status = packer_begin(schedule->program, layer, channel, taps, copies, &p, err);
  if (status) return status;
  sap__weight_rows *rows = &stage->rows;
  size_t channels = (size_t)layer->conv.out_channels;
  uint64_t places = (uint64_t)(layer->conv.kernel[0] * layer->conv.kernel[1]), inputs = p.entries / places;
  span *spans = spans_of(&p), *parts = sap__alloc(channels, sizeof *parts);
  rows->count = stage->channels = (int)channels;
  rows->blocks = sap__tiles_blocks(&stage->of.tiles, taps, (int)places, schedule->lanes, (int)inputs,
                                   (double)p.weights.count / (double)channels);
  rows->rows = sap__alloc((size_t)rows->blocks * channels, sizeof *rows->rows);
  rows->weights = schedule->weights + schedule->weight_count;
  schedule->weight_count += p.weights.count * (size_t)copies;
  if (spans) stage->bounds = share_spans(spans, rows->count, schedule->threads);
  uint32_t next = 0;
  int complete = spans && parts && rows->rows && stage->bounds;
  for (uint64_t b = 0; complete && b < (uint64_t)rows->blocks; b++)
    pack_block(&p, spans, parts, inputs * (b + 1) / (uint64_t)rows->blocks * places, stage->bounds, schedule->threads,
               copies, rows->rows + b * channels, rows->weights, &next);
  sap__free(spans);
  sap__free(parts);
  packer_end(&p);
  return complete ? SAP_OK : sap__fail_memory(err, channels * sizeof *rows->rows);
}

/* A group of rows being dealt out to lanes. */
typedef struct dealer {
  const packer *p;
  const span *spans; /* (lanes) */
  int used, lanes;   /* rows of the group; lanes */
  int32_t *next;     /* (lanes) entry of its row that each lane takes next */
  int32_t zero;      /* place of a float that is always 0 */
  int window;        /* of the kernels */
} dealer;

static int32_t entry_of(const dealer *d, int lane, float *value) {
  const span *s = &d->spans[lane];
  return entry(d->p, s->start + (uint64_t)d->next[lane], s->channel, 0, value);
}

/* One step: with a window, the lane that is behind all others says where it begins, and whoever finds its next weight
 * in there takes it; without, all do. rows NULL: only counts. Returns 0 when nothing is left. */
static int deal(const dealer *d, const sap__gather_rows *rows, size_t step) {
  int32_t base = INT32_MAX;
  float value;
  for (int k = 0; k < d->used; k++) {
    if (d->next[k] == d->spans[k].count) continue;
    int32_t offset = entry_of(d, k, &value);
    base = offset < base ? offset : base;
  }
  if (base == INT32_MAX) return 0;
  base = base / d->lanes * d->lanes; /* aligned vectors are read twice as fast */
  if (rows && d->window) rows->bases[step] = base;
  for (int k = 0; k < d->lanes; k++) {
    int left = k < d->used && d->next[k] < d->spans[k].count;
    int32_t offset = left ? entry_of(d, k, &value) : 0;
    int takes = left && (!d->window || offset - base < d->window);
    if (takes) d->next[k]++;
    if (!rows) continue;
    size_t at = step * (size_t)d->lanes + (size_t)k;
    rows->values[at] = takes ? value : 0;
    if (d->window)
      rows->places[at] = (uint8_t)(takes ? offset - base : d->window);
    else
      rows->offsets[at] = takes ? offset : d->zero;
  }
  return 1;
}

/* Deals all groups out and returns their steps, of which `rows` gets the beginnings and, if write, the weights. */
static size_t deal_groups(dealer *d, const span *spans, sap__gather_rows *rows, int write) {
  size_t step = 0;
  for (int g = 0; g < rows->groups; g++) {
    int first = g * d->lanes;
    d->spans = spans + first;
    d->used = rows->count - first < d->lanes ? rows->count - first : d->lanes;
    memset(d->next, 0, (size_t)d->lanes * sizeof *d->next);
    while (deal(d, write ? rows : NULL, step)) step++;
    rows->starts[g + 1] = (uint32_t)step;
    for (int k = 0; k < d->used; k++) {
      rows->channels[first + k] = d->spans[k].channel;
      rows->bias[first + k] = d->p->layer->shift[d->spans[k].channel];
    }
  }
  return step;
}

/* Memory of so many steps; 0 without. */
static int make_steps(sap__gather_rows *rows, size_t steps, size_t lanes, int window) {
  rows->values = sap__alloc(steps * lanes, sizeof *rows->values);
  if (window) {
    rows->bases = sap__alloc(steps, sizeof *rows->bases);
    rows->places = sap__alloc(steps * lanes, sizeof *rows->places);
    return rows->values && rows->bases && rows->places;
  }
  rows->offsets = sap__alloc(steps * lanes, sizeof *rows->offsets);
  return rows->values && rows->offsets;
}

sap_status sap__pack_gather(const sap__schedule *schedule, const sap__layer *layer, int64_t channel, int32_t zero,
                            sap__stage *stage, sap_error *err) {
  packer p;
  sap__gather_rows *rows = &stage->gathered;
  size_t lanes = (size_t)schedule->lanes, steps = 0, places = (size_t)(layer->conv.kernel[0] * layer->conv.kernel[1]);
  int32_t *taps = sap__calloc(places, sizeof *taps);
  if (!taps) return sap__fail_memory(err, places * sizeof *taps);
  for (size_t k = 0; k < places; k++) taps[k] = (int32_t)k; /* the kernel covers the picture, row by row */
  sap_status status = packer_begin(schedule->program, layer, channel, taps, 1, &p, err);
  sap__free(taps);
  if (status) return status;
  rows->count = (int)layer->conv.out_channels;
  rows->groups = stage->channels = (rows->count + schedule->lanes - 1) / schedule->lanes;
  span *spans = spans_of(&p);
  int32_t *next = sap__alloc(lanes, sizeof *next);
  rows->channels = sap__alloc((size_t)rows->count, sizeof *rows->channels);
  rows->bias = sap__calloc((size_t)rows->groups * lanes, sizeof *rows->bias);
  rows->starts = sap__calloc((size_t)rows->groups + 1, sizeof *rows->starts);
  dealer d = {&p, spans, 0, schedule->lanes, next, zero, schedule->conv->window};
  int complete = spans && next && rows->channels && rows->bias && rows->starts;
  if (complete) steps = deal_groups(&d, spans, rows, 0);
  complete = complete && make_steps(rows, steps, lanes, d.window);
  if (complete) deal_groups(&d, spans, rows, 1);
  if (complete) stage->bounds = share(rows->starts, rows->groups, schedule->threads);
  complete = complete && stage->bounds;
  sap__free(spans);
  sap__free(next);
  packer_end(&p);
  return complete ? SAP_OK : sap__fail_memory(err, (steps + 1) * lanes * (sizeof(float) + sizeof(int32_t)));
}

uint64_t sap__gather_bytes(const sap__gather_rows *rows, int lanes) {
  uint64_t steps = rows->starts[rows->groups], entries = steps * (uint64_t)lanes;
  return entries * sizeof *rows->values +
         (rows->bases ? steps * sizeof *rows->bases + entries * sizeof *rows->places : entries * sizeof *rows->offsets);
}
