/* The schedule for as many pictures at a time as a vector has lanes: (channels, height, width, lanes), in a border of
 * zeros as wide as the convolutions that read it need. */
#include "base/error.h"
#include "base/memory.h"
#include "runtime/schedule.h"

/* Where a value lies: its border, and the buffer once something writes it. */
typedef struct place {
  int top, left, bottom, right;
  int rows;   /* of a ring; 0: the whole value lies in memory */
  int buffer; /* −1: not made */
  int twin;   /* layer that is an affine of this one, written along with it; −1: none */
} place;

typedef struct builder {
  sap__schedule *schedule;
  const sap__program *program;
  place *places; /* (values) */
} builder;

/* Channels lie one behind the other; of a ring, rows of all channels do, so that what is near in time is so in memory.
 */
static sap__strides strides_of(const builder *b, int value) {
  const place *p = &b->places[value];
  const sap__picture *v = &b->program->values[value];
  int64_t line = (int64_t)(p->left + v->width + p->right) * b->schedule->lanes;
  return p->rows ? (sap__strides){line, line * v->channels}
                 : (sap__strides){line * (p->top + v->height + p->bottom), line};
}

static int64_t floats_of(const builder *b, int value) {
  const place *p = &b->places[value];
  sap__strides s = strides_of(b, value);
  return p->rows ? s.row * p->rows : s.channel * b->program->values[value].channels;
}

/* The first pixel of a value; of a ring, of the buffer. */
static sap__operand operand_of(const builder *b, int value) {
  const place *p = &b->places[value];
  int64_t top = p->rows ? 0 : p->top * strides_of(b, value).row;
  return (sap__operand){p->buffer, top + (int64_t)p->left * b->schedule->lanes};
}

/* How rows of a value follow each other. */
static sap__pace pace_of(const builder *b, int value) {
  const place *p = &b->places[value];
  return (sap__pace){strides_of(b, value).row, b->schedule->lanes, p->rows, p->top};
}

static void widen(int *border, int64_t need) {
  if (need > *border) *border = (int)need;
}

/* The border that a convolution reads beyond its input. */
static void widen_for(const builder *b, const sap__layer *layer) {
  const sap__conv2d *conv = &layer->conv;
  const sap__picture *x = &b->program->values[layer->input], *y = &b->program->values[layer->output];
  place *p = &b->places[layer->input];
  widen(&p->top, conv->pad[0]);
  widen(&p->left, conv->pad[1]);
  widen(&p->bottom,
        (y->height - 1) * conv->stride[0] + (conv->kernel[0] - 1) * conv->dilation[0] + 1 - conv->pad[0] - x->height);
  widen(&p->right,
        (y->width - 1) * conv->stride[1] + (conv->kernel[1] - 1) * conv->dilation[1] + 1 - conv->pad[1] - x->width);
}

/* Gives a value its memory. */
static sap_status make(const builder *b, int value, sap_error *err) {
  place *p = &b->places[value];
  const sap__picture *v = &b->program->values[value];
  int64_t key[6] = {
      v->channels, v->height, v->width, (int64_t)p->top << 32 | p->left, (int64_t)p->bottom << 32 | p->right, p->rows};
  p->buffer = sap__schedule_buffer(b->schedule, key, floats_of(b, value));
  if (p->buffer < 0) return sap__fail_memory(err, sizeof(sap__buffer));
  if (p->rows) b->schedule->buffers[p->buffer].copies = b->schedule->shares;
  return SAP_OK;
}

/* Copies of the weights of a layer: distances depend on where in a ring a window begins. */
static int copies_of(const builder *b, const sap__layer *layer) {
  int rows = b->places[layer->input].rows;
  return rows ? rows : 1;
}

