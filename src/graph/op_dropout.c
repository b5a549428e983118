/* dropout: in training y = x / (1 − rate), or 0 with probability rate; elsewhere y = x. */
#include "base/error.h"
#include "graph/graph.h"

static sap_status infer(sap__graph *graph, sap__node *node, const sap__shape *inputs, sap__shape *output,
                        sap_error *err) {
  (void)graph;
  double rate = node->attributes.dropout.rate;
  if (!(rate >= 0 && rate < 1)) return sap__fail(err, SAP_ERROR_MISMATCH, "dropout: rate %g, expected [0, 1)", rate);
  *output = *inputs;
  return SAP_OK;
}

const sap__op_info sap__op_dropout = {.name = "dropout", .inputs = 1, .infer = infer};
