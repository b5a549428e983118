/* max_pool: the largest of each window; the first of equals. The forward pass keeps where it was, for the walk back. */
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "engine/onednn/onednn.h"
#include "engine/onednn/pool.h"

/* Places in a window are numbers of 16 bits. */
static int supports(const sap__graph *graph, const sap__node *node) {
  (void)graph;
  return node->attributes.pool.kernel[0] * node->attributes.pool.kernel[1] <= UINT16_MAX;
}

static sap_status prepare(sap__op_context *op, sap_error *err) {
  size_t count = (size_t)op->count * (size_t)sap__onednn_outputs(op);
  op->state = sap__alloc(count, sizeof(uint16_t));
  return op->state ? SAP_OK : sap__fail_memory(err, count * sizeof(uint16_t));
}

static void release(sap__op_context *op) { sap__free(op->state); }

static void forward(sap__op_context *op) {
  sap__pool_active(op->y_format.bytes)
      ->max(&op->node->attributes.pool, &op->x_format[0], &op->y_format, op->count, op->x[0], op->y, op->state);
}

static void backward_data(sap__op_context *op) {
  if (!op->accumulate[0]) memset(op->dx[0], 0, (size_t)op->count * sap__format_bytes(&op->x_format[0]));
  sap__pool_active(op->y_format.bytes)
      ->max_backward(&op->node->attributes.pool, &op->x_format[0], &op->y_format, op->count, op->state, op->dy,
                     op->dx[0]);
}

const sap__op_impl sap__onednn_max_pool = {
    .supports = supports, .prepare = prepare, .release = release, .forward = forward, .backward_data = backward_data};
