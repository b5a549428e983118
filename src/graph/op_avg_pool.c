/* avg_pool: the mean of each window. */
#include "graph/window.h"

static sap_status infer(sap__graph *graph, sap__node *node, const sap__shape *inputs, sap__shape *output,
                        sap_error *err) {
  (void)graph;
  return sap__pool_infer("avg_pool", &node->attributes.pool, inputs, output, err);
}

const sap__op_info sap__op_avg_pool = {.name = "avg_pool", .inputs = 1, .infer = infer};
