/* mlp: two hidden layers of 128 and 256 with ReLU; parameters blocks.0, blocks.2, linear. */
#include "graph/zoo/zoo.h"

static sap_status build(sap__graph *graph, int *logits, sap_error *err) {
  const struct {
    sap__op op;
    const char *name;
    int64_t features;
  } layers[] = {{SAP_OP_FLATTEN, "flatten", 0}, {SAP_OP_LINEAR, "blocks.0", 128},
                {SAP_OP_RELU, "blocks.1", 0},   {SAP_OP_LINEAR, "blocks.2", 256},
                {SAP_OP_RELU, "blocks.3", 0},   {SAP_OP_LINEAR, "linear", graph->classes}};
  sap_status status = SAP_OK;
  *logits = 0;
  for (size_t i = 0; i < sizeof layers / sizeof layers[0] && !status; i++)
    status = sap__graph_add(graph, layers[i].op, layers[i].name, (sap__attributes){.linear = {layers[i].features}},
                            *logits, logits, err);
  return status;
}

const sap__model sap__model_mlp = {"mlp", "two hidden layers, 128 and 256, with ReLU", build};
