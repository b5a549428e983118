#include "engine/ref/ref.h"

extern const sap__op_impl sap__ref_linear, sap__ref_conv2d, sap__ref_batch_norm, sap__ref_relu, sap__ref_sigmoid,
    sap__ref_dropout, sap__ref_max_pool, sap__ref_avg_pool, sap__ref_global_avg_pool, sap__ref_add,
    sap__ref_cross_entropy;

static const sap__op_impl *const ops[SAP_OP_COUNT] = {
    [SAP_OP_LINEAR] = &sap__ref_linear,
    [SAP_OP_CONV2D] = &sap__ref_conv2d,
    [SAP_OP_BATCH_NORM] = &sap__ref_batch_norm,
    [SAP_OP_RELU] = &sap__ref_relu,
    [SAP_OP_SIGMOID] = &sap__ref_sigmoid,
    [SAP_OP_DROPOUT] = &sap__ref_dropout,
    [SAP_OP_MAX_POOL] = &sap__ref_max_pool,
    [SAP_OP_AVG_POOL] = &sap__ref_avg_pool,
    [SAP_OP_GLOBAL_AVG_POOL] = &sap__ref_global_avg_pool,
    [SAP_OP_ADD] = &sap__ref_add,
    [SAP_OP_CROSS_ENTROPY] = &sap__ref_cross_entropy,
};

static void choose_formats(const sap__graph *graph, sap__format *formats) {
  for (int v = 0; v < graph->value_count; v++) formats[v] = sap__format_of(&graph->values[v].shape, sizeof(double));
}

const sap__engine sap__engine_ref = {.name = "ref", .ops = ops, .choose_formats = choose_formats, .keeps_values = 1};
