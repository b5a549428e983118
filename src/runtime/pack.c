/* Weights packed for the kernels: values and distances, output by output, in order of their number. */
#include <stdlib.h>

#include "base/error.h"
#include "base/memory.h"
#include "runtime/schedule.h"

/* Entries of one output channel in the kept weights. */
typedef struct span {
  uint64_t start;
  int32_t count, channel;
} span;

/* What every packing needs of a layer. */
typedef struct packer {
  const sap__layer *layer;
  uint64_t entries; /* of an output, dense */
  int places;       /* of the kernel */
  int inputs;       /* channels that one group reads */
  int outputs;      /* channels that one group makes */
} packer;

static packer packer_of(const sap__program *program, const sap__layer *layer) {
  const sap__conv2d *conv = &layer->conv;
  packer p = {.layer = layer, .places = (int)(conv->kernel[0] * conv->kernel[1])};
  p.inputs = program->values[layer->input].channels / (int)conv->groups;
  p.outputs = (int)(conv->out_channels / conv->groups);
  p.entries = (uint64_t)p.inputs * (uint64_t)p.places;
  return p;
}

static int by_length(const void *a, const void *b) {
  const span *x = a, *y = b;
  return x->count != y->count ? (x->count > y->count) - (x->count < y->count)
                              : (x->channel > y->channel) - (x->channel < y->channel);
}

/* The spans of all outputs by rising length; NULL without memory. */
static span *spans_of(const packer *p) {
  const sap__kept_weights *weights = p->layer->weights;
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

/* Entry i of the kept weights, which belongs to `channel`: its value, and the distance of what it reads. */
static int32_t entry(const packer *p, uint64_t i, int channel, int64_t channel_floats, const int32_t *taps,
                     float *value) {
  uint64_t within = sap__kept_position(p->layer->weights, i) - (uint64_t)channel * p->entries;
  int input = channel / p->outputs * p->inputs + (int)(within / (uint64_t)p->places);
  *value = p->layer->weights->values[i] * p->layer->scale[channel];
  return (int32_t)(input * channel_floats) + taps[within % (uint64_t)p->places];
}

sap_status sap__pack_room(sap__schedule *schedule, const int *copies, sap_error *err) {
  size_t count = SAP__WEIGHTS_AHEAD;
  for (int i = schedule->layers.first; i < schedule->layers.last; i++) {
    const sap__layer *layer = &schedule->program->layers[i];
    if (layer->kind == SAP__LAYER_CONV) count += layer->weights->count * (copies ? (size_t)copies[i] : 1);
  }
  schedule->weights = sap__calloc(count, sizeof *schedule->weights);
  return schedule->weights ? SAP_OK : sap__fail_memory(err, count * sizeof *schedule->weights);
}

sap_status sap__pack_rows(sap__schedule *schedule, const sap__layer *layer, int64_t channel, const int32_t *taps,
                          int copies, sap__weight_rows *rows, sap_error *err) {
  packer p = packer_of(schedule->program, layer);
  size_t channels = (size_t)layer->conv.out_channels;
  span *spans = spans_of(&p);
  rows->count = (int)channels;
  rows->rows = sap__alloc(channels, sizeof *rows->rows);
  rows->weights = schedule->weights + schedule->weight_count;
  schedule->weight_count += layer->weights->count * (size_t)copies;
  uint32_t next = 0;
  int complete = spans && rows->rows;
  for (size_t r = 0; complete && r < channels; r++) {
    const span *s = &spans[r];
    rows->rows[r] = (sap__weight_row){s->channel, s->count, next};
    for (int32_t k = 0; k < s->count; k++, next++)
      for (int copy = 0; copy < copies; copy++) {
        sap__weight *w = &rows->weights[(size_t)copy * layer->weights->count + next];
        w->offset = entry(&p, s->start + (uint64_t)k, s->channel, channel, taps + copy * p.places, &w->value);
      }
  }
  sap__free(spans);
  return complete ? SAP_OK : sap__fail_memory(err, channels * sizeof *rows->rows);
}

/* Fills one group of lanes; returns its steps. */
static uint32_t fill_group(const packer *p, const span *spans, int lanes, int used, int64_t channel,
                           const int32_t *taps, int32_t zero, int32_t *channels, float *values, int32_t *offsets) {
  int32_t steps = spans[used - 1].count;
  for (int k = 0; k < lanes; k++) {
    channels[k] = k < used ? spans[k].channel : -1;
    for (int32_t i = 0; i < steps; i++) {
      float *value = &values[(size_t)i * (size_t)lanes + (size_t)k];
      int32_t *offset = &offsets[(size_t)i * (size_t)lanes + (size_t)k];
      *value = 0;
      *offset = zero;
      if (k < used && i < spans[k].count)
        *offset = entry(p, spans[k].start + (uint64_t)i, spans[k].channel, channel, taps, value);
    }
  }
  return (uint32_t)steps;
}

sap_status sap__pack_gather(const sap__program *program, const sap__layer *layer, int lanes, int64_t channel,
                            int32_t zero, sap__gather_rows *rows, sap_error *err) {
  packer p = packer_of(program, layer);
  int channels = (int)layer->conv.out_channels;
  size_t steps = 0;
  span *spans = spans_of(&p);
  int32_t *taps = sap__calloc((size_t)p.places, sizeof *taps);
  rows->count = channels;
  rows->groups = (channels + lanes - 1) / lanes;
  for (int g = 0; spans && g < rows->groups; g++) {
    int last = (g + 1) * lanes < channels ? (g + 1) * lanes : channels;
    steps += (size_t)spans[last - 1].count;
  }
  size_t groups = (size_t)rows->groups;
  rows->channels = sap__alloc(groups * (size_t)lanes, sizeof *rows->channels);
  rows->starts = sap__calloc(groups + 1, sizeof *rows->starts);
  rows->values = sap__alloc(steps * (size_t)lanes, sizeof *rows->values);
  rows->offsets = sap__alloc(steps * (size_t)lanes, sizeof *rows->offsets);
  int complete = spans && taps && rows->channels && rows->starts && rows->values && rows->offsets;
  for (int k = 0; complete && k < p.places; k++) taps[k] = k; /* the kernel covers the picture, row by row */
  for (int g = 0; complete && g < rows->groups; g++) {
    int first = g * lanes, used = channels - first < lanes ? channels - first : lanes;
    size_t at = (size_t)rows->starts[g] * (size_t)lanes;
    rows->starts[g + 1] =
        rows->starts[g] + fill_group(&p, spans + first, lanes, used, channel, taps, zero,
                                     rows->channels + (size_t)first, rows->values + at, rows->offsets + at);
  }
  sap__free(spans);
  sap__free(taps);
  return complete ? SAP_OK : sap__fail_memory(err, steps * (size_t)lanes * (sizeof(float) + sizeof(int32_t)));
}