/* Where each tap of the layer's kernel reads, for every copy of the weights; NULL without memory. */
static int32_t *taps_of(const builder *b, const sap__layer *layer) {
  const sap__conv2d *conv = &layer->conv;
  const place *from = &b->places[layer->input];
  int places = (int)(conv->kernel[0] * conv->kernel[1]), copies = copies_of(b, layer);
  int32_t *taps = sap__calloc((size_t)places * (size_t)copies, sizeof *taps);
  for (int i = 0; taps && i < places * copies; i++) {
    int k = i % places, copy = i / places;
    int64_t row = k / conv->kernel[1] * conv->dilation[0];
    int64_t column = from->left - conv->pad[1] + k % conv->kernel[1] * conv->dilation[1];
    row = from->rows ? (copy + row) % from->rows : from->top - conv->pad[0] + row;
    taps[i] = (int32_t)(row * strides_of(b, layer->input).row + column * b->schedule->lanes);
  }
  return taps;
}

static sap_status tiles_stage(const builder *b, int index, sap_error *err) {
  const sap__program *program = b->program;
  const sap__layer *layer = &program->layers[index];
  const sap__conv2d *conv = &layer->conv;
  const sap__picture *y = &program->values[layer->output];
  const place *to = &b->places[layer->output];
  sap__stage *stage = sap__schedule_stage(b->schedule, SAP__STAGE_TILES, index);
  int lanes = b->schedule->lanes;
  int32_t *taps = taps_of(b, layer);
  if (!stage || !taps) {
    sap__free(taps);
    return sap__fail_memory(err, sizeof *stage);
  }
  sap__tiles *t = &stage->of.tiles;
  sap__strides in = strides_of(b, layer->input);
  stage->x = (sap__operand){b->places[layer->input].buffer, 0};
  t->rows = y->height;
  t->columns = y->width;
  t->stride = (int)conv->stride[1];
  t->x = (sap__pace){conv->stride[0] * in.row, conv->stride[1] * lanes, b->places[layer->input].rows,
                     b->places[layer->input].top};
  t->x_step = (int)conv->stride[0];
  t->x_pad = (int)conv->pad[0];
  t->weights = layer->weights->count;
  t->job = (sap__conv_job){.bias = layer->shift, .x_row = t->x.row, .relu = layer->relu};
  sap_status status = SAP_OK;
  if (to->twin < 0 || sap__program_readers(program, layer->output) > 1) {
    status = make(b, layer->output, err);
    stage->y = operand_of(b, layer->output);
    t->job.y = strides_of(b, layer->output);
    t->y = pace_of(b, layer->output);
  }
  if (!status && to->twin >= 0) {
    const sap__layer *twin = &program->layers[to->twin];
    status = make(b, twin->output, err);
    stage->twin = operand_of(b, twin->output);
    t->job.twin = strides_of(b, twin->output);
    t->job.twin_scale = twin->scale;
    t->job.twin_shift = twin->shift;
    t->job.twin_relu = twin->relu;
    t->twin = pace_of(b, twin->output);
  }
  if (layer->residual >= 0) {
    stage->residual = operand_of(b, layer->residual);
    t->job.residual = strides_of(b, layer->residual);
    t->residual = pace_of(b, layer->residual);
  }
  if (!status) status = sap__pack_rows(b->schedule, layer, in.channel, taps, copies_of(b, layer), stage, err);
  sap__free(taps);
  return status;
}

/* Affine, add, sigmoid, mean: elementwise over the pixels of x. */
static sap_status map_stage(const builder *b, sap__stage_kind kind, int index, int input, int output, sap_error *err) {
  sap_status status = make(b, output, err);
  sap__stage *stage = status ? NULL : sap__schedule_stage(b->schedule, kind, index);
  if (!stage) return status ? status : sap__fail_memory(err, sizeof *stage);
  const sap__picture *x = &b->program->values[input];
  stage->channels = x->channels;
  stage->y = operand_of(b, output);
  stage->of.map.grid = (sap__grid){.rows = x->height, .length = (int64_t)x->width * b->schedule->lanes};
  stage->of.map.grid.y = strides_of(b, output);
  const sap__layer *layer = &b->program->layers[index];
  stage->x = operand_of(b, input);
  stage->of.map.grid.x = strides_of(b, input);
  stage->of.map.scale = layer->scale;
  stage->of.map.shift = layer->shift;
  stage->of.map.relu = layer->relu;
  if (layer->residual < 0) return SAP_OK;
  stage->residual = operand_of(b, layer->residual);
  stage->of.map.grid.residual = strides_of(b, layer->residual);
  return SAP_OK;
}

