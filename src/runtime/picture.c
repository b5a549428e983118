/* The schedule for one picture at a time: vectors along the picture. A value is flat, (channels, height × width), each
 * channel padded to whole vectors; convolutions read expansions of it (expand.h). */
#include "base/error.h"
#include "base/memory.h"
#include "runtime/expand.h"

/* A value in memory. */
typedef struct flat {
  int buffer;      /* −1: nothing wrote it yet */
  int lazy;        /* affine layer that computes it where it is copied; −1: it is written as it is */
  int64_t channel; /* floats between channels: whole vectors, or 1 for single features */
} flat;

/* An expansion in memory, which several convolutions may read. */
typedef struct copied {
  sap__expansion expansion;
  int value, buffer;
} copied;

typedef struct builder {
  sap__schedule *schedule;
  const sap__program *program;
  flat *flats; /* (values) */
  copied *copies;
  int copy_count;
} builder;

static int64_t pixels(const builder *b, int value) {
  return (int64_t)b->program->values[value].height * b->program->values[value].width;
}

static int64_t whole_vectors(const builder *b, int64_t floats) {
  return (floats + b->schedule->lanes - 1) / b->schedule->lanes * b->schedule->lanes;
}

/* Vectors of one channel of a value. */
static int columns_of(const builder *b, int value) {
  return (int)(whole_vectors(b, pixels(b, value)) / b->schedule->lanes);
}

/* A layer of which every output is one number of all pixels: lanes go across the outputs. */
static int is_gather(const sap__program *program, const sap__layer *layer) {
  const sap__conv2d *conv = &layer->conv;
  const sap__picture *x = &program->values[layer->input];
  return layer->kind == SAP__LAYER_CONV && conv->kernel[0] == x->height && conv->kernel[1] == x->width &&
         !conv->pad[0] && !conv->pad[1] && !conv->pad[2] && !conv->pad[3];
}

/* Whether only tiles read a value: where it lies, or expanded. */
static int tiles_only(const builder *b, int value, int as_input) {
  const sap__range *range = &b->schedule->layers;
  for (int i = 0; i < b->schedule->outputs.count; i++)
    if (b->schedule->outputs.values[i] == value) return 0;
  for (int i = range->first; i < range->last; i++) {
    const sap__layer *layer = &b->program->layers[i];
    int tiles = layer->kind == SAP__LAYER_CONV && !is_gather(b->program, layer);
    int lazy = as_input == 0 && layer->kind == SAP__LAYER_AFFINE && tiles_only(b, layer->output, 1);
    if (layer->input == value && !tiles && !lazy) return 0;
    if (layer->residual == value && (as_input || !tiles)) return 0;
  }
  return 1;
}

/* Whether each thread keeps its share of the columns in a copy of its own, so that none writes beside another. */
static int is_split(const builder *b, int value) {
  return sap__schedule_apart(b->schedule, columns_of(b, value)) && tiles_only(b, value, 0);
}

/* Gives a value its memory; `tiles`: written in whole vectors. A vector of zeros follows the last channel. */
static sap_status make(builder *b, int value, int tiles, sap_error *err) {
  flat *f = &b->flats[value];
  int channels = b->program->values[value].channels;
  f->channel = tiles || pixels(b, value) > 1 ? whole_vectors(b, pixels(b, value)) : 1;
  f->lazy = -1;
  int64_t key[6] = {1, channels, f->channel, 0, 0, 0};
  f->buffer = sap__schedule_buffer(b->schedule, key, channels * f->channel + b->schedule->lanes);
  if (f->buffer < 0) return sap__fail_memory(err, sizeof(sap__buffer));
  if (tiles && is_split(b, value)) b->schedule->buffers[f->buffer].copies = b->schedule->shares;
  return SAP_OK;
}

static sap__operand operand_of(const builder *b, int value) { return (sap__operand){b->flats[value].buffer, 0}; }

