/* flatten: (C,H,W) seen as (C·H·W). */
#include "graph/graph.h"

static sap_status infer(sap__graph *graph, sap__node *node, const sap__shape *inputs, sap__shape *output,
                        sap_error *err) {
  (void)graph, (void)node, (void)err;
  *output = sap__shape_1(sap__shape_count(inputs));
  return SAP_OK;
}

const sap__op_info sap__op_flatten = {.name = "flatten", .view = 1, .inputs = 1, .infer = infer};