/* Input and output: the caller's pictures have neither lanes nor borders. */
static sap_status end_stage(const builder *b, sap__stage_kind kind, int end, int value, sap_error *err) {
  int in = kind == SAP__STAGE_INPUT;
  sap_status status = in ? make(b, value, err) : SAP_OK;
  sap__stage *stage = status ? NULL : sap__schedule_stage(b->schedule, kind, -1);
  if (!stage) return status ? status : sap__fail_memory(err, sizeof *stage);
  const sap__picture *v = &b->program->values[value];
  sap__strides plain = {(int64_t)v->height * v->width, v->width}, own = strides_of(b, value);
  stage->channels = v->channels;
  *(in ? &stage->y : &stage->x) = operand_of(b, value);
  stage->of.map.end = end;
  stage->of.map.grid = (sap__grid){.rows = v->height, .length = v->width, .x = in ? plain : own, .y = in ? own : plain};
  return SAP_OK;
}

static sap_status pool_stage(const builder *b, int index, sap_error *err) {
  const sap__layer *layer = &b->program->layers[index];
  sap_status status = make(b, layer->output, err);
  sap__stage *stage = status ? NULL : sap__schedule_stage(b->schedule, SAP__STAGE_POOL, index);
  if (!stage) return status ? status : sap__fail_memory(err, sizeof *stage);
  stage->x = operand_of(b, layer->input);
  stage->y = operand_of(b, layer->output);
  stage->channels = b->program->values[layer->input].channels;
  stage->of.window = sap__window_of(b->program, layer);
  stage->of.window.x = strides_of(b, layer->input);
  stage->of.window.y = strides_of(b, layer->output);
  return SAP_OK;
}

static sap_status layer_stage(const builder *b, int index, sap_error *err) {
  const sap__layer *layer = &b->program->layers[index];
  switch (layer->kind) {
    case SAP__LAYER_CONV: return tiles_stage(b, index, err);
    case SAP__LAYER_POOL: return pool_stage(b, index, err);
    case SAP__LAYER_AFFINE:
      if (b->places[layer->output].buffer >= 0) return SAP_OK; /* some convolution writes it */
      return map_stage(b, SAP__STAGE_AFFINE, index, layer->input, layer->output, err);
    case SAP__LAYER_ADD: return map_stage(b, SAP__STAGE_ADD, index, layer->input, layer->output, err);
    case SAP__LAYER_SIGMOID: return map_stage(b, SAP__STAGE_SIGMOID, index, layer->input, layer->output, err);
    default: return map_stage(b, SAP__STAGE_MEAN, index, layer->input, layer->output, err);
  }
}

/* Borders, and the affines that convolutions write along. */
static void survey(const builder *b) {
  const sap__program *program = b->program;
  const sap__range range = b->schedule->layers;
  for (int i = range.first; i < range.last; i++) {
    const sap__layer *layer = &program->layers[i];
    if (layer->kind == SAP__LAYER_CONV) widen_for(b, layer);
    if (layer->kind != SAP__LAYER_AFFINE || !layer->scale) continue;
    for (int k = range.first; k < i; k++)
      if (program->layers[k].kind == SAP__LAYER_CONV && program->layers[k].output == layer->input &&
          b->places[layer->input].twin < 0 && !program->layers[k].relu)
        b->places[layer->input].twin = i;
  }
}