/* Affine, add, sigmoid and mean. */
static sap_status map_stage(builder *b, sap__stage_kind kind, int index, int input, int output, sap_error *err) {
  sap_status status = make(b, output, 0, err);
  sap__stage *stage = status ? NULL : sap__schedule_stage(b->schedule, kind, index);
  if (!stage) return status ? status : sap__fail_memory(err, sizeof *stage);
  stage->channels = b->program->values[input].channels;
  stage->y = operand_of(b, output);
  sap__grid *grid = &stage->of.map.grid;
  *grid = (sap__grid){.rows = 1, .length = pixels(b, input), .y = {b->flats[output].channel, 0}};
  const sap__layer *layer = &b->program->layers[index];
  stage->x = operand_of(b, input);
  grid->x.channel = b->flats[input].channel;
  stage->of.map.scale = layer->scale;
  stage->of.map.shift = layer->shift;
  stage->of.map.relu = layer->relu;
  if (layer->residual < 0) return SAP_OK;
  stage->residual = operand_of(b, layer->residual);
  grid->residual.channel = b->flats[layer->residual].channel;
  return SAP_OK;
}

/* Input and output: the caller's channels lie without gaps. */
static sap_status end_stage(builder *b, sap__stage_kind kind, int end, int value, sap_error *err) {
  int in = kind == SAP__STAGE_INPUT;
  sap_status status = in ? make(b, value, 0, err) : SAP_OK;
  sap__stage *stage = status ? NULL : sap__schedule_stage(b->schedule, kind, -1);
  if (!stage) return status ? status : sap__fail_memory(err, sizeof *stage);
  sap__strides plain = {pixels(b, value), 0}, own = {b->flats[value].channel, 0};
  stage->channels = b->program->values[value].channels;
  *(in ? &stage->y : &stage->x) = operand_of(b, value);
  stage->of.map.end = end;
  stage->of.map.grid = (sap__grid){.rows = 1, .length = plain.channel, .x = in ? plain : own, .y = in ? own : plain};
  return SAP_OK;
}

/* Writes a value that so far was only meant to be computed while it is copied. */
static sap_status settle(builder *b, int value, sap_error *err) {
  int lazy = b->flats[value].lazy;
  if (lazy < 0) return SAP_OK;
  return map_stage(b, SAP__STAGE_AFFINE, lazy, b->program->layers[lazy].input, value, err);
}

static sap_status gather_stage(builder *b, int index, sap_error *err) {
  const sap__layer *layer = &b->program->layers[index];
  sap_status status = settle(b, layer->input, err);
  if (!status) status = make(b, layer->output, 0, err);
  sap__stage *stage = status ? NULL : sap__schedule_stage(b->schedule, SAP__STAGE_GATHER, index);
  if (!stage) return status ? status : sap__fail_memory(err, sizeof *stage);
  const flat *x = &b->flats[layer->input];
  stage->x = operand_of(b, layer->input);
  stage->y = operand_of(b, layer->output);
  stage->of.gather = (sap__gather_job){.relu = layer->relu};
  if (layer->residual >= 0) {
    stage->residual = operand_of(b, layer->residual);
    stage->of.gather.residual_channel = b->flats[layer->residual].channel;
  }
  int32_t zero = (int32_t)(b->program->values[layer->input].channels * x->channel);
  return sap__pack_gather(b->schedule, layer, x->channel, zero, stage, err);
}

