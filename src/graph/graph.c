#include "graph/graph.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "graph/onnx.h"

#define SAP__OP_DECLARE(constant, name) extern const sap__op_info sap__op_##name;
SAP__OP_LIST(SAP__OP_DECLARE)
#undef SAP__OP_DECLARE

enum { PREFIX_MAX = 80 }; /* bytes of a node's name in those of its parameters */

static const sap__op_info *const infos[SAP_OP_COUNT] = {
#define SAP__OP_ROW(constant, name) [constant] = &sap__op_##name,
    SAP__OP_LIST(SAP__OP_ROW)
#undef SAP__OP_ROW
};

const sap__op_info *sap__op_info_of(sap__op op) { return infos[op]; }

int64_t sap__shape_count(const sap__shape *shape) {
  int64_t count = 1;
  for (int i = 0; i < shape->rank; i++) count *= shape->dim[i];
  return count;
}

/* 1 if all lengths are positive and their product is at most `limit`. */
static int shape_fits(const sap__shape *shape, int64_t limit) {
  int64_t count = 1;
  for (int i = 0; i < shape->rank; i++) {
    if (shape->dim[i] < 1 || shape->dim[i] > limit / count) return 0;
    count *= shape->dim[i];
  }
  return 1;
}

void sap__shape_text(const sap__shape *shape, char *text, size_t size) {
  size_t used = (size_t)snprintf(text, size, "(");
  for (int i = 0; i < shape->rank && used < size; i++)
    used += (size_t)snprintf(text + used, size - used, "%s%lld", i ? ", " : "", (long long)shape->dim[i]);
  if (used < size) snprintf(text + used, size - used, ")");
}

/* "FIRST", or "FIRST.SECOND", of the first at most `most` bytes. Cut where the name ends. */
static void set_name(char name[SAP__NAME_SIZE], const char *first, size_t most, const char *second) {
  size_t length = strnlen(first, most < SAP__NAME_SIZE ? most : SAP__NAME_SIZE - 1);
  memcpy(name, first, length);
  if (second) {
    const size_t tail = strnlen(second, SAP__NAME_SIZE - 2 - length);
    name[length++] = '.';
    memcpy(name + length, second, tail);
    length += tail;
  }
  name[length] = 0;
}

static sap_status no_memory(sap_error *err) { return sap__fail(err, SAP_ERROR_MEMORY, "no memory for the graph"); }

static sap_status too_large(const char *what, const sap__shape *shape, sap_error *err) {
  char text[128];
  sap__shape_text(shape, text, sizeof text);
  return sap__fail(err, SAP_ERROR_MISMATCH, "%s %s: expected 1 to %d elements", what, text, INT32_MAX);
}

sap_status sap__graph_new(const char *model, sap__shape input, int classes, sap__graph **out, sap_error *err) {
  if (!shape_fits(&input, INT32_MAX)) return too_large("pictures", &input, err);
  sap__graph *graph = sap__calloc(1, sizeof *graph);
  if (!graph || !sap__make_room(&graph->values, &graph->value_room, 1, sizeof *graph->values)) {
    sap__graph_free(graph);
    return no_memory(err);
  }
  snprintf(graph->model, sizeof graph->model, "%s", model);
  graph->classes = classes;
  graph->values[0] = (sap__value){.shape = input, .producer = -1};
  graph->value_count = 1;
  *out = graph;
  return SAP_OK;
}

void sap__graph_free(sap__graph *graph) {
  if (!graph) return;
  sap__free(graph->values);
  sap__free(graph->nodes);
  sap__free(graph->params);
  sap__onnx_source_free(graph->source);
  sap__free(graph);
}

/* For so many more nodes, and their values, and parameters. */
static int room_for(sap__graph *graph, size_t nodes, size_t params) {
  const size_t node_count = (size_t)graph->node_count, value_count = (size_t)graph->value_count;
  const size_t param_count = (size_t)graph->param_count;
  return sap__make_room(&graph->nodes, &graph->node_room, node_count + nodes, sizeof *graph->nodes) &&
         sap__make_room(&graph->values, &graph->value_room, value_count + nodes, sizeof *graph->values) &&
         sap__make_room(&graph->params, &graph->param_room, param_count + params, sizeof *graph->params);
}

sap_status sap__graph_expect(sap__graph *graph, size_t nodes, sap_error *err) {
  return room_for(graph, nodes, 2 * nodes) ? SAP_OK : no_memory(err); /* most have fewer parameters */
}

