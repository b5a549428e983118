/* cross_entropy: softmax and the mean negative log likelihood of the labels, over logits (N, classes).
 * The value it makes is the loss of one picture. */
#include "base/error.h"
#include "graph/graph.h"

static sap_status infer(sap__graph *graph, sap__node *node, const sap__shape *inputs, sap__shape *output,
                        sap_error *err) {
  (void)node;
  if (inputs->rank != 1 || inputs->dim[0] != graph->classes)
    return sap__fail(err, SAP_ERROR_MISMATCH, "cross_entropy: %lld logits of rank %d, expected %d classes",
                     (long long)sap__shape_count(inputs), inputs->rank, graph->classes);
  *output = sap__shape_1(1);
  return SAP_OK;
}

const sap__op_info sap__op_cross_entropy = {.name = "cross_entropy", .is_loss = 1, .inputs = 1, .infer = infer};
