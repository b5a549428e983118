#include "graph/graph_fields.h"

#include <string.h>

enum { NUMBER_MAX = 1 << 20, WINDOW_MAX = 255 };

#define AT(member) offsetof(sap__attributes, member)
#define POOL_FIELDS(op)                                                          \
  {op, "kernel", AT(pool.kernel), 2, 1, WINDOW_MAX, SAP__GRAPH_LONG},            \
      {op, "stride", AT(pool.stride), 2, 1, WINDOW_MAX, SAP__GRAPH_LONG},        \
      {op, "pad", AT(pool.pad), 4, 0, WINDOW_MAX, SAP__GRAPH_LONG},              \
      {op, "ceil", AT(pool.ceil), 1, 0, 1, SAP__GRAPH_INT}, {                    \
    op, "count_include_pad", AT(pool.count_include_pad), 1, 0, 1, SAP__GRAPH_INT \
  }

const sap__graph_field sap__graph_fields[] = {
    {SAP_OP_LINEAR, "features", AT(linear.features), 1, 1, NUMBER_MAX, SAP__GRAPH_LONG},
    {SAP_OP_LINEAR, "bias", AT(linear.bias), 1, 0, 1, SAP__GRAPH_INT},
    {SAP_OP_CONV2D, "out_channels", AT(conv2d.out_channels), 1, 1, NUMBER_MAX, SAP__GRAPH_LONG},
    {SAP_OP_CONV2D, "kernel", AT(conv2d.kernel), 2, 1, WINDOW_MAX, SAP__GRAPH_LONG},
    {SAP_OP_CONV2D, "stride", AT(conv2d.stride), 2, 1, WINDOW_MAX, SAP__GRAPH_LONG},
    {SAP_OP_CONV2D, "pad", AT(conv2d.pad), 4, 0, WINDOW_MAX, SAP__GRAPH_LONG},
    {SAP_OP_CONV2D, "dilation", AT(conv2d.dilation), 2, 1, WINDOW_MAX, SAP__GRAPH_LONG},
    {SAP_OP_CONV2D, "groups", AT(conv2d.groups), 1, 1, NUMBER_MAX, SAP__GRAPH_LONG},
    {SAP_OP_CONV2D, "bias", AT(conv2d.bias), 1, 0, 1, SAP__GRAPH_INT},
    POOL_FIELDS(SAP_OP_MAX_POOL),
    POOL_FIELDS(SAP_OP_AVG_POOL),
    {SAP_OP_BATCH_NORM, "momentum", AT(batch_norm.momentum), 1, 0, 1, SAP__GRAPH_REAL},
    {SAP_OP_BATCH_NORM, "eps", AT(batch_norm.eps), 1, 0, 1, SAP__GRAPH_REAL},
    {SAP_OP_DROPOUT, "rate", AT(dropout.rate), 1, 0, 1, SAP__GRAPH_REAL},
};
_Static_assert(sizeof sap__graph_fields / sizeof sap__graph_fields[0] == SAP__GRAPH_FIELDS, "all of them");

int sap__graph_find_op(const char *name, size_t length, sap__op *op) {
  for (int i = 0; i < SAP_OP_COUNT; i++) {
    const sap__op_info *info = sap__op_info_of((sap__op)i);
    if (info->is_loss || strncmp(info->name, name, length) != 0 || info->name[length]) continue;
    *op = (sap__op)i;
    return 1;
  }
  return 0;
}
