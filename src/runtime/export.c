/* Writing a model: what the runtime opens again, or plain weights for others. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "graph/graph_json.h"
#include "graph/onnx.h"
#include "io/format.h"
#include "runtime/model.h"
#include "sapwood/mask.h"
#include "sapwood/model.h"
#include "sapwood/version.h"

/* A checkpoint that has no file: all of its entries are decoded. */
static const sap__format in_memory = {.name = "model"};

/* An entry of the checkpoint, whose elements are yet to be filled in. */
static sap_status add_entry(sap_checkpoint *checkpoint, const char *name, sap_dtype dtype, const sap__shape *shape,
                            sap__entry **out, sap_error *err) {
  sap__entry *entry;
  sap_status status = sap__checkpoint_add_entry(checkpoint, name, strlen(name), &entry, err);
  if (status) return status;
  sap_tensor *tensor = &entry->tensor;
  tensor->dtype = dtype;
  tensor->rank = shape->rank;
  for (int k = 0; k < tensor->rank; k++) tensor->shape[k] = (uint64_t)shape->dim[k];
  tensor->count = (uint64_t)sap__shape_count(shape);
  tensor->bytes = tensor->count * (uint64_t)sap_dtype_bits(dtype) / 8;
  entry->decoded = sap__calloc(tensor->bytes, 1);
  *out = entry;
  return entry->decoded ? SAP_OK : sap__fail_memory(err, tensor->bytes);
}

/* The mask of an entry whose parameter is pruned. */
static sap_status add_mask(const sap__kept_list *weights, sap__entry *entry, sap_error *err) {
  if (!weights->positions) return SAP_OK;
  entry->mask = sap__calloc(sap_mask_words(entry->tensor.count), sizeof *entry->mask);
  if (!entry->mask) return sap__fail_memory(err, sap_mask_words(entry->tensor.count) * sizeof *entry->mask);
  for (uint64_t k = 0; k < weights->count; k++) sap_mask_set(entry->mask, weights->positions[k]);
  return SAP_OK;
}

static sap_status add_floats(const sap__param *param, const sap__kept_list *weights, sap_checkpoint *checkpoint,
                             sap_error *err) {
  sap__entry *entry;
  sap_status status = add_entry(checkpoint, param->name, SAP_F32, &param->shape, &entry, err);
  if (status) return status;
  float *w = entry->decoded;
  for (uint64_t k = 0; k < weights->count; k++) w[sap__kept_position(weights, k)] = weights->values[k];
  return add_mask(weights, entry, err);
}

/* A parameter as bytes q and one scale a row, w = scale · q, scale = max |w| / 127 of the row. */
static sap_status add_bytes(const sap__param *param, const sap__kept_list *weights, sap_checkpoint *checkpoint,
                            sap_error *err) {
  const sap__shape rows = sap__shape_1(param->shape.dim[0]);
  uint64_t row = param->count / (uint64_t)rows.dim[0];
  char name[SAP__NAME_SIZE + 8];
  snprintf(name, sizeof name, "%s%s", param->name, SAP__SCALE_SUFFIX);
  sap__entry *entry;
  sap_status status = add_entry(checkpoint, name, SAP_F32, &rows, &entry, err);
  if (status) return status;
  float *scales = entry->decoded; /* stays where it is when entries are added */
  for (uint64_t k = 0; k < weights->count; k++) {
    float *scale = &scales[sap__kept_position(weights, k) / row];
    *scale = fmaxf(*scale, fabsf(weights->values[k]) / 127);
  }
  status = add_entry(checkpoint, param->name, SAP_I8, &param->shape, &entry, err);
  if (status) return status;
  int8_t *q = entry->decoded;
  for (uint64_t k = 0; k < weights->count; k++) {
    uint64_t position = sap__kept_position(weights, k);
    float scale = scales[position / row];
    q[position] = (int8_t)(scale > 0 ? lrintf(fmaxf(-127, fminf(127, weights->values[k] / scale))) : 0);
  }
  return add_mask(weights, entry, err);
}

static sap_status add_param(const sap_model *model, int i, int bytes, sap_checkpoint *checkpoint, sap_error *err) {
  const sap__param *param = &model->graph->params[i];
  sap__kept_list weights;
  sap_status status = sap__kept_list_make(&model->weights[i], &weights, err);
  if (status) return status;
  status = (bytes && param->prunable ? add_bytes : add_floats)(param, &weights, checkpoint, err);
  sap__kept_list_free(&weights);
  return status;
}

static sap_status add_metadata(const sap_model *model, sap_checkpoint *checkpoint, sap_error *err) {
  char *graph = sap__graph_to_json(model->graph);
  if (!graph) return sap__fail(err, SAP_ERROR_MEMORY, "no memory for the graph's text");
  sap_status status = sap__checkpoint_add_metadata(checkpoint, "format", "pt", err);
  if (!status) status = sap__checkpoint_add_metadata(checkpoint, "sapwood.version", sap_version(), err);
  if (!status) status = sap__checkpoint_add_metadata(checkpoint, "sapwood.graph", graph, err);
  free(graph);
  return status;
}

static sap_status write_onnx(const sap_model *model, const char *path, sap_error *err) {
  float *arena;
  sap_status status = sap__model_arena(model, &arena, err);
  if (status) return status;
  status = sap__onnx_export(model->graph, arena, path, err);
  sap__free(arena);
  return status;
}

static sap_status write_model(const sap_model *model, const char *path, sap_encoding encoding, int bytes,
                              sap_error *err) {
  sap_checkpoint *checkpoint = sap__calloc(1, sizeof *checkpoint);
  if (!checkpoint) return sap__fail_memory(err, sizeof *checkpoint);
  checkpoint->format = &in_memory;
  checkpoint->path = sap__strdup(model->info.file);
  checkpoint->options = sap_checkpoint_options_default();
  sap_status status = checkpoint->path ? SAP_OK : sap__fail_memory(err, strlen(model->info.file));
  if (!status) status = add_metadata(model, checkpoint, err);
  for (int i = 0; !status && i < model->graph->param_count; i++) status = add_param(model, i, bytes, checkpoint, err);
  if (!status) status = sap_checkpoint_convert(checkpoint, NULL, encoding, path, err);
  sap_checkpoint_close(checkpoint);
  return status;
}

sap_status sap_model_write(const sap_model *model, const char *path, sap_encoding encoding, sap_error *err) {
  return sap_model_is_file(path) ? write_onnx(model, path, err) : write_model(model, path, encoding, 0, err);
}

sap_status sap_model_write_bytes(const sap_model *model, const char *path, sap_error *err) {
  return write_model(model, path, SAP_ENCODING_SPARSE, 1, err);
}
