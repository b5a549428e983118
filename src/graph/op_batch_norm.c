/* batch_norm: y = (x − mean) / √(var + eps) · weight + bias, mean and var over (N,H,W) of each channel.
 *
 * In training they are the batch's (var without Bessel's correction) and move the running statistics,
 * running ← (1 − momentum) · running + momentum · batch's (var with the correction); elsewhere they are the
 * running ones. As torch.nn.BatchNorm2d; Ioffe and Szegedy 2015. */
#include "base/error.h"
#include "graph/graph.h"

static sap_status infer(sap__graph *graph, sap__node *node, const sap__shape *inputs, sap__shape *output,
                        sap_error *err) {
  if (inputs->rank != 1 && inputs->rank != 3)
    return sap__fail(err, SAP_ERROR_MISMATCH, "batch_norm: input of rank %d, expected 1 or 3", inputs->rank);
  sap__shape channels = sap__shape_1(inputs->dim[0]);
  sap_status status = sap__graph_add_param(graph, node, "weight", channels, SAP_INIT_ONE, 1, err);
  if (!status) status = sap__graph_add_param(graph, node, "bias", channels, SAP_INIT_ZERO, 1, err);
  if (!status) status = sap__graph_add_buffer(graph, node, "running_mean", channels, SAP_INIT_ZERO, err);
  if (!status) status = sap__graph_add_buffer(graph, node, "running_var", channels, SAP_INIT_ONE, err);
  *output = *inputs;
  return status;
}

const sap__op_info sap__op_batch_norm = {.name = "batch_norm", .inputs = 1, .infer = infer};
