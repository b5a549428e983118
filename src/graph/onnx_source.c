/* The weights of an imported network: from its file, and back into a copy of it. */
#include "graph/onnx_source.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "io/file.h"
#include "io/onnx.h"
#include "sapwood/mask.h"

/* The tensor that a parameter is. The file may have changed since the graph was made of it. */
static sap_status find_tensor(const sap__graph *graph, sap_checkpoint *file, int param, size_t *entry, sap_error *err) {
  const sap__param *p = &graph->params[param];
  const sap__onnx_binding *binding = &graph->source->bindings[param];
  *entry = sap_checkpoint_find(file, binding->tensor);
  const sap_tensor *tensor = sap_checkpoint_at(file, *entry);
  int same = tensor && tensor->dtype == SAP_F32 && tensor->count == p->count;
  if (same && binding->transposed) same = tensor->rank == 2 && tensor->shape[0] == (uint64_t)p->shape.dim[1];
  if (same) return SAP_OK;
  return sap__fail(err, SAP_ERROR_MISMATCH, "%s: %.60s: not the tensor that the network was made of",
                   sap__path_tail(graph->source->path), binding->tensor);
}

/* to (cols, rows) = from (rows, cols), or the same again. Data in files is aligned to nothing. */
static void copy_weights(const void *from, float *to, const sap__param *param, int transposed, int back) {
  if (!transposed) {
    memcpy(to, from, (size_t)param->count * sizeof *to);
    return;
  }
  int64_t rows = param->shape.dim[back ? 0 : 1], cols = param->shape.dim[back ? 1 : 0];
  for (int64_t r = 0; r < rows; r++)
    for (int64_t c = 0; c < cols; c++) memcpy(&to[c * rows + r], (const char *)from + 4 * (r * cols + c), sizeof *to);
}

sap_status sap__onnx_load(const sap__graph *graph, float *weights, sap_error *err) {
  sap_checkpoint *file;
  sap_status status = sap_checkpoint_open(graph->source->path, NULL, &file, err);
  if (status) return status;
  for (int p = 0; p < graph->param_count && !status; p++) {
    size_t entry;
    const sap__param *param = &graph->params[p];
    status = find_tensor(graph, file, p, &entry, err);
    if (!status) status = sap_checkpoint_load(file, entry, err);
    if (!status)
      copy_weights(sap_checkpoint_at(file, entry)->data, weights + param->offset, param,
                   graph->source->bindings[p].transposed, 0);
  }
  sap_checkpoint_close(file);
  return status;
}

/* Gives the parameters' tensors their new values; masks[entry] (all ones) says which. */
static sap_status replace(const sap__graph *graph, const float *weights, sap_checkpoint *file, const uint64_t *ones,
                          const uint64_t **masks, sap_error *err) {
  for (int p = 0; p < graph->param_count; p++) {
    const sap__param *param = &graph->params[p];
    size_t entry;
    sap_status status = find_tensor(graph, file, p, &entry, err);
    if (status) return status;
    float *values = sap__alloc((size_t)param->count, sizeof *values);
    if (!values) return sap__fail_memory(err, (size_t)param->count * sizeof *values);
    copy_weights(weights + param->offset, values, param, graph->source->bindings[p].transposed, 1);
    sap__checkpoint_replace(file, entry, values);
    masks[entry] = ones;
  }
  return SAP_OK;
}

sap_status sap__onnx_write_back(const sap__graph *graph, const float *weights, const char *path, sap_error *err) {
  sap_checkpoint *file;
  sap_status status = sap_checkpoint_open(graph->source->path, NULL, &file, err);
  if (status) return status;
  uint64_t largest = 0;
  for (int p = 0; p < graph->param_count; p++)
    if (graph->params[p].count > largest) largest = graph->params[p].count;
  uint64_t *ones = sap__calloc(sap_mask_words(largest), sizeof *ones);
  const uint64_t **masks = sap__calloc(sap_checkpoint_count(file), sizeof *masks);
  if (!ones || !masks)
    status = sap__fail_memory(err, sap_mask_words(largest) * sizeof *ones);
  else
    sap_mask_fill(ones, largest);
  if (!status) status = sap__checkpoint_refuse_input(file, path, err);
  if (!status) status = replace(graph, weights, file, ones, masks, err);
  if (!status) status = sap__onnx_convert(file, masks, SAP_ENCODING_DENSE, path, err);
  sap__free(masks);
  sap__free(ones);
  sap_checkpoint_close(file);
  return status;
}
