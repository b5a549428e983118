#include "graph/graph_json.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "graph/graph_fields.h"
#include "graph/graph_plain.h"
#include "io/json_tree.h"

/* ---- writing ---- */

static json_t *number_json(const sap__graph_field *f, const sap__attributes *attributes, int i) {
  const char *at = (const char *)attributes + f->offset;
  if (f->type == SAP__GRAPH_REAL) return json_real(*(const double *)(const void *)at);
  if (f->type == SAP__GRAPH_INT) return json_integer(((const int *)(const void *)at)[i]);
  return json_integer(((const int64_t *)(const void *)at)[i]);
}

static json_t *node_json(const sap__node *node) {
  json_t *object = json_pack("{s:s, s:s}", "op", sap__op_info_of(node->op)->name, "name", node->name);
  json_t *inputs = json_array();
  for (int i = 0; i < node->input_count; i++) json_array_append_new(inputs, json_integer(node->inputs[i]));
  json_object_set_new(object, "inputs", inputs);
  for (int f = 0; f < SAP__GRAPH_FIELDS; f++) {
    if (sap__graph_fields[f].op != node->op) continue;
    json_t *value =
        sap__graph_fields[f].count == 1 ? number_json(&sap__graph_fields[f], &node->attributes, 0) : json_array();
    for (int i = 0; i < sap__graph_fields[f].count && sap__graph_fields[f].count > 1; i++)
      json_array_append_new(value, number_json(&sap__graph_fields[f], &node->attributes, i));
    json_object_set_new(object, sap__graph_fields[f].key, value);
  }
  return object;
}

char *sap__graph_to_json(const sap__graph *graph) {
  json_t *root = json_object(), *input = json_array(), *nodes = json_array();
  const sap__shape *shape = &graph->values[0].shape;
  int logits = 0;
  for (int i = 0; i < shape->rank; i++) json_array_append_new(input, json_integer(shape->dim[i]));
  for (int n = 0; n < graph->node_count; n++) {
    if (sap__op_info_of(graph->nodes[n].op)->is_loss)
      logits = graph->nodes[n].inputs[0];
    else
      json_array_append_new(nodes, node_json(&graph->nodes[n]));
  }
  json_object_set_new(root, "version", json_integer(1));
  json_object_set_new(root, "model", json_string(graph->model));
  json_object_set_new(root, "input", input);
  json_object_set_new(root, "classes", json_integer(graph->classes));
  json_object_set_new(root, "nodes", nodes);
  json_object_set_new(root, "output", json_integer(logits));
  char *text = json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(17));
  json_decref(root);
  return text;
}

/* ---- reading ---- */

/* Where in the text an error is. */
typedef struct reader {
  const char *file, *node;
  sap__graph *graph;
} reader;

static sap_status wrong(const reader *r, const char *key, const char *expected, sap_error *err) {
  return sap__fail(err, SAP_ERROR_FORMAT, "%s: sapwood.graph: %.60s%s%s: expected %s", r->file, r->node,
                   *r->node ? ": " : "", key, expected);
}

/* A whole number of an object in [least, most]. */
static sap_status whole(const reader *r, const sap__json *value, const char *key, int64_t least, int64_t most,
                        int64_t *out, sap_error *err) {
  char expected[64];
  if (sap__json_is(value, SAP__JSON_INTEGER) && value->of.integer >= least && value->of.integer <= most) {
    *out = value->of.integer;
    return SAP_OK;
  }
  snprintf(expected, sizeof expected, "a whole number, %lld to %lld", (long long)least, (long long)most);
  return wrong(r, key, expected, err);
}

static sap_status read_real(const reader *r, const sap__json *value, const sap__graph_field *f, double *out,
                            sap_error *err) {
  double number = NAN;
  if (sap__json_is(value, SAP__JSON_REAL)) number = value->of.real;
  if (sap__json_is(value, SAP__JSON_INTEGER)) number = (double)value->of.integer;
  *out = number;
  return number >= (double)f->least && number <= (double)f->most ? SAP_OK : wrong(r, f->key, "a number, 0 to 1", err);
}

static sap_status read_field(const reader *r, const sap__json *value, const sap__graph_field *f,
                             sap__attributes *attributes, sap_error *err) {
  char *at = (char *)attributes + f->offset;
  if (f->type == SAP__GRAPH_REAL) return read_real(r, value, f, (double *)(void *)at, err);
  if (f->count > 1 && sap__json_length(value) != (size_t)f->count)
    return wrong(r, f->key, "a list, one number a side", err);
  const sap__json *item = f->count > 1 ? value + 1 : value;
  for (int i = 0; i < f->count; i++) {
    int64_t number = 0;
    sap_status status = whole(r, item, f->key, f->least, f->most, &number, err);
    if (status) return status;
    if (f->type == SAP__GRAPH_INT)
      ((int *)(void *)at)[i] = (int)number;
    else
      ((int64_t *)(void *)at)[i] = number;
    item = f->count > 1 ? sap__json_next(value, item) : NULL;
  }
  return SAP_OK;
}