/* The copies that a convolution reads, made for all convolutions that can share them. */
static sap_status expand_stage(builder *b, const sap__layer *layer, const copied **out, sap_error *err) {
  for (int i = 0; i < b->copy_count; i++)
    if (b->copies[i].value == layer->input && sap__expansion_fits(&b->copies[i].expansion, b->program, layer)) {
      *out = &b->copies[i];
      return SAP_OK;
    }
  if (!sap__grow(&b->copies, (size_t)b->copy_count, sizeof *b->copies)) return sap__fail_memory(err, sizeof(copied));
  copied *copy = &b->copies[b->copy_count];
  sap_status status = sap__expansion_new(b->program, layer, b->schedule->lanes, &copy->expansion, err);
  if (status) return status;
  b->copy_count++;
  copy->value = layer->input;
  int channels = b->program->values[layer->input].channels;
  int64_t floats = channels * copy->expansion.channel, key[6] = {2, floats, 0, 0, 0, 0};
  copy->buffer = sap__schedule_buffer(b->schedule, key, floats);
  sap__stage *stage = sap__schedule_stage(b->schedule, SAP__STAGE_EXPAND, (int)(layer - b->program->layers));
  if (copy->buffer < 0 || !stage) return sap__fail_memory(err, sizeof *stage);
  int lazy = b->flats[layer->input].lazy;
  const sap__layer *affine = lazy < 0 ? NULL : &b->program->layers[lazy];
  int source = affine ? affine->input : layer->input;
  stage->x = operand_of(b, source);
  stage->y = (sap__operand){copy->buffer, 0};
  stage->channels = channels;
  stage->of.expand = (sap__expand_job){.from = b->flats[source].channel, .relu = affine && affine->relu};
  if (affine) {
    stage->of.expand.scale = affine->scale;
    stage->of.expand.shift = affine->shift;
  }
  *out = copy;
  status = sap__expansion_tables(&copy->expansion, b->program, layer, b->schedule->lanes, b->schedule->conv->window,
                                 stage, err);
  if (status || b->schedule->shares == 1) return status;
  b->schedule->buffers[copy->buffer].copies = b->schedule->shares;
  status = sap__expansion_shares(&copy->expansion, b->program, layer, b->schedule->lanes, b->schedule->shares,
                                 sap__schedule_apart(b->schedule, columns_of(b, layer->output)), stage, err);
  if (status || b->schedule->buffers[stage->x.buffer].copies == 1) return status;
  return sap__expansion_fetches(&copy->expansion, b->program, layer, b->schedule->lanes, b->schedule->shares, stage,
                                err);
}

/* 1 if a convolution reads every pixel where it lies. */
static int reads_flat(const builder *b, const sap__layer *layer) {
  const sap__conv2d *conv = &layer->conv;
  int64_t any = conv->pad[0] | conv->pad[1] | conv->pad[2] | conv->pad[3];
  return b->flats[layer->input].lazy < 0 && !any && conv->kernel[0] * conv->kernel[1] == 1 && conv->stride[0] == 1 &&
         conv->stride[1] == 1;
}

static sap_status tiles_stage(builder *b, int index, sap_error *err) {
  const sap__layer *layer = &b->program->layers[index];
  int places = (int)(layer->conv.kernel[0] * layer->conv.kernel[1]), lanes = b->schedule->lanes;
  int32_t *taps = sap__calloc((size_t)places, sizeof *taps);
  if (!taps) return sap__fail_memory(err, (size_t)places * sizeof *taps);
  sap__operand x = operand_of(b, layer->input);
  int64_t channel = b->flats[layer->input].channel;
  sap_status status = SAP_OK;
  if (!reads_flat(b, layer)) {
    const copied *copy = NULL;
    status = expand_stage(b, layer, &copy, err);
    if (!status) {
      x.buffer = copy->buffer;
      channel = copy->expansion.channel;
      sap__expansion_taps(&copy->expansion, layer, taps);
    }
  }
  if (!status) status = make(b, layer->output, 1, err);
  sap__stage *stage = status ? NULL : sap__schedule_stage(b->schedule, SAP__STAGE_TILES, index);
  if (stage) {
    const flat *y = &b->flats[layer->output];
    sap__tiles *t = &stage->of.tiles;
    stage->x = x;
    stage->y = operand_of(b, layer->output);
    *t = (sap__tiles){.rows = 1, .columns = columns_of(b, layer->output), .stride = 1};
    t->apart = sap__schedule_apart(b->schedule, t->columns);
    t->x = t->y = t->residual = (sap__pace){0, lanes, 0, 0};
    t->job = (sap__conv_job){.bias = layer->shift, .y = {y->channel, 0}, .relu = layer->relu};
    if (layer->residual >= 0) {
      stage->residual = operand_of(b, layer->residual);
      t->job.residual.channel = b->flats[layer->residual].channel;
    }
    status = sap__pack_rows(b->schedule, layer, channel, taps, 1, stage, err);
  } else if (!status) {
    status = sap__fail_memory(err, sizeof *stage);
  }
  sap__free(taps);
  return status;
}

