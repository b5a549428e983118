/* avg_pool and global_avg_pool: the mean of each window, or of the whole picture, which is a window as well. */
#include <string.h>

#include "engine/onednn/onednn.h"
#include "engine/onednn/pool.h"

static sap__pool pool_of(const sap__op_context *op) {
  const sap__format *x = &op->x_format[0];
  if (op->node->op == SAP_OP_GLOBAL_AVG_POOL)
    return (sap__pool){.kernel = {x->height, x->width}, .stride = {x->height, x->width}};
  return op->node->attributes.pool;
}

static void forward(sap__op_context *op) {
  const sap__pool pool = pool_of(op);
  sap__pool_active(op->y_format.bytes)->mean(&pool, &op->x_format[0], &op->y_format, op->count, op->x[0], op->y);
}

static void backward_data(sap__op_context *op) {
  const sap__pool pool = pool_of(op);
  if (!op->accumulate[0]) memset(op->dx[0], 0, (size_t)op->count * sap__format_bytes(&op->x_format[0]));
  sap__pool_active(op->y_format.bytes)
      ->mean_backward(&pool, &op->x_format[0], &op->y_format, op->count, op->dy, op->dx[0]);
}

const sap__op_impl sap__onednn_avg_pool = {.forward = forward, .backward_data = backward_data};
