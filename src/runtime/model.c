#include "runtime/model.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "graph/onnx.h"
#include "io/file.h"
#include "io/format.h"
#include "io/packed.h"
#include "runtime/source.h"
#include "sapwood/checkpoint.h"
#include "sapwood/mask.h"
#include "tensor/widen.h"

sap_model_options sap_model_options_default(void) { return (sap_model_options){.iteration = -1}; }

/* ---- weights ---- */

static sap_status wrong(const sap_model *model, const sap__param *param, const char *text, sap_error *err) {
  return sap__fail(err, SAP_ERROR_MISMATCH, "%s: %s: %s", sap__path_tail(model->info.file), param->name, text);
}

/* The tensor of a parameter, of the shape and a type that are expected. */
static sap_status find(const sap_model *model, const sap_checkpoint *file, const sap__param *param, size_t *index,
                       sap_error *err) {
  *index = sap_checkpoint_find(file, param->name);
  if (*index == sap_checkpoint_count(file)) return wrong(model, param, "no such tensor", err);
  const sap_tensor *tensor = sap_checkpoint_at(file, *index);
  int same = tensor->rank == param->shape.rank;
  for (int i = 0; same && i < tensor->rank; i++) same = tensor->shape[i] == (uint64_t)param->shape.dim[i];
  if (!same) {
    char expected[96], text[128];
    sap__shape_text(&param->shape, expected, sizeof expected);
    snprintf(text, sizeof text, "another shape, expected %s", expected);
    return wrong(model, param, text, err);
  }
  if (tensor->dtype != SAP_F32 && tensor->dtype != SAP_F16 && tensor->dtype != SAP_BF16 && tensor->dtype != SAP_I8)
    return wrong(model, param, "another type, expected F32, F16, BF16 or I8", err);
  return SAP_OK;
}

/* The mask of a prunable parameter: the layout's, the tensor NAME.mask, or the nonzeros. */
static sap_status read_mask(const sap_model *model, sap_checkpoint *file, const sap__param *param, size_t index,
                            uint64_t *mask, sap_error *err) {
  const sap_tensor *tensor = sap_checkpoint_at(file, index);
  const uint64_t *carried = sap_checkpoint_mask(file, index);
  if (carried) {
    memcpy(mask, carried, sap_mask_words(param->count) * sizeof *mask);
    return SAP_OK;
  }
  char name[SAP__NAME_SIZE + 8];
  snprintf(name, sizeof name, "%s.mask", param->name);
  size_t at = sap_checkpoint_find(file, name);
  if (at == sap_checkpoint_count(file)) {
    sap_mask_from_nonzeros(tensor->data, tensor->dtype, param->count, mask);
    return SAP_OK;
  }
  const sap_tensor *kept = sap_checkpoint_at(file, at);
  if (kept->dtype != SAP_BOOL || kept->count != param->count)
    return wrong(model, param, "its mask has another type or size", err);
  sap_status status = sap_checkpoint_load(file, at, err);
  if (!status) sap_mask_from_bytes(kept->data, param->count, mask);
  return status;
}

/* Elements of a tensor as floats; of bytes without their scale. */
static void widen(const void *from, sap_dtype dtype, uint64_t count, float *w) {
  if (dtype == SAP_F32) {
    memcpy(w, from, count * sizeof *w);
    return;
  }
  for (uint64_t k = 0; k < count; k++)
    w[k] = dtype == SAP_I8 ? (float)((const int8_t *)from)[k] : sap__float_from_bits(sap__float_bits(from, dtype, k));
}

/* Weights that were bytes, by the scale of each row. */
static sap_status scale_bytes(const sap_model *model, sap_checkpoint *file, const sap__param *param,
                              const sap__kept_weights *weights, sap_error *err) {
  char name[SAP__NAME_SIZE + 8];
  snprintf(name, sizeof name, "%s%s", param->name, SAP__SCALE_SUFFIX);
  size_t at = sap_checkpoint_find(file, name);
  const sap_tensor *scales = at < sap_checkpoint_count(file) ? sap_checkpoint_at(file, at) : NULL;
  if (!scales || scales->dtype != SAP_F32 || scales->rank != 1 || scales->shape[0] != (uint64_t)param->shape.dim[0])
    return wrong(model, param, "bytes without their scales, F32, one a row", err);
  sap_status status = sap_checkpoint_load(file, at, err);
  uint64_t row = param->count / scales->shape[0];
  for (uint64_t k = 0; !status && k < weights->count; k++) {
    float scale;
    memcpy(&scale, (const char *)scales->data + sap__kept_position(weights, k) / row * sizeof scale, sizeof scale);
    weights->values[k] *= scale;
  }
  return status;
}

/* From a tensor in sparse form: what was pruned is never made. */
static sap_status read_sparse(const sap__param *param, sap_checkpoint *file, size_t index, sap__kept_weights *weights,
                              sap_error *err) {
  const size_t words = sap_mask_words(param->count);
  const void *values = NULL;
  uint64_t *mask = sap__alloc(words, sizeof *mask);
  sap_status status =
      mask ? sap__packed_read_mask(file, index, mask, &values, err) : sap__fail_memory(err, words * sizeof *mask);
  if (!status) status = sap__kept_weights_place(mask, param->count, weights, err);
  if (!status) widen(values, sap_checkpoint_at(file, index)->dtype, weights->count, weights->values);
  sap__free(mask);
  return status;
}

