#include "graph/zoo/build.h"

#include <stdio.h>

static const sap__attributes none;

static int add(sap__build *b, sap__op op, const char *prefix, const char *name, sap__attributes attributes,
               const int *inputs, int input_count) {
  if (b->status) return 0;
  char full[SAP__NAME_SIZE];
  snprintf(full, sizeof full, "%s%s%s", prefix, *prefix ? "." : "", name);
  int output = 0;
  b->status = sap__graph_add(b->graph, op, full, attributes, inputs, input_count, &output, b->err);
  return output;
}

static int add_one(sap__build *b, sap__op op, const char *prefix, const char *name, sap__attributes attributes, int x) {
  return add(b, op, prefix, name, attributes, &x, 1);
}

int sap__build_add(sap__build *b, const char *prefix, const char *name, int x, int y) {
  const int inputs[] = {x, y};
  return add(b, SAP_OP_ADD, prefix, name, none, inputs, 2);
}

int sap__build_conv(sap__build *b, const char *prefix, const char *name, int x, int64_t channels, int64_t kernel,
                    int64_t stride, int bias) {
  int64_t pad = (kernel - 1) / 2;
  sap__attributes attributes = {.conv2d = {.out_channels = channels,
                                           .kernel = {kernel, kernel},
                                           .stride = {stride, stride},
                                           .pad = {pad, pad, pad, pad},
                                           .dilation = {1, 1},
                                           .groups = 1,
                                           .bias = bias}};
  return add_one(b, SAP_OP_CONV2D, prefix, name, attributes, x);
}

int sap__build_batch_norm(sap__build *b, const char *prefix, const char *name, int x) {
  sap__attributes attributes = {.batch_norm = {.momentum = 0.1, .eps = 1e-5}};
  return add_one(b, SAP_OP_BATCH_NORM, prefix, name, attributes, x);
}

int sap__build_relu(sap__build *b, const char *prefix, const char *name, int x) {
  return add_one(b, SAP_OP_RELU, prefix, name, none, x);
}

int sap__build_max_pool(sap__build *b, const char *prefix, const char *name, int x, int64_t kernel, int64_t stride,
                        int64_t pad) {
  sap__attributes attributes = {
      .pool = {.kernel = {kernel, kernel}, .stride = {stride, stride}, .pad = {pad, pad, pad, pad}}};
  return add_one(b, SAP_OP_MAX_POOL, prefix, name, attributes, x);
}

int sap__build_global_avg_pool(sap__build *b, const char *prefix, const char *name, int x) {
  return add_one(b, SAP_OP_GLOBAL_AVG_POOL, prefix, name, none, x);
}

int sap__build_flatten(sap__build *b, const char *prefix, const char *name, int x) {
  return add_one(b, SAP_OP_FLATTEN, prefix, name, none, x);
}

int sap__build_linear(sap__build *b, const char *name, int x, int64_t features) {
  return add_one(b, SAP_OP_LINEAR, "", name, (sap__attributes){.linear = {features, 1}}, x);
}

const char *sap__build_number(char text[16], int number) {
  snprintf(text, 16, "%d", number);
  return text;
}

int64_t sap__build_channels(const sap__build *b, int x) { return b->graph->values[x].shape.dim[0]; }