/* The groups of layers that are computed in strips. */
static sap_status plan_groups(const builder *b, sap__strip_value *values, sap_error *err) {
  sap__schedule *schedule = b->schedule;
  sap__range rest = schedule->layers;
  while (rest.first < rest.last && schedule->strips_count < SAP__STRIPS_MAX) {
    sap__strips *strips = &schedule->strips[schedule->strips_count++];
    strips->shares = schedule->shares;
    sap_status status = sap__strips_plan(b->program, rest, schedule->cache, values, strips, err);
    if (status) return status;
    rest.first = strips->layers.last;
    if (strips->count > 0) continue;
    sap__strips_free(strips);
    schedule->strips_count--;
    rest.first++;
  }
  return SAP_OK;
}

/* Which values are rings, and room for the weights that this takes. */
static sap_status plan_strips(const builder *b, sap_error *err) {
  const sap__program *program = b->program;
  sap__strip_value *values = sap__calloc((size_t)program->value_count, sizeof *values);
  int *copies = sap__calloc((size_t)program->layer_count + 1, sizeof *copies);
  sap_status status = values && copies ? SAP_OK : sap__fail_memory(err, (size_t)program->value_count * sizeof *values);
  for (int v = 0; !status && v < program->value_count; v++) {
    const place *p = &b->places[v];
    values[v] = (sap__strip_value){.top = p->top, .bottom = p->bottom, .twin = -1, .floats = floats_of(b, v)};
    if (p->twin >= 0) values[v].twin = program->layers[p->twin].output;
    values[v].written = p->twin < 0 || sap__program_readers(program, v) > 1;
  }
  if (!status) status = plan_groups(b, values, err);
  for (int v = 0; !status && v < program->value_count; v++) b->places[v].rows = values[v].rows;
  for (int i = 0; !status && i < program->layer_count; i++)
    copies[i] = program->layers[i].kind == SAP__LAYER_CONV ? copies_of(b, &program->layers[i]) : 0;
  if (!status) status = sap__pack_room(b->schedule, copies, err);
  sap__free(values);
  sap__free(copies);
  return status;
}

/* From layers and values to stages and buffers. */
static void translate_strips(const builder *b, sap__strips *strips) {
  sap__schedule *schedule = b->schedule;
  for (int i = 0; i < strips->count; i++) {
    sap__step *step = &strips->steps[i];
    if (step->value >= 0) {
      step->ring = b->places[step->value].rows;
      step->length = strides_of(b, step->value).row;
      step->value = b->places[step->value].buffer;
      continue;
    }
    int s = 0;
    while (schedule->stages[s].layer != step->layer) s++;
    step->layer = s;
    schedule->stages[s].of.tiles.strips = 1;
    if (strips->last_stage == 0 || s < strips->first_stage) strips->first_stage = s;
    if (s >= strips->last_stage) strips->last_stage = s + 1;
  }
}

sap_status sap__schedule_lanes(sap__schedule *schedule, sap_error *err) {
  const sap__program *program = schedule->program;
  builder b = {schedule, program, sap__calloc((size_t)program->value_count, sizeof(place))};
  if (!b.places) return sap__fail_memory(err, (size_t)program->value_count * sizeof(place));
  for (int v = 0; v < program->value_count; v++) b.places[v].buffer = b.places[v].twin = -1;
  survey(&b);
  const sap__ends *in = &schedule->inputs, *out = &schedule->outputs;
  sap_status status = plan_strips(&b, err);
  for (int i = 0; !status && i < in->count; i++) status = end_stage(&b, SAP__STAGE_INPUT, i, in->values[i], err);
  for (int i = schedule->layers.first; !status && i < schedule->layers.last; i++) status = layer_stage(&b, i, err);
  for (int i = 0; !status && i < out->count; i++) status = end_stage(&b, SAP__STAGE_OUTPUT, i, out->values[i], err);
  for (int i = 0; !status && i < schedule->strips_count; i++) translate_strips(&b, &schedule->strips[i]);
  sap__free(b.places);
  return status;
}
