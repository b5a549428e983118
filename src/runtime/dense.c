/* The schedule for an engine's dense convolutions: a batch, or a thread's share of it, at a time. What is between them
 * is computed in the engine's blocks of channels, so that nothing is reordered. */
#include "base/error.h"
#include "base/memory.h"
#include "runtime/schedule.h"

typedef struct builder {
  sap__schedule *schedule;
  const sap__program *program;
  const sap__fixed_convs *engine;
  sap__choices *choices;
  int *buffers; /* (values); −1: nothing wrote it yet */
} builder;

/* ---- values ---- */

static int64_t pixels(const builder *b, int value) {
  return (int64_t)b->program->values[value].height * b->program->values[value].width;
}

/* Channels of a block: as the engine and the kernels have vectors, where they come out even. */
static int block_of(const builder *b, int value) {
  int lanes = b->schedule->lanes;
  return lanes >= 8 && b->program->values[value].channels % lanes == 0 ? lanes : 1;
}

/* Blocks of all pictures of a unit. */
static int blocks_of(const builder *b, int value) {
  return b->schedule->pictures * (b->program->values[value].channels / block_of(b, value));
}

static sap__format format_of(const builder *b, int value) {
  const sap__picture *v = &b->program->values[value];
  return (sap__format){.bytes = sizeof(float),
                       .block = pixels(b, value) > 1 ? block_of(b, value) : 1,
                       .channels = v->channels,
                       .height = v->height,
                       .width = v->width};
}

static sap_status make(const builder *b, int value, sap_error *err) {
  int64_t floats = b->schedule->pictures * b->program->values[value].channels * pixels(b, value);
  int64_t key[6] = {3, floats, 0, 0, 0, 0};
  b->buffers[value] = sap__schedule_buffer(b->schedule, key, floats);
  return b->buffers[value] < 0 ? sap__fail_memory(err, sizeof(sap__buffer)) : SAP_OK;
}

static sap__operand operand_of(const builder *b, int value) { return (sap__operand){b->buffers[value], 0}; }

/* Strides of a value as rows of blocks. */
static sap__strides strides_of(const builder *b, int value) {
  int block = block_of(b, value);
  return (sap__strides){pixels(b, value) * block, (int64_t)b->program->values[value].width * block};
}

/* ---- stages ---- */

/* A stage over the blocks of `input`, which writes `output`. */
static sap_status new_stage(const builder *b, sap__stage_kind kind, int index, int input, int output,
                            sap__stage **stage, sap_error *err) {
  sap_status status = output >= 0 && b->buffers[output] < 0 ? make(b, output, err) : SAP_OK;
  *stage = status ? NULL : sap__schedule_stage(b->schedule, kind, index);
  if (!*stage) return status ? status : sap__fail_memory(err, sizeof **stage);
  int shape = input >= 0 ? input : output;
  (*stage)->channels = blocks_of(b, shape);
  (*stage)->blocked = block_of(b, shape) > 1;
  if (input >= 0) (*stage)->x = operand_of(b, input);
  if (output >= 0) (*stage)->y = operand_of(b, output);
  return SAP_OK;
}

static sap_status end_stage(const builder *b, sap__stage_kind kind, int end, int value, sap_error *err) {
  int in = kind == SAP__STAGE_INPUT;
  sap__stage *stage = NULL;
  sap_status status = new_stage(b, kind, -1, in ? -1 : value, in ? value : -1, &stage, err);
  if (status) return status;
  sap__strides both = {strides_of(b, value).channel, 0};
  stage->of.map.end = end;
  stage->of.map.grid = (sap__grid){.rows = 1, .length = pixels(b, value), .x = both, .y = both};
  return SAP_OK;
}

