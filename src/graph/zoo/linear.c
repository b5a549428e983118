/* linear: one layer from the pixels to the classes. */
#include "graph/zoo/zoo.h"

static sap_status build(sap__graph *graph, int *logits, sap_error *err) {
  sap__attributes none = {0}, classes = {.linear = {graph->classes}};
  sap_status status = sap__graph_add(graph, SAP_OP_FLATTEN, "flatten", none, 0, logits, err);
  if (!status) status = sap__graph_add(graph, SAP_OP_LINEAR, "linear", classes, *logits, logits, err);
  return status;
}

const sap__model sap__model_linear = {"linear", "one linear layer", build};
