#include "graph/graph.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"

#define SAP__OP_DECLARE(constant, name) extern const sap__op_info sap__op_##name;
SAP__OP_LIST(SAP__OP_DECLARE)
#undef SAP__OP_DECLARE

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

void sap__shape_text(const sap__shape *shape, char *text, size_t size) {
  size_t used = (size_t)snprintf(text, size, "(");
  for (int i = 0; i < shape->rank && used < size; i++)
    used += (size_t)snprintf(text + used, size - used, "%s%lld", i ? ", " : "", (long long)shape->dim[i]);
  if (used < size) snprintf(text + used, size - used, ")");
}

static sap_status no_memory(sap_error *err) { return sap__fail(err, SAP_ERROR_MEMORY, "no memory for the graph"); }

sap_status sap__graph_new(const char *model, sap__shape input, int classes, sap__graph **out, sap_error *err) {
  sap__graph *graph = sap__calloc(1, sizeof *graph);
  if (!graph || !sap__grow(&graph->values, 0, sizeof *graph->values)) {
    sap__graph_free(graph);
    return no_memory(err);
  }
  snprintf(graph->model, sizeof graph->model, "%s", model);
  graph->classes = classes;
  graph->values[0] = (sap__value){input, -1};
  graph->value_count = 1;
  *out = graph;
  return SAP_OK;
}

void sap__graph_free(sap__graph *graph) {
  if (!graph) return;
  sap__free(graph->values);
  sap__free(graph->nodes);
  sap__free(graph->params);
  sap__free(graph);
}

sap_status sap__graph_add(sap__graph *graph, sap__op op, const char *name, sap__attributes attributes, int input,
                          int *output, sap_error *err) {
  if (!sap__grow(&graph->nodes, (size_t)graph->node_count, sizeof *graph->nodes) ||
      !sap__grow(&graph->values, (size_t)graph->value_count, sizeof *graph->values))
    return no_memory(err);
  sap__node *node = &graph->nodes[graph->node_count];
  *node = (sap__node){.op = op, .attributes = attributes, .inputs = {input}, .input_count = 1};
  snprintf(node->name, sizeof node->name, "%s", name);
  node->output = graph->value_count;
  sap__value value = {.producer = graph->node_count};
  sap_status status = infos[op]->infer(graph, node, &graph->values[input].shape, &value.shape, err);
  if (status) return sap__fail_prefix(err, status, name);
  graph->values[graph->value_count++] = value;
  graph->node_count++;
  *output = node->output;
  return SAP_OK;
}

sap_status sap__graph_add_param(sap__graph *graph, sap__node *node, const char *suffix, sap__shape shape,
                                sap__init init, int64_t fan, sap_error *err) {
  if (!sap__grow(&graph->params, (size_t)graph->param_count, sizeof *graph->params)) return no_memory(err);
  sap__param *param = &graph->params[graph->param_count];
  *param = (sap__param){.shape = shape, .init = init, .fan = fan, .offset = graph->arena_count};
  snprintf(param->name, sizeof param->name, "%.80s.%s", node->name, suffix);
  param->count = (uint64_t)sap__shape_count(&shape);
  param->prunable = !strcmp(suffix, "weight") && shape.rank >= 2;
  uint64_t alignment = SAP__PARAM_ALIGNMENT;
  graph->arena_count += (param->count + alignment - 1) / alignment * alignment;
  node->params[node->param_count++] = graph->param_count++;
  return SAP_OK;
}

const sap__param *sap__graph_find_param(const sap__graph *graph, const char *name) {
  for (int i = 0; i < graph->param_count; i++)
    if (!strcmp(graph->params[i].name, name)) return &graph->params[i];
  return NULL;
}
