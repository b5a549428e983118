/* conv2d: y (N,O,P,Q) from x (N,C,H,W), W (O, C/groups, kernel), b (O) or none; cross-correlation, as in PyTorch. */
#include "base/error.h"
#include "graph/window.h"

static sap_status infer(sap__graph *graph, sap__node *node, const sap__shape *inputs, sap__shape *output,
                        sap_error *err) {
  const sap__conv2d *c = &node->attributes.conv2d;
  if (inputs->rank != 3)
    return sap__fail(err, SAP_ERROR_MISMATCH, "conv2d: input of rank %d, expected 3", inputs->rank);
  int64_t in = inputs->dim[0], out = c->out_channels;
  if (c->groups < 1 || out < 1 || in % c->groups || out % c->groups)
    return sap__fail(err, SAP_ERROR_MISMATCH, "conv2d: %lld channels to %lld in %lld groups: expected multiples of it",
                     (long long)in, (long long)out, (long long)c->groups);
  sap__shape shape = sap__shape_3(out, 0, 0);
  for (int axis = 0; axis < 2; axis++) {
    sap__window window = {.kernel = c->kernel[axis],
                          .stride = c->stride[axis],
                          .dilation = c->dilation[axis],
                          .before = c->pad[axis],
                          .after = c->pad[axis + 2]};
    sap_status status = sap__window_count("conv2d", &window, inputs->dim[axis + 1], &shape.dim[axis + 1], err);
    if (status) return status;
  }
  int64_t area = c->kernel[0] * c->kernel[1];
  sap__shape weight = sap__shape_4(out, in / c->groups, c->kernel[0], c->kernel[1]);
  /* PyTorch counts the fan out without regard to groups. */
  sap_status status = sap__graph_add_param(graph, node, "weight", weight, SAP_INIT_KAIMING_FAN_OUT, out * area, err);
  if (!status && c->bias)
    status = sap__graph_add_param(graph, node, "bias", sap__shape_1(out), SAP_INIT_ZERO, in * area, err);
  *output = shape;
  return status;
}

const sap__op_info sap__op_conv2d = {.name = "conv2d", .inputs = 1, .infer = infer};
