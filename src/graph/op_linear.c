/* linear: y (N,O) = x (N,I) · Wᵀ + b, W (O,I), b (O). */
#include "base/error.h"
#include "graph/graph.h"

static sap_status infer(sap__graph *graph, sap__node *node, const sap__shape *input, sap__shape *output,
                        sap_error *err) {
  if (input->rank != 1) return sap__fail(err, SAP_ERROR_MISMATCH, "linear: input of rank %d, expected 1", input->rank);
  int64_t in = input->dim[0], out = node->attributes.linear.features;
  sap_status status =
      sap__graph_add_param(graph, node, "weight", sap__shape_2(out, in), SAP_INIT_UNIFORM_FAN_IN, in, err);
  if (!status) status = sap__graph_add_param(graph, node, "bias", sap__shape_1(out), SAP_INIT_ZERO, in, err);
  *output = sap__shape_1(out);
  return status;
}

const sap__op_info sap__op_linear = {.name = "linear", .infer = infer};
