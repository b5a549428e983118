#include "graph/graph_json.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "io/json_tree.h"

/* Larger graphs and numbers are refused, so that no product of a few of them overflows. */
enum { NODES_MAX = 4096, NUMBER_MAX = 1 << 20, WINDOW_MAX = 255 };

/* An attribute of an op: whole numbers (one, or a list of several) or one real number. */
typedef struct field {
  sap__op op;
  const char *key;
  size_t offset; /* in sap__attributes */
  int count;     /* whole numbers */
  int64_t least, most;
  enum { LONG, INT, REAL } type;
} field;

#define AT(member) offsetof(sap__attributes, member)
#define POOL_FIELDS(op)                                                                                             \
  {op, "kernel", AT(pool.kernel), 2, 1, WINDOW_MAX, LONG}, {op, "stride", AT(pool.stride), 2, 1, WINDOW_MAX, LONG}, \
      {op, "pad", AT(pool.pad), 4, 0, WINDOW_MAX, LONG}, {op, "ceil", AT(pool.ceil), 1, 0, 1, INT}, {               \
    op, "count_include_pad", AT(pool.count_include_pad), 1, 0, 1, INT                                               \
  }

static const field fields[] = {
    {SAP_OP_LINEAR, "features", AT(linear.features), 1, 1, NUMBER_MAX, LONG},
    {SAP_OP_LINEAR, "bias", AT(linear.bias), 1, 0, 1, INT},
    {SAP_OP_CONV2D, "out_channels", AT(conv2d.out_channels), 1, 1, NUMBER_MAX, LONG},
    {SAP_OP_CONV2D, "kernel", AT(conv2d.kernel), 2, 1, WINDOW_MAX, LONG},
    {SAP_OP_CONV2D, "stride", AT(conv2d.stride), 2, 1, WINDOW_MAX, LONG},
    {SAP_OP_CONV2D, "pad", AT(conv2d.pad), 4, 0, WINDOW_MAX, LONG},
    {SAP_OP_CONV2D, "dilation", AT(conv2d.dilation), 2, 1, WINDOW_MAX, LONG},
    {SAP_OP_CONV2D, "groups", AT(conv2d.groups), 1, 1, NUMBER_MAX, LONG},
    {SAP_OP_CONV2D, "bias", AT(conv2d.bias), 1, 0, 1, INT},
    POOL_FIELDS(SAP_OP_MAX_POOL),
    POOL_FIELDS(SAP_OP_AVG_POOL),
    {SAP_OP_BATCH_NORM, "momentum", AT(batch_norm.momentum), 1, 0, 1, REAL},
    {SAP_OP_BATCH_NORM, "eps", AT(batch_norm.eps), 1, 0, 1, REAL},
    {SAP_OP_DROPOUT, "rate", AT(dropout.rate), 1, 0, 1, REAL},
};
enum { FIELDS = sizeof fields / sizeof fields[0] };

/* ---- writing ---- */

static json_t *number_json(const field *f, const sap__attributes *attributes, int i) {
  const char *at = (const char *)attributes + f->offset;
  if (f->type == REAL) return json_real(*(const double *)(const void *)at);
  if (f->type == INT) return json_integer(((const int *)(const void *)at)[i]);
  return json_integer(((const int64_t *)(const void *)at)[i]);
}

static json_t *node_json(const sap__node *node) {
  json_t *object = json_pack("{s:s, s:s}", "op", sap__op_info_of(node->op)->name, "name", node->name);
  json_t *inputs = json_array();
  for (int i = 0; i < node->input_count; i++) json_array_append_new(inputs, json_integer(node->inputs[i]));
  json_object_set_new(object, "inputs", inputs);
  for (int f = 0; f < FIELDS; f++) {
    if (fields[f].op != node->op) continue;
    json_t *value = fields[f].count == 1 ? number_json(&fields[f], &node->attributes, 0) : json_array();
    for (int i = 0; i < fields[f].count && fields[f].count > 1; i++)
      json_array_append_new(value, number_json(&fields[f], &node->attributes, i));
    json_object_set_new(object, fields[f].key, value);
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

static sap_status read_real(const reader *r, const sap__json *value, const field *f, double *out, sap_error *err) {
  double number = NAN;
  if (sap__json_is(value, SAP__JSON_REAL)) number = value->of.real;
  if (sap__json_is(value, SAP__JSON_INTEGER)) number = (double)value->of.integer;
  *out = number;
  return number >= (double)f->least && number <= (double)f->most ? SAP_OK : wrong(r, f->key, "a number, 0 to 1", err);
}

static sap_status read_field(const reader *r, const sap__json *value, const field *f, sap__attributes *attributes,
                             sap_error *err) {
  char *at = (char *)attributes + f->offset;
  if (f->type == REAL) return read_real(r, value, f, (double *)(void *)at, err);
  if (f->count > 1 && sap__json_length(value) != (size_t)f->count)
    return wrong(r, f->key, "a list, one number a side", err);
  const sap__json *item = f->count > 1 ? value + 1 : value;
  for (int i = 0; i < f->count; i++) {
    int64_t number = 0;
    sap_status status = whole(r, item, f->key, f->least, f->most, &number, err);
    if (status) return status;
    if (f->type == INT)
      ((int *)(void *)at)[i] = (int)number;
    else
      ((int64_t *)(void *)at)[i] = number;
    item = f->count > 1 ? sap__json_next(value, item) : NULL;
  }
  return SAP_OK;
}

/* The op of a name, but for the loss. */
static int find_op(const char *name, sap__op *op) {
  for (int i = 0; name && i < SAP_OP_COUNT; i++) {
    *op = (sap__op)i;
    if (!strcmp(sap__op_info_of(*op)->name, name) && !sap__op_info_of(*op)->is_loss) return 1;
  }
  return 0;
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
  sap__op op;
  r->node = name ? name : "";
  if (!name || !*name || strlen(name) >= SAP__NAME_SIZE - 16) return wrong(r, "name", "a short text", err);
  if (!find_op(sap__json_text(kind), &op)) return wrong(r, "op", "a known one", err);
  int count = sap__op_info_of(op)->inputs, inputs[SAP__MAX_INPUTS], output;
  sap__attributes attributes = {0};
  size_t keys = 3;
  sap_status status = read_inputs(r, sap__json_seek(object, &at, "inputs"), count, inputs, err);
  for (int f = 0; !status && f < FIELDS; f++) {
    if (fields[f].op != op) continue;
    status = read_field(r, sap__json_seek(object, &at, fields[f].key), &fields[f], &attributes, err);
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
    status = whole(r, side, "input", 1, 65535, &shape.dim[shape.rank++], err);
  if (!status) status = whole(r, sap__json_get(root, "classes"), "classes", 1, 65535, &classes, err);
  if (!status && (!sap__json_is(nodes, SAP__JSON_LIST) || nodes->size > NODES_MAX))
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
  sap__json_tree tree;
  reader r = {.file = name, .node = ""};
  sap_status status = sap__json_read(&tree, text, strlen(text), name, "sapwood.graph", err);
  if (status) return status;
  status = read_root(&r, tree.values, err);
  sap__json_free(&tree);
  if (status)
    sap__graph_free(r.graph);
  else
    *graph = r.graph;
  return status;
}
