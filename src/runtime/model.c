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

/* Where the scales of weights that are bytes are, one a row. */
static sap_status find_scales(const sap_model *model, const sap__param *param, sap__kept_weights *weights,
                              sap_error *err) {
  char name[SAP__NAME_SIZE + 8];
  snprintf(name, sizeof name, "%s%s", param->name, SAP__SCALE_SUFFIX);
  size_t at = sap_checkpoint_find(model->file, name);
  const sap_tensor *scales = sap_checkpoint_at(model->file, at);
  if (!scales || scales->dtype != SAP_F32 || scales->rank != 1 || scales->shape[0] != (uint64_t)param->shape.dim[0])
    return wrong(model, param, "bytes without their scales, F32, one a row", err);
  sap_status status = sap_checkpoint_load(model->file, at, err);
  weights->scales = scales->data;
  weights->rows = scales->shape[0];
  return status;
}

/* A tensor that lies dense in the file: where it is if all of it is kept, else what is kept of it. */
static sap_status take_dense(const sap_model *model, const sap__param *param, size_t index, sap__kept_weights *weights,
                             sap_error *err) {
  sap_status status = sap_checkpoint_load(model->file, index, err);
  if (status) return status;
  const sap_tensor *tensor = sap_checkpoint_at(model->file, index);
  const size_t words = sap_mask_words(param->count);
  *weights =
      (sap__kept_weights){.total = param->count, .count = param->count, .dtype = tensor->dtype, .values = tensor->data};
  if (!param->prunable) return SAP_OK;
  uint64_t *mask = sap__calloc(words, sizeof *mask);
  status = mask ? read_mask(model, model->file, param, index, mask, err) : sap__fail_memory(err, words * sizeof *mask);
  if (status || sap_mask_count(mask, param->count) == param->count) {
    sap__free(mask);
    return status;
  }
  status = sap__kept_weights_take(tensor->data, tensor->dtype, mask, param->count, weights, err);
  sap__checkpoint_unload(model->file, &model->file->entries[index]); /* one tensor at a time is dense */
  return status;
}

static sap_status take_param(sap_model *model, int i, sap_error *err) {
  const sap__param *param = &model->graph->params[i];
  sap__kept_weights *weights = &model->weights[i];
  size_t index;
  if (param->count > UINT32_MAX) return wrong(model, param, "more than 2^32 weights", err);
  sap_status status = find(model, model->file, param, &index, err);
  if (status) return status;
  const sap_tensor *tensor = sap_checkpoint_at(model->file, index);
  const sap__sparse_view *view = param->prunable ? sap__packed_view(model->file, index) : NULL;
  if (view)
    *weights = (sap__kept_weights){.total = param->count,
                                   .count = view->kept,
                                   .dtype = tensor->dtype,
                                   .values = view->values,
                                   .code = {view, tensor}};
  else
    status = take_dense(model, param, index, weights, err);
  return !status && tensor->dtype == SAP_I8 ? find_scales(model, param, weights, err) : status;
}

/* Checks the codes of all sparse tensors at once, so that what comes later can only fail if the file changes. */
static sap_status check_codes(const sap_model *model, sap_error *err) {
  size_t params = (size_t)model->graph->param_count, count = 0, which = 0;
  const char *what = NULL;
  sap__sparse_tensor *tensors = sap__alloc(params, sizeof *tensors);
  if (!tensors) return sap__fail_memory(err, params * sizeof *tensors);
  for (size_t i = 0; i < params; i++)
    if (model->weights[i].code.view) tensors[count++] = model->weights[i].code;
  sap_status status = sap__sparse_check_all(tensors, count, &which, &what, err);
  if (what) status = sap__fail_entry(err, SAP_ERROR_FORMAT, model->file, tensors[which].tensor->name, "%s", what);
  sap__free(tensors);
  return status;
}

static sap_status take_params(sap_model *model, sap_error *err) {
  sap_status status = SAP_OK;
  for (int i = 0; !status && i < model->graph->param_count; i++) status = take_param(model, i, err);
  return status ? status : check_codes(model, err);
}

/* Parameters of a model in ONNX may be transposed, or made by its nodes: the importer knows. */
static sap_status take_onnx(sap_model *model, sap_error *err) {
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

static sap_status open_model(const char *path, const sap_model_options *options, sap_model *model, sap_error *err) {
  sap_status status = sap__source_open(path, options, &model->info, &model->file, err);
  if (!status) status = sap__source_graph(model->file, &model->graph, err);
  if (status) return status;
  model->weights = sap__calloc((size_t)model->graph->param_count, sizeof *model->weights);
  if (!model->weights) return sap__fail_memory(err, (size_t)model->graph->param_count * sizeof *model->weights);
  if (model->graph->source && !strcmp(sap_checkpoint_format(model->file), "onnx")) {
    status = take_onnx(model, err);
    sap_checkpoint_close(model->file);
    model->file = NULL;
  } else {
    status = take_params(model, err);
  }
  return status ? status : sap__program_new(model->graph, model->weights, &model->program, err);
}

sap_status sap_model_open(const char *path, const sap_model_options *options, sap_model **out, sap_error *err) {
  const sap_model_options defaults = sap_model_options_default();
  sap_model *model = sap__calloc(1, sizeof *model);
  if (!model) return sap__fail_memory(err, sizeof *model);
  sap_status status = open_model(path, options ? options : &defaults, model, err);
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
  sap_checkpoint_close(model->file);
  sap__free(model);
}

void sap_model_describe(const sap_model *model, sap_model_info *info) { *info = model->info; }

sap_status sap__model_arena(const sap_model *model, float **out, sap_error *err) {
  float *arena = sap__calloc((size_t)model->graph->arena_count, sizeof *arena);
  sap_status status = arena ? SAP_OK : sap__fail_memory(err, (size_t)model->graph->arena_count * sizeof *arena);
  for (int i = 0; !status && i < model->graph->param_count; i++) {
    sap__kept_list list;
    status = sap__kept_list_make(&model->weights[i], &list, err);
    if (status) break;
    float *w = arena + model->graph->params[i].offset;
    for (uint64_t k = 0; k < list.count; k++) w[sap__kept_position(&list, k)] = list.values[k];
    sap__kept_list_free(&list);
  }
  if (status)
    sap__free(arena);
  else
    *out = arena;
  return status;
}