static sap_status map_stage(const builder *b, sap__stage_kind kind, int index, int input, int residual,
                            sap_error *err) {
  const sap__layer *layer = &b->program->layers[index];
  sap__stage *stage = NULL;
  sap_status status = new_stage(b, kind, index, input, layer->output, &stage, err);
  if (status) return status;
  sap__strides x = {strides_of(b, input).channel, 0}, y = {strides_of(b, layer->output).channel, 0};
  stage->of.map.grid = (sap__grid){.rows = 1, .length = x.channel, .x = x, .y = y, .residual = x};
  if (kind == SAP__STAGE_AFFINE) stage->of.map.scale = layer->scale;
  if (kind == SAP__STAGE_AFFINE) stage->of.map.shift = layer->shift;
  stage->of.map.relu = layer->relu;
  if (residual >= 0) stage->residual = operand_of(b, residual);
  return SAP_OK;
}

static sap_status pool_stage(const builder *b, int index, sap_error *err) {
  const sap__layer *layer = &b->program->layers[index];
  sap__stage *stage = NULL;
  sap_status status = new_stage(b, SAP__STAGE_POOL, index, layer->input, layer->output, &stage, err);
  if (status) return status;
  stage->of.window = sap__window_of(b->program, layer);
  stage->of.window.x = strides_of(b, layer->input);
  stage->of.window.y = strides_of(b, layer->output);
  return SAP_OK;
}

/* ---- convolutions ---- */

void sap__dense_free(sap__dense *dense, int teams, int threads) {
  for (int i = 0; dense->whole && i < teams; i++) dense->engine->free(dense->whole[i]);
  for (int i = 0; dense->parts && i < threads; i++) dense->engine->free(dense->parts[i]);
  sap__free(dense->whole);
  sap__free(dense->parts);
}

/* The weights (O, I/groups, kernel) with what batch norm makes of them. */
static sap_status dense_weights(const sap__program *program, const sap__layer *layer, float **out, sap_error *err) {
  size_t row = (size_t)(program->values[layer->input].channels / layer->conv.groups) *
               (size_t)(layer->conv.kernel[0] * layer->conv.kernel[1]);
  size_t count = (size_t)layer->conv.out_channels * row;
  sap__kept_list list;
  sap_status status = sap__kept_list_make(layer->weights, &list, err);
  if (status) return status;
  float *w = *out = sap__calloc(count, sizeof *w);
  for (uint64_t i = 0; w && i < list.count; i++) {
    uint64_t at = sap__kept_position(&list, i);
    w[at] = list.values[i] * layer->scale[at / row];
  }
  sap__kept_list_free(&list);
  return w ? SAP_OK : sap__fail_memory(err, count * sizeof *w);
}

/* Shares of the outputs for the threads that work on one picture together: whole blocks. */
static sap_status make_parts(const builder *b, sap__stage *stage, const sap__fixed_problem *whole, const float *w,
                             const float *bias, sap_error *err) {
  int threads = b->schedule->threads, channels = (int)whole->conv.out_channels, block = (int)whole->y.block;
  size_t row = (size_t)(whole->x.channels * whole->conv.kernel[0] * whole->conv.kernel[1]);
  stage->of.dense.parts = sap__calloc((size_t)threads, sizeof *stage->of.dense.parts);
  stage->bounds = sap__calloc((size_t)threads + 1, sizeof *stage->bounds);
  if (!stage->of.dense.parts || !stage->bounds) return sap__fail_memory(err, (size_t)threads * sizeof(void *));
  sap_status status = SAP_OK;
  for (int t = 0; t < threads && !status; t++) {
    int first = stage->bounds[t], last = channels / block * (t + 1) / threads * block;
    stage->bounds[t + 1] = last;
    if (first == last) continue;
    sap__fixed_problem part = *whole;
    part.conv.out_channels = part.y.channels = last - first;
    status =
        b->engine->make(&part, w + (size_t)first * row, bias + first, NULL, b->choices, &stage->of.dense.parts[t], err);
  }
  return status;
}

/* 1 if y may lie where the residual does: nobody reads that one later. */
static int last_reading(const builder *b, int index, int value) {
  return b->program->layers[index].input != value && !sap__program_needed(b->program, value, index + 1);
}

