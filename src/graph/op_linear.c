/* linear: y (N,O) = x (N,I) · Wᵀ + b, W (O,I), b (O) or none. */
#include "base/error.h"
#include "graph/graph.h"

static sap_status infer(sap__graph *graph, sap__node *node, const sap__shape *inputs, sap__shape *output,
                        sap_error *err) {
  if (inputs->rank != 1)
    return sap__fail(err, SAP_ERROR_MISMATCH, "linear: input of rank %d, expected 1", inputs->rank);
  int64_t in = inputs->dim[0], out = node->attributes.linear.features;
  sap_status status =
      sap__graph_add_param(graph, node, "weight", sap__shape_2(out, in), SAP_INIT_UNIFORM_FAN_IN, in, err);
  if (!status && node->attributes.linear.bias)
    status = sap__graph_add_param(graph, node, "bias", sap__shape_1(out), SAP_INIT_ZERO, in, err);
  *output = sap__shape_1(out);
  return status;
}

const sap__op_info sap__op_linear = {.name = "linear", .inputs = 1, .infer = infer};