sap_status sap__graph_add(sap__graph *graph, sap__op op, const char *name, sap__attributes attributes,
                          const int *inputs, int input_count, int *output, sap_error *err) {
  if (!room_for(graph, 1, 0)) return no_memory(err);
  if (input_count != infos[op]->inputs)
    return sap__fail(err, SAP_ERROR_MISMATCH, "%.80s: %s: %d inputs, expected %d", name, infos[op]->name, input_count,
                     infos[op]->inputs);
  sap__node *node = &graph->nodes[graph->node_count];
  node->op = op;
  node->attributes = attributes;
  node->input_count = input_count;
  node->output = graph->value_count;
  node->param_count = 0;
  memset(node->inputs, 0, sizeof node->inputs);
  memset(node->params, 0, sizeof node->params);
  set_name(node->name, name, SAP__NAME_SIZE, NULL);
  sap__shape shapes[SAP__MAX_INPUTS];
  for (int i = 0; i < input_count; i++) {
    node->inputs[i] = inputs[i];
    shapes[i] = graph->values[inputs[i]].shape;
  }
  sap__value value = {.producer = graph->node_count};
  sap_status status = infos[op]->infer(graph, node, shapes, &value.shape, err);
  if (!status && !shape_fits(&value.shape, INT32_MAX)) status = too_large("an output", &value.shape, err);
  if (status) return sap__fail_prefix(err, status, name);
  for (int i = 0; i < input_count; i++) {
    graph->values[inputs[i]].readers++;
    graph->values[inputs[i]].reader = graph->node_count;
  }
  graph->values[graph->value_count++] = value;
  graph->node_count++;
  *output = node->output;
  return SAP_OK;
}

/* A parameter in its place; a copy on the way would cost more than all the rest. */
static sap_status add_param(sap__graph *graph, sap__node *node, const char *suffix, const sap__shape *shape,
                            sap__init init, int64_t fan, int trained, sap_error *err) {
  if (!shape_fits(shape, INT32_MAX)) return too_large(suffix, shape, err);
  if (!sap__make_room(&graph->params, &graph->param_room, (size_t)graph->param_count + 1, sizeof *graph->params))
    return no_memory(err);
  sap__param *param = &graph->params[graph->param_count];
  set_name(param->name, node->name, PREFIX_MAX, suffix);
  param->shape = *shape;
  param->count = (uint64_t)sap__shape_count(shape);
  param->offset = 0;
  param->init = init;
  param->fan = fan;
  param->trained = trained;
  param->prunable = trained && shape->rank >= 2 && !strcmp(suffix, "weight");
  node->params[node->param_count++] = graph->param_count++;
  return SAP_OK;
}

sap_status sap__graph_add_param(sap__graph *graph, sap__node *node, const char *suffix, sap__shape shape,
                                sap__init init, int64_t fan, sap_error *err) {
  return add_param(graph, node, suffix, &shape, init, fan, 1, err);
}

sap_status sap__graph_add_buffer(sap__graph *graph, sap__node *node, const char *suffix, sap__shape shape,
                                 sap__init init, sap_error *err) {
  return add_param(graph, node, suffix, &shape, init, 1, 0, err);
}

/* Lays the parameters that are trained, or those that are not, one after the other from `offset`; returns the end. */
static uint64_t place_params(sap__graph *graph, int trained, uint64_t offset) {
  const uint64_t alignment = SAP__PARAM_ALIGNMENT;
  for (int i = 0; i < graph->param_count; i++) {
    sap__param *param = &graph->params[i];
    if (param->trained != trained) continue;
    param->offset = offset;
    offset += (param->count + alignment - 1) / alignment * alignment;
  }
  return offset;
}

/* A value that nobody reads has no gradient; its node does nothing for the loss. */
static sap_status check_values_read(const sap__graph *graph, sap_error *err) {
  const sap__node *loss = &graph->nodes[graph->node_count - 1];
  for (int v = 0; v < graph->value_count; v++) {
    if (!graph->values[v].readers && v != loss->output)
      return sap__fail(err, SAP_ERROR_MISMATCH, "%s: nobody reads its output",
                       graph->values[v].producer < 0 ? "input" : graph->nodes[graph->values[v].producer].name);
  }
  return SAP_OK;
}

sap_status sap__graph_finish(sap__graph *graph, int logits, sap_error *err) {
  int loss;
  const sap__attributes none = {0};
  sap_status status = sap__graph_add(graph, SAP_OP_CROSS_ENTROPY, "loss", none, &logits, 1, &loss, err);
  if (!status) status = check_values_read(graph, err);
  if (status) return status;
  graph->trained_count = place_params(graph, 1, 0);
  graph->arena_count = place_params(graph, 0, graph->trained_count);
  return SAP_OK;
}

const sap__param *sap__graph_find_param(const sap__graph *graph, const char *name) {
  for (int i = 0; i < graph->param_count; i++)
    if (!strcmp(graph->params[i].name, name)) return &graph->params[i];
  return NULL;
}