static sap_status conv_stage(const builder *b, int index, sap_error *err) {
  const sap__layer *layer = &b->program->layers[index];
  int adds = layer->residual >= 0 && last_reading(b, index, layer->residual), apart = layer->residual >= 0 && !adds;
  if (adds) b->buffers[layer->output] = b->buffers[layer->residual];
  sap__stage *stage = NULL;
  sap_status status = new_stage(b, SAP__STAGE_DENSE, index, layer->input, layer->output, &stage, err);
  if (status) return status;
  sap__schedule *schedule = b->schedule;
  sap__dense *dense = &stage->of.dense;
  *dense = (sap__dense){.engine = b->engine, .pixels = pixels(b, layer->output)};
  dense->whole = sap__calloc((size_t)schedule->teams, sizeof *dense->whole);
  float *w = NULL;
  status = dense->whole ? dense_weights(b->program, layer, &w, err)
                        : sap__fail_memory(err, (size_t)schedule->teams * sizeof *dense->whole);
  const sap__fixed_problem problem = {.conv = layer->conv,
                                      .x = format_of(b, layer->input),
                                      .y = format_of(b, layer->output),
                                      .count = schedule->pictures,
                                      .relu = layer->relu && !apart,
                                      .adds = adds};
  for (int t = 0; !status && t < schedule->teams; t++)
    status =
        b->engine->make(&problem, w, layer->shift, t > 0 ? dense->whole[0] : NULL, b->choices, &dense->whole[t], err);
  if (!status && schedule->threads > 1 && schedule->pictures == 1 && layer->conv.groups == 1)
    status = make_parts(b, stage, &problem, w, layer->shift, err);
  sap__free(w);
  if (!status && apart) status = map_stage(b, SAP__STAGE_ADD, index, layer->output, layer->residual, err);
  return status;
}

static sap_status layer_stage(const builder *b, int index, sap_error *err) {
  const sap__layer *layer = &b->program->layers[index];
  switch (layer->kind) {
    case SAP__LAYER_CONV: return conv_stage(b, index, err);
    case SAP__LAYER_POOL: return pool_stage(b, index, err);
    case SAP__LAYER_AFFINE: return map_stage(b, SAP__STAGE_AFFINE, index, layer->input, -1, err);
    case SAP__LAYER_ADD: return map_stage(b, SAP__STAGE_ADD, index, layer->input, layer->residual, err);
    case SAP__LAYER_SIGMOID: return map_stage(b, SAP__STAGE_SIGMOID, index, layer->input, -1, err);
    default: return map_stage(b, SAP__STAGE_MEAN, index, layer->input, -1, err);
  }
}

sap_status sap__schedule_dense(sap__schedule *schedule, sap__choices *choices, sap_error *err) {
  const sap__program *program = schedule->program;
  const sap__engine *engine = sap__engine_find(NULL);
  builder b = {.schedule = schedule, .program = program, .engine = engine->fixed, .choices = choices};
  if (!b.engine)
    return sap__fail(err, SAP_ERROR_UNSUPPORTED, "dense: this build has no engine with convolutions for inference");
  b.buffers = sap__calloc((size_t)program->value_count, sizeof *b.buffers);
  if (!b.buffers) return sap__fail_memory(err, (size_t)program->value_count * sizeof *b.buffers);
  for (int v = 0; v < program->value_count; v++) b.buffers[v] = -1;
  const sap__ends *in = &schedule->inputs, *out = &schedule->outputs;
  sap_status status = SAP_OK;
  for (int i = 0; !status && i < in->count; i++) status = end_stage(&b, SAP__STAGE_INPUT, i, in->values[i], err);
  for (int i = schedule->layers.first; !status && i < schedule->layers.last; i++) status = layer_stage(&b, i, err);
  for (int i = 0; !status && i < out->count; i++) status = end_stage(&b, SAP__STAGE_OUTPUT, i, out->values[i], err);
  sap__free(b.buffers);
  return status;
}
