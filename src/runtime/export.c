/* Writing a model: what the runtime opens again, or plain weights for others. */
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

/* Parameter i as an entry, with a mask if it is prunable. */
static sap_status add_param(const sap_model *model, int i, sap_checkpoint *checkpoint, sap_error *err) {
  const sap__param *param = &model->graph->params[i];
  const sap__kept_weights *weights = &model->weights[i];
  sap__entry *entry;
  sap_status status = sap__checkpoint_add_entry(checkpoint, param->name, strlen(param->name), &entry, err);
  if (status) return status;
  sap_tensor *tensor = &entry->tensor;
  tensor->dtype = SAP_F32;
  tensor->rank = param->shape.rank;
  for (int k = 0; k < tensor->rank; k++) tensor->shape[k] = (uint64_t)param->shape.dim[k];
  tensor->count = param->count;
  tensor->bytes = param->count * sizeof(float);
  float *w = entry->decoded = sap__calloc(param->count, sizeof *w);
  if (weights->positions) entry->mask = sap__calloc(sap_mask_words(param->count), sizeof *entry->mask);
  if (!w || (weights->positions && !entry->mask)) return sap__fail_memory(err, tensor->bytes);
  for (uint64_t k = 0; k < weights->count; k++) {
    uint64_t position = sap__kept_position(weights, k);
    w[position] = weights->values[k];
    if (entry->mask) sap_mask_set(entry->mask, position);
  }
  return SAP_OK;
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
  float *arena = sap__model_arena(model);
  if (!arena) return sap__fail_memory(err, (size_t)model->graph->arena_count * sizeof *arena);
  sap_status status = sap__onnx_export(model->graph, arena, path, err);
  sap__free(arena);
  return status;
}

sap_status sap_model_write(const sap_model *model, const char *path, sap_encoding encoding, sap_error *err) {
  if (sap_model_is_file(path)) return write_onnx(model, path, err);
  sap_checkpoint *checkpoint = sap__calloc(1, sizeof *checkpoint);
  if (!checkpoint) return sap__fail_memory(err, sizeof *checkpoint);
  checkpoint->format = &in_memory;
  checkpoint->path = sap__strdup(model->info.file);
  checkpoint->options = sap_checkpoint_options_default();
  sap_status status = checkpoint->path ? SAP_OK : sap__fail_memory(err, strlen(model->info.file));
  if (!status) status = add_metadata(model, checkpoint, err);
  for (int i = 0; !status && i < model->graph->param_count; i++) status = add_param(model, i, checkpoint, err);
  if (!status) status = sap_checkpoint_convert(checkpoint, NULL, encoding, path, err);
  sap_checkpoint_close(checkpoint);
  return status;
}