/* The values that a node reads, which are `count`. */
static sap_status read_inputs(const reader *r, const sap__json *list, int count, int *inputs, sap_error *err) {
  if (sap__json_length(list) != (size_t)count) return wrong(r, "inputs", "as many values as the op reads", err);
  for (const sap__json *value = sap__json_first(list); value; value = sap__json_next(list, value)) {
    int64_t number = 0;
    sap_status status = whole(r, value, "inputs", 0, r->graph->value_count - 1, &number, err);
    if (status) return status;
    *inputs++ = (int)number;
  }
  return SAP_OK;
}

static sap_status read_node(reader *r, const sap__json *object, sap_error *err) {
  const sap__json *at = NULL, *kind = sap__json_seek(object, &at, "op");
  const char *name = sap__json_text(sap__json_seek(object, &at, "name"));
  sap__op op = SAP_OP_COUNT;
  r->node = name ? name : "";
  if (!name || !*name || strlen(name) >= SAP__NAME_SIZE - 16) return wrong(r, "name", "a short text", err);
  if (!sap__json_text(kind) || !sap__graph_find_op(kind->of.text, kind->size, &op))
    return wrong(r, "op", "a known one", err);
  int count = sap__op_info_of(op)->inputs, inputs[SAP__MAX_INPUTS], output;
  sap__attributes attributes = {0};
  size_t keys = 3;
  sap_status status = read_inputs(r, sap__json_seek(object, &at, "inputs"), count, inputs, err);
  for (int f = 0; !status && f < SAP__GRAPH_FIELDS; f++) {
    if (sap__graph_fields[f].op != op) continue;
    status =
        read_field(r, sap__json_seek(object, &at, sap__graph_fields[f].key), &sap__graph_fields[f], &attributes, err);
    keys++;
  }
  if (status) return status;
  if (object->size != keys) return wrong(r, "a key", "those of its op and no others", err);
  status = sap__graph_add(r->graph, op, name, attributes, inputs, count, &output, err);
  return status ? sap__fail_prefix(err, status, r->file) : SAP_OK;
}

static sap_status read_root(reader *r, const sap__json *root, sap_error *err) {
  const char *model = sap__json_text(sap__json_get(root, "model"));
  const sap__json *input = sap__json_get(root, "input"), *nodes = sap__json_get(root, "nodes");
  int64_t version = 0, classes = 0, output = 0;
  sap__shape shape = {.rank = 0};
  sap_status status = whole(r, sap__json_get(root, "version"), "version", 1, 1, &version, err);
  if (!status && (!model || strlen(model) >= sizeof r->graph->model)) status = wrong(r, "model", "a short text", err);
  if (!status && sap__json_length(input) != 3) status = wrong(r, "input", "[channels, height, width]", err);
  for (const sap__json *side = status ? NULL : input + 1; side && !status; side = sap__json_next(input, side))
    status = whole(r, side, "input", 1, SAP__GRAPH_SIDE_MAX, &shape.dim[shape.rank++], err);
  if (!status) status = whole(r, sap__json_get(root, "classes"), "classes", 1, SAP__GRAPH_SIDE_MAX, &classes, err);
  if (!status && (!sap__json_is(nodes, SAP__JSON_LIST) || nodes->size > SAP__GRAPH_NODES_MAX))
    status = wrong(r, "nodes", "a list of at most 4096", err);
  if (!status) status = sap__graph_new(model, shape, (int)classes, &r->graph, err);
  if (!status) status = sap__graph_expect(r->graph, nodes->size + 1, err); /* and the loss */
  for (const sap__json *node = status ? NULL : sap__json_first(nodes); node && !status;
       node = sap__json_next(nodes, node))
    status = read_node(r, node, err);
  r->node = "";
  if (!status) status = whole(r, sap__json_get(root, "output"), "output", 0, r->graph->value_count - 1, &output, err);
  if (status) return status;
  status = sap__graph_finish(r->graph, (int)output, err);
  return status ? sap__fail_prefix(err, status, r->file) : SAP_OK;
}

sap_status sap__graph_from_json(const char *text, const char *name, sap__graph **graph, sap_error *err) {
  const size_t size = strlen(text);
  sap__json_tree tree;
  reader r = {.file = name, .node = ""};
  char *copy = sap__alloc(size + SAP__JSON_PADDING, 1);
  if (!copy) return sap__fail_memory(err, size);
  int done = 0;
  sap_status status = sap__graph_from_plain(sap__json_copy(copy, text, size), size, &r.graph, &done, err);
  if (!status && !done) {
    status = sap__json_read(&tree, copy, size, name, "sapwood.graph", err);
    done = status != SAP_OK;
  }
  if (!status && !done) {
    status = read_root(&r, tree.values, err);
    sap__json_free(&tree);
  }
  sap__free(copy);
  if (status)
    sap__graph_free(r.graph);
  else
    *graph = r.graph;
  return status;
}
