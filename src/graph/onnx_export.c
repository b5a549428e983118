/* A graph as a model in ONNX, for inference: every op in the form that opset 17 has. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "graph/onnx_source.h"
#include "io/onnx_new.h"

/* How an op is called, and its attributes; NULL: it has none. */
typedef struct form {
  const char *name;
  void (*attributes)(sap__onnx_message *node, const sap__attributes *a);
} form;

static void conv2d(sap__onnx_message *node, const sap__attributes *a) {
  const sap__conv2d *c = &a->conv2d;
  sap__onnx_add_attribute_ints(node, "kernel_shape", c->kernel, 2);
  sap__onnx_add_attribute_ints(node, "strides", c->stride, 2);
  sap__onnx_add_attribute_ints(node, "pads", c->pad, 4);
  sap__onnx_add_attribute_ints(node, "dilations", c->dilation, 2);
  sap__onnx_add_attribute_int(node, "group", c->groups);
}

static void pool(sap__onnx_message *node, const sap__attributes *a) {
  const sap__pool *p = &a->pool;
  sap__onnx_add_attribute_ints(node, "kernel_shape", p->kernel, 2);
  sap__onnx_add_attribute_ints(node, "strides", p->stride, 2);
  sap__onnx_add_attribute_ints(node, "pads", p->pad, 4);
  sap__onnx_add_attribute_int(node, "ceil_mode", p->ceil);
}

static void average_pool(sap__onnx_message *node, const sap__attributes *a) {
  pool(node, a);
  sap__onnx_add_attribute_int(node, "count_include_pad", a->pool.count_include_pad);
}

static void batch_norm(sap__onnx_message *node, const sap__attributes *a) {
  sap__onnx_add_attribute_float(node, "epsilon", (float)a->batch_norm.eps);
  sap__onnx_add_attribute_float(node, "momentum", (float)(1 - a->batch_norm.momentum));
}

static void linear(sap__onnx_message *node, const sap__attributes *a) {
  (void)a;
  sap__onnx_add_attribute_int(node, "transB", 1);
}

static const form forms[SAP_OP_COUNT] = {
    [SAP_OP_FLATTEN] = {"Flatten", NULL},
    [SAP_OP_LINEAR] = {"Gemm", linear},
    [SAP_OP_CONV2D] = {"Conv", conv2d},
    [SAP_OP_BATCH_NORM] = {"BatchNormalization", batch_norm},
    [SAP_OP_RELU] = {"Relu", NULL},
    [SAP_OP_SIGMOID] = {"Sigmoid", NULL},
    [SAP_OP_DROPOUT] = {"Dropout", NULL},
    [SAP_OP_MAX_POOL] = {"MaxPool", pool},
    [SAP_OP_AVG_POOL] = {"AveragePool", average_pool},
    [SAP_OP_GLOBAL_AVG_POOL] = {"GlobalAveragePool", NULL},
    [SAP_OP_ADD] = {"Add", NULL},
};

/* Values are called as the nodes that make them. */
static const char *value_name(const sap__graph *graph, int value) {
  const sap__node *loss = &graph->nodes[graph->node_count - 1];
  if (value == loss->inputs[0]) return "output";
  int producer = graph->values[value].producer;
  return producer < 0 ? "input" : graph->nodes[producer].name;
}

static sap_tensor describe(const char *name, const sap__shape *shape, const float *data) {
  uint64_t count = (uint64_t)sap__shape_count(shape);
  sap_tensor tensor = {
      .name = name, .dtype = SAP_F32, .rank = shape->rank, .count = count, .bytes = count * sizeof *data, .data = data};
  for (int i = 0; i < shape->rank; i++) tensor.shape[i] = (uint64_t)shape->dim[i];
  return tensor;
}

/* Room for what the initializers need besides the arena: the ratios of dropouts. */
typedef struct ratio {
  char name[SAP__NAME_SIZE + 8];
  float value;
} ratio;

static void add_node(const sap__graph *graph, const sap__node *node, ratio *dropout, sap__onnx_message *out) {
  sap__onnx_message message = {0};
  for (int i = 0; i < node->input_count; i++) sap__onnx_add_input(&message, value_name(graph, node->inputs[i]));
  for (int i = 0; i < node->param_count; i++) sap__onnx_add_input(&message, graph->params[node->params[i]].name);
  if (node->op == SAP_OP_DROPOUT) {
    snprintf(dropout->name, sizeof dropout->name, "%s.ratio", node->name);
    dropout->value = (float)node->attributes.dropout.rate;
    sap__onnx_add_input(&message, dropout->name);
  }
  const form *f = &forms[node->op];
  if (f->attributes) f->attributes(&message, &node->attributes);
  sap__onnx_add_node(out, &message, f->name, node->name, value_name(graph, node->output));
}

static sap_status write_new(const sap__graph *graph, const float *weights, const char *path, sap_error *err) {
  size_t nodes = (size_t)graph->node_count - 1, params = (size_t)graph->param_count; /* all but the loss */
  sap_tensor *tensors = sap__calloc(params + nodes, sizeof *tensors);
  ratio *ratios = sap__calloc(nodes, sizeof *ratios);
  sap__onnx_message message = {0};
  if (!tensors || !ratios) {
    sap__free(tensors);
    sap__free(ratios);
    return sap__fail_memory(err, (params + nodes) * sizeof *tensors);
  }
  size_t count = 0;
  for (size_t p = 0; p < params; p++, count++)
    tensors[count] = describe(graph->params[p].name, &graph->params[p].shape, weights + graph->params[p].offset);
  for (size_t n = 0; n < nodes; n++) {
    add_node(graph, &graph->nodes[n], &ratios[n], &message);
    if (*ratios[n].name) tensors[count++] = describe(ratios[n].name, &(sap__shape){0}, &ratios[n].value);
  }
  int logits = graph->nodes[nodes].inputs[0];
  const sap__shape *in = &graph->values[0].shape, *out = &graph->values[logits].shape;
  sap__onnx_add_value(&message, 0, "input", in->dim, in->rank);
  sap__onnx_add_value(&message, 1, "output", out->dim, out->rank);
  sap_status status = sap__onnx_write_new(path, graph->model, &message, tensors, count, err);
  sap__onnx_message_free(&message);
  sap__free(ratios);
  sap__free(tensors);
  return status;
}

sap_status sap__onnx_rebase(sap__graph *graph, const char *path, sap_error *err) {
  sap__onnx_source *source = graph->source;
  char *copy = sap__strdup(path);
  if (!copy) return sap__fail_memory(err, strlen(path));
  sap__free(source->path);
  source->path = copy;
  for (int p = 0; source->shared && p < source->binding_count; p++) { /* it was written anew */
    char *name = sap__strdup(graph->params[p].name);
    if (!name) return sap__fail_memory(err, SAP__NAME_SIZE);
    sap__free(source->bindings[p].tensor);
    source->bindings[p] = (sap__onnx_binding){name, 0};
  }
  source->shared = 0;
  return SAP_OK;
}

sap_status sap__onnx_export(const sap__graph *graph, const float *weights, const char *path, sap_error *err) {
  const sap__onnx_source *source = graph->source;
  return (source && !source->shared ? sap__onnx_write_back : write_new)(graph, weights, path, err);
}
