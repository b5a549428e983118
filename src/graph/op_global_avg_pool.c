/* global_avg_pool: the mean of each channel, (C,H,W) → (C,1,1). */
#include "base/error.h"
#include "graph/graph.h"

static sap_status infer(sap__graph *graph, sap__node *node, const sap__shape *inputs, sap__shape *output,
                        sap_error *err) {
  (void)graph, (void)node;
  if (inputs->rank != 3)
    return sap__fail(err, SAP_ERROR_MISMATCH, "global_avg_pool: input of rank %d, expected 3", inputs->rank);
  *output = sap__shape_3(inputs->dim[0], 1, 1);
  return SAP_OK;
}

const sap__op_info sap__op_global_avg_pool = {.name = "global_avg_pool", .inputs = 1, .infer = infer};