static sap_status pool_stage(builder *b, int index, sap_error *err) {
  const sap__layer *layer = &b->program->layers[index];
  sap_status status = make(b, layer->output, 0, err);
  sap__stage *stage = status ? NULL : sap__schedule_stage(b->schedule, SAP__STAGE_POOL, index);
  if (!stage) return status ? status : sap__fail_memory(err, sizeof *stage);
  stage->x = operand_of(b, layer->input);
  stage->y = operand_of(b, layer->output);
  stage->channels = b->program->values[layer->input].channels;
  stage->of.window = sap__window_of(b->program, layer);
  stage->of.window.x = (sap__strides){b->flats[layer->input].channel, b->program->values[layer->input].width};
  stage->of.window.y = (sap__strides){b->flats[layer->output].channel, b->program->values[layer->output].width};
  return SAP_OK;
}

static sap_status layer_stage(builder *b, int index, sap_error *err) {
  static const sap__stage_kind maps[SAP__LAYER_KINDS] = {[SAP__LAYER_ADD] = SAP__STAGE_ADD,
                                                         [SAP__LAYER_SIGMOID] = SAP__STAGE_SIGMOID,
                                                         [SAP__LAYER_MEAN] = SAP__STAGE_MEAN};
  const sap__layer *layer = &b->program->layers[index];
  sap_status status = layer->residual >= 0 ? settle(b, layer->residual, err) : SAP_OK;
  if (status) return status;
  if (layer->kind == SAP__LAYER_AFFINE) { /* computed while it is copied, or when somebody wants it as it is */
    status = settle(b, layer->input, err);
    b->flats[layer->output].lazy = index;
    return status;
  }
  if (layer->kind == SAP__LAYER_CONV)
    return is_gather(b->program, layer) ? gather_stage(b, index, err) : tiles_stage(b, index, err);
  status = settle(b, layer->input, err);
  if (status) return status;
  if (layer->kind == SAP__LAYER_POOL) return pool_stage(b, index, err);
  return map_stage(b, maps[layer->kind], index, layer->input, layer->output, err);
}

sap_status sap__schedule_picture(sap__schedule *schedule, sap_error *err) {
  const sap__program *program = schedule->program;
  builder b = {.schedule = schedule, .program = program};
  b.flats = sap__calloc((size_t)program->value_count, sizeof *b.flats);
  if (!b.flats) return sap__fail_memory(err, (size_t)program->value_count * sizeof *b.flats);
  for (int v = 0; v < program->value_count; v++) b.flats[v] = (flat){-1, -1, 0};
  const sap__ends *in = &schedule->inputs, *out = &schedule->outputs;
  sap_status status = sap__pack_room(schedule, NULL, err);
  for (int i = 0; !status && i < in->count; i++) status = end_stage(&b, SAP__STAGE_INPUT, i, in->values[i], err);
  for (int i = schedule->layers.first; !status && i < schedule->layers.last; i++) status = layer_stage(&b, i, err);
  for (int i = 0; !status && i < out->count; i++) {
    status = settle(&b, out->values[i], err);
    if (!status) status = end_stage(&b, SAP__STAGE_OUTPUT, i, out->values[i], err);
  }
  for (int i = 0; i < b.copy_count; i++) sap__expansion_free(&b.copies[i].expansion);
  sap__free(b.copies);
  sap__free(b.flats);
  return status;
}