static sap_status read_dense(const sap_model *model, const sap__param *param, sap_checkpoint *file, size_t index,
                             sap__kept_weights *weights, sap_error *err) {
  sap_status status = sap_checkpoint_load(file, index, err);
  if (status) return status;
  const sap_tensor *tensor = sap_checkpoint_at(file, index);
  float *w = sap__alloc(param->count, sizeof *w);
  uint64_t *mask = param->prunable ? sap__calloc(sap_mask_words(param->count), sizeof *mask) : NULL;
  if (!w || (param->prunable && !mask)) status = sap__fail_memory(err, param->count * sizeof *w);
  if (!status) widen(tensor->data, tensor->dtype, param->count, w);
  if (!status && mask) status = read_mask(model, file, param, index, mask, err);
  if (!status) status = sap__kept_weights_make(w, mask, param->count, weights, err);
  sap__checkpoint_unload(file, &file->entries[index]); /* one tensor at a time is dense */
  sap__free(w);
  sap__free(mask);
  return status;
}

static sap_status read_param(sap_model *model, sap_checkpoint *file, int i, sap_error *err) {
  const sap__param *param = &model->graph->params[i];
  sap__kept_weights *weights = &model->weights[i];
  size_t index;
  if (param->count > UINT32_MAX) return wrong(model, param, "more than 2^32 weights", err);
  sap_status status = find(model, file, param, &index, err);
  if (status) return status;
  status = param->prunable && sap__packed_is_sparse(file, index) ? read_sparse(param, file, index, weights, err)
                                                                 : read_dense(model, param, file, index, weights, err);
  if (!status && sap_checkpoint_at(file, index)->dtype == SAP_I8)
    status = scale_bytes(model, file, param, weights, err);
  return status;
}

/* Parameters of a model in ONNX may be transposed, or made by its nodes: the importer knows. */
static sap_status read_onnx(sap_model *model, sap_error *err) {
  const sap__graph *graph = model->graph;
  float *arena = sap__calloc((size_t)graph->arena_count, sizeof *arena);
  uint64_t *mask = sap__calloc((size_t)graph->arena_count / 64, sizeof *mask);
  sap_status status = arena && mask ? sap__onnx_load(graph, arena, err)
                                    : sap__fail_memory(err, (size_t)graph->arena_count * sizeof *arena);
  for (int i = 0; !status && i < graph->param_count; i++) {
    const sap__param *param = &graph->params[i];
    const float *w = arena + param->offset;
    uint64_t *kept = param->prunable ? mask + param->offset / 64 : NULL;
    if (param->count > UINT32_MAX) status = wrong(model, param, "more than 2^32 weights", err);
    if (!status && kept) sap_mask_from_nonzeros(w, SAP_F32, param->count, kept);
    if (!status) status = sap__kept_weights_make(w, kept, param->count, &model->weights[i], err);
  }
  sap__free(arena);
  sap__free(mask);
  return status;
}

static void describe(sap_model *model) {
  sap_model_info *info = &model->info;
  const sap__program *program = model->program;
  snprintf(info->name, sizeof info->name, "%s", model->graph->model);
  info->channels = program->values[0].channels;
  info->height = program->values[0].height;
  info->width = program->values[0].width;
  info->outputs = (int)sap__program_floats(program, program->output); /* a picture, where a flatten ends the network */
  for (int i = 0; i < model->graph->param_count; i++) {
    if (!model->graph->params[i].prunable) continue;
    info->total += model->graph->params[i].count;
    info->kept += model->weights[i].count;
  }
  for (int i = 0; i < program->layer_count; i++) {
    const sap__layer *layer = &program->layers[i];
    if (layer->kind != SAP__LAYER_CONV) continue;
    const sap__picture *y = &program->values[layer->output];
    info->products += sap__layer_products(program, layer);
    info->useful += layer->weights->count * (uint64_t)y->height * (uint64_t)y->width;
  }
}

sap_status sap_model_open(const char *path, const sap_model_options *options, sap_model **out, sap_error *err) {
  sap_model_options defaults = sap_model_options_default();
  sap_model *model = sap__calloc(1, sizeof *model);
  if (!model) return sap__fail_memory(err, sizeof *model);
  sap_checkpoint *file = NULL;
  sap_status status = sap__source_find(path, options ? options : &defaults, &model->info, err);
  if (!status) status = sap_checkpoint_open(model->info.file, NULL, &file, err);
  if (!status) status = sap__source_graph(file, &model->graph, err);
  if (!status) {
    model->weights = sap__calloc((size_t)model->graph->param_count, sizeof *model->weights);
    if (!model->weights) status = sap__fail_memory(err, (size_t)model->graph->param_count * sizeof *model->weights);
  }
  if (!status && model->graph->source && !strcmp(sap_checkpoint_format(file), "onnx"))
    status = read_onnx(model, err);
  else
    for (int i = 0; !status && i < model->graph->param_count; i++) status = read_param(model, file, i, err);
  sap_checkpoint_close(file);
  if (!status) status = sap__program_new(model->graph, model->weights, &model->program, err);
  if (status) {
    sap_model_close(model);
    return status;
  }
  describe(model);
  *out = model;
  return SAP_OK;
}

void sap_model_close(sap_model *model) {
  if (!model) return;
  sap__program_free(model->program);
  for (int i = 0; model->weights && i < model->graph->param_count; i++) sap__kept_weights_free(&model->weights[i]);
  sap__free(model->weights);
  sap__graph_free(model->graph);
  sap__free(model);
}

void sap_model_describe(const sap_model *model, sap_model_info *info) { *info = model->info; }

float *sap__model_arena(const sap_model *model) {
  float *arena = sap__calloc((size_t)model->graph->arena_count, sizeof *arena);
  for (int i = 0; arena && i < model->graph->param_count; i++) {
    const sap__kept_weights *weights = &model->weights[i];
    float *w = arena + model->graph->params[i].offset;
    for (uint64_t k = 0; k < weights->count; k++) w[sap__kept_position(weights, k)] = weights->values[k];
  }
  return arena;
}
