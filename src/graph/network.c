/* A graph for those outside: sapwood/network.h. */
#include "sapwood/network.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "graph/zoo/zoo.h"
#include "sapwood/model.h"

struct sap_network {
  sap__graph *graph;
  sap_network_node *nodes;
};

static sap_network_node describe(const sap__graph *graph, const sap__node *node) {
  const sap__shape *shape = &graph->values[node->output].shape;
  sap_network_node out = {
      .name = node->name, .op = sap__op_info_of(node->op)->name, .input_count = node->input_count, .rank = shape->rank};
  memcpy(out.shape, shape->dim, sizeof out.shape);
  for (int i = 0; i < node->input_count; i++) {
    int producer = graph->values[node->inputs[i]].producer;
    out.inputs[i] = producer < 0 ? "input" : graph->nodes[producer].name;
  }
  for (int i = 0; i < node->param_count; i++) {
    const sap__param *param = &graph->params[node->params[i]];
    if (!param->trained) continue;
    out.parameters += param->count;
    if (!param->prunable) continue;
    /* Every output of a channel or feature is a product with that row of the weight. */
    out.prunable += param->count;
    out.multiplies += param->count / (uint64_t)param->shape.dim[0] * (uint64_t)sap__shape_count(shape);
  }
  return out;
}

sap_status sap_network_new(const char *model, int channels, int height, int width, int classes, sap_network **out,
                           sap_error *err) {
  int from_file = sap_model_is_file(model) && !channels && !height && !width && !classes;
  if (!from_file && (channels < 1 || height < 1 || width < 1 || classes < 1))
    return sap__fail(err, SAP_ERROR_ARGUMENT, "pictures of %dx%dx%d in %d classes: expected at least 1 of each",
                     channels, height, width, classes);
  sap_network *network = sap__calloc(1, sizeof *network);
  if (!network) return sap__fail_memory(err, sizeof *network);
  sap__shape input = from_file ? (sap__shape){0} : sap__shape_3(channels, height, width);
  sap_status status = sap__model_graph(model, input, classes, &network->graph, err);
  if (!status) {
    size_t count = (size_t)network->graph->node_count;
    network->nodes = sap__calloc(count, sizeof *network->nodes);
    if (!network->nodes) status = sap__fail_memory(err, count * sizeof *network->nodes);
    for (size_t i = 0; i < count && !status; i++)
      network->nodes[i] = describe(network->graph, &network->graph->nodes[i]);
  }
  if (status) {
    sap_network_free(network);
    return status;
  }
  *out = network;
  return SAP_OK;
}

void sap_network_free(sap_network *network) {
  if (!network) return;
  sap__graph_free(network->graph);
  sap__free(network->nodes);
  sap__free(network);
}

size_t sap_network_count(const sap_network *network) { return (size_t)network->graph->node_count; }

const sap_network_node *sap_network_at(const sap_network *network, size_t i) { return &network->nodes[i]; }
