#include "engine/onednn/onednn.h"

#include <stdio.h>

#include "base/cpu.h"
#include "engine/onednn/primitive.h"
#include "sapwood/cpu.h"

extern const char sap__onednn_version[];

extern const sap__fixed_convs sap__onednn_fixed_convs;

extern const sap__op_impl sap__onednn_flatten, sap__onednn_linear, sap__onednn_conv2d, sap__onednn_batch_norm,
    sap__onednn_relu, sap__onednn_sigmoid, sap__onednn_dropout, sap__onednn_max_pool, sap__onednn_avg_pool,
    sap__onednn_add, sap__onednn_cross_entropy;

static const sap__op_impl *const ops[SAP_OP_COUNT] = {
    [SAP_OP_FLATTEN] = &sap__onednn_flatten,   [SAP_OP_LINEAR] = &sap__onednn_linear,
    [SAP_OP_CONV2D] = &sap__onednn_conv2d,     [SAP_OP_BATCH_NORM] = &sap__onednn_batch_norm,
    [SAP_OP_RELU] = &sap__onednn_relu,         [SAP_OP_SIGMOID] = &sap__onednn_sigmoid,
    [SAP_OP_DROPOUT] = &sap__onednn_dropout,   [SAP_OP_MAX_POOL] = &sap__onednn_max_pool,
    [SAP_OP_AVG_POOL] = &sap__onednn_avg_pool, [SAP_OP_GLOBAL_AVG_POOL] = &sap__onednn_avg_pool,
    [SAP_OP_ADD] = &sap__onednn_add,           [SAP_OP_CROSS_ENTROPY] = &sap__onednn_cross_entropy,
};

/* Channels of a block, with AVX-512. */
enum { BLOCK = 16 };

/* 1 if oneDNN's blocked convolutions can do the whole network: channels in whole blocks, but for a few of the
 * pictures, and no groups but of single channels. */
static int may_block(const sap__graph *graph) {
  if (sap_cpu_active() != SAP_CPU_AVX512) return 0;
  for (int v = 0; v < graph->value_count; v++) {
    const sap__shape *shape = &graph->values[v].shape;
    if (shape->rank == 3 && shape->dim[0] % BLOCK && (v > 0 || shape->dim[0] > 3)) return 0;
  }
  for (int n = 0; n < graph->node_count; n++) {
    const sap__conv2d *c = &graph->nodes[n].attributes.conv2d;
    if (graph->nodes[n].op == SAP_OP_CONV2D && c->groups > 1 &&
        (c->groups != c->out_channels || c->groups != graph->values[graph->nodes[n].inputs[0]].shape.dim[0]))
      return 0;
  }
  return 1;
}

/* Pictures in blocks or channels-last, all in elements of as many bytes; features are floats. */
static void lay_out(const sap__graph *graph, int blocked, int bytes, sap__format *formats) {
  for (int v = 0; v < graph->value_count; v++) {
    const sap__shape *shape = &graph->values[v].shape;
    sap__format *f = &formats[v];
    *f = sap__format_of(shape, shape->rank == 3 ? bytes : (int)sizeof(float));
    if (shape->rank != 3) continue;
    f->last = !blocked;
    f->block = !blocked ? f->channels : f->channels % BLOCK ? 1 : BLOCK;
  }
}

static void choose_formats(const sap__graph *graph, sap__format *formats) {
  lay_out(graph, may_block(graph), sizeof(float), formats);
}

/* The matrix units of processors want channels-last; without them blocks are faster in bf16 as they are in floats. */
static void choose_bf16_formats(const sap__graph *graph, sap__format *formats) {
  lay_out(graph, may_block(graph) && !sap__primitive_has_matrix_units(), sizeof(uint16_t), formats);
}

static void describe_machine(char *text, size_t size) {
  char processor[64];
  sap__cpu_brand(processor, sizeof processor);
  snprintf(text, size, "oneDNN %s, %d ways, %s, %s", sap__onednn_version, SAP__CONV_KINDS, processor,
           sap_cpu_name(sap_cpu_active()));
}

static const sap__engine bf16 = {.name = "onednn-bf16",
                                 .ops = ops,
                                 .choose_formats = choose_bf16_formats,
                                 .describe_machine = describe_machine,
                                 .chooses = 1u << SAP_OP_CONV2D,
                                 .fuses_relu = 1};

const sap__engine sap__engine_onednn = {.name = "onednn",
                                        .bf16 = &bf16,
                                        .ops = ops,
                                        .choose_formats = choose_formats,
                                        .describe_machine = describe_machine,
                                        .chooses = 1u << SAP_OP_CONV2D,
                                        .fuses_relu = 1,
                                        .fixed = &sap__onednn_fixed_convs};
