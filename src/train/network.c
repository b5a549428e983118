#include "train/network.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "data/dataset.h"
#include "graph/onnx.h"
#include "graph/zoo/zoo.h"
#include "sapwood/experiment.h"
#include "sapwood/mask.h"
#include "sapwood/model.h"
#include "train/run.h"

static const char copy_name[] = "network.onnx";

sap_status sap__network_open(const char *run, const char *model, sap__shape input, int classes, sap__graph **graph,
                             sap_error *err) {
  char copy[SAP_TEXT_SIZE];
  struct stat info;
  int kept = 0;
  if (run && sap_model_is_file(model)) {
    sap__run_file(run, copy_name, copy, sizeof copy);
    kept = !stat(copy, &info);
  }
  sap_status status = sap__model_graph(kept ? copy : model, input, classes, graph, err);
  /* Every file of the run names the network as it was asked for. */
  if (!status && kept) snprintf((*graph)->model, sizeof(*graph)->model, "%s", model);
  return status;
}

sap_dataset_options sap__network_pictures(const char *run, const char *model, const char *data) {
  sap_dataset_options options = sap_dataset_options_default();
  sap__graph *graph = NULL;
  if (!sap_model_is_file(model) || !sap__dataset_resizes(data)) return options;
  /* A file that does not say, or cannot be read, is dealt with when the network is made for the pictures. */
  if (sap__network_open(run, model, (sap__shape){0}, 0, &graph, NULL)) return options;
  const sap__shape *input = &graph->values[0].shape;
  if (input->rank == 3 && input->dim[1] == input->dim[2] && input->dim[1] <= SAP_DATASET_MAX_SIDE) {
    options.channels = (int)input->dim[0];
    options.image_size = (int)input->dim[1];
  }
  sap__graph_free(graph);
  return options;
}

sap_status sap__network_initialise(sap__arena *arena, uint64_t seed, int fresh, sap_error *err) {
  sap__arena_initialise(arena, seed);
  return arena->graph->source && !fresh ? sap__onnx_load(arena->graph, arena->weights, err) : SAP_OK;
}

sap_status sap__network_weights(sap__arena *arena, sap_error *err) {
  sap_status status = sap__onnx_load(arena->graph, arena->weights, err);
  for (int p = 0; p < arena->graph->param_count && !status; p++) {
    const sap__param *param = &arena->graph->params[p];
    if (param->prunable)
      sap_mask_from_nonzeros(arena->weights + param->offset, SAP_F32, param->count, arena->mask + param->offset / 64);
  }
  return status;
}

sap_status sap__network_keep(sap__graph *graph, const float *weights, const char *run, int iteration, sap_error *err) {
  if (!graph->source) return SAP_OK;
  char path[SAP_TEXT_SIZE];
  if (iteration < 0)
    sap__run_file(run, copy_name, path, sizeof path);
  else
    sap__run_iteration(run, iteration, ".onnx", path, sizeof path);
  if (!strcmp(graph->source->path, path)) return SAP_OK; /* a run that begins a second time */
  sap_status status = sap__onnx_export(graph, weights, path, err);
  return status || iteration >= 0 ? status : sap__onnx_rebase(graph, path, err);
}
