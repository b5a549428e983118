/* sigmoid: y = 1 / (1 + exp(−x)). */
#include "graph/graph.h"

static sap_status infer(sap__graph *graph, sap__node *node, const sap__shape *inputs, sap__shape *output,
                        sap_error *err) {
  (void)graph, (void)node, (void)err;
  *output = *inputs;
  return SAP_OK;
}

const sap__op_info sap__op_sigmoid = {.name = "sigmoid", .inputs = 1, .infer = infer};
