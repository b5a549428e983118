/* add: y = a + b, of one shape. */
#include <string.h>

#include "base/error.h"
#include "graph/graph.h"

static sap_status infer(sap__graph *graph, sap__node *node, const sap__shape *inputs, sap__shape *output,
                        sap_error *err) {
  (void)graph, (void)node;
  const sap__shape *a = &inputs[0], *b = &inputs[1];
  if (a->rank != b->rank || memcmp(a->dim, b->dim, (size_t)a->rank * sizeof *a->dim)) {
    char first[96], second[96];
    sap__shape_text(a, first, sizeof first);
    sap__shape_text(b, second, sizeof second);
    return sap__fail(err, SAP_ERROR_MISMATCH, "add: shapes %s and %s, expected the same", first, second);
  }
  *output = *a;
  return SAP_OK;
}

const sap__op_info sap__op_add = {.name = "add", .inputs = 2, .infer = infer};
