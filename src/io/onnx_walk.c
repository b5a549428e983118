/* The way through a model to its tensors: graphs, their nodes, the nodes' attributes, and graphs again. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "io/file.h"
#include "io/onnx.h"

enum {
  GRAPHS_DEEP = 32,             /* graphs inside graphs */
  LEVELS = 3 * GRAPHS_DEEP + 1, /* a graph, its node, the node's attribute, a graph, … */
  PREFIX = 512,                 /* bytes before a name */
  NODE_SHOWN = 96,              /* bytes of a node's name in a prefix; a longer one is replaced by its position */
};

typedef enum place { IN_GRAPH, IN_FUNCTION, IN_NODE, IN_ATTRIBUTE } place;

/* A message that the walk is inside of. */
typedef struct level {
  place kind;
  sap__wire wire;
  sap__field field;  /* the one that holds it */
  uint32_t span;     /* SAP__ONNX_NONE: not recorded yet */
  size_t prefix;     /* bytes of the prefix that belong to the levels above */
  uint64_t children; /* of a graph: nodes so far; of an attribute: graphs so far */
  sap__slice name;   /* of a node or an attribute */
  sap__slice output; /* of a Constant node; empty for others */
} level;

typedef struct walk {
  sap_checkpoint *checkpoint;
  sap__onnx_model *model;
  size_t depth;
  level levels[LEVELS];
  char prefix[PREFIX];
} walk;

sap_status sap__onnx_fail_at(const sap_checkpoint *checkpoint, uint64_t byte, const char *what, sap_error *err) {
  return sap__fail(err, SAP_ERROR_FORMAT, "%s: byte %llu: %s", sap__path_tail(checkpoint->path),
                   (unsigned long long)byte, what);
}

/* Records the messages around the tensors of levels[at], outermost first. */
static sap_status record_spans(walk *w, size_t at, sap_error *err) {
  size_t first = at + 1;
  while (first && w->levels[first - 1].span == SAP__ONNX_NONE) first--;
  for (size_t i = first; i <= at; i++) {
    sap__onnx_model *model = w->model;
    if (!sap__grow(&model->spans, model->span_count, sizeof *model->spans))
      return sap__fail_memory(err, sizeof *model->spans);
    const sap__field *field = &w->levels[i].field;
    w->levels[i].span = (uint32_t)model->span_count;
    model->spans[model->span_count++] =
        (sap__onnx_span){field->length, field->begin, field->end, i ? w->levels[i - 1].span : SAP__ONNX_NONE};
  }
  return SAP_OK;
}

static int text_is(const sap__wire *wire, const sap__field *field, const char *text) {
  size_t size = strlen(text);
  return field->end - field->begin == size && !memcmp(wire->bytes + field->begin, text, size);
}

/* What must be known of a node or an attribute before its fields are visited, in whatever order they come. */
static int look_ahead(level *now) {
  sap__wire wire = now->wire;
  sap__field field;
  sap__slice output = {0, 0};
  int more, outputs = 0, constant = 0, standard = 1;
  while ((more = sap__wire_next(&wire, &field)) > 0) {
    if (field.type != WIRE_BYTES) continue;
    sap__slice contents = {field.begin, field.end};
    if (now->kind == IN_ATTRIBUTE) {
      if (field.number == ATTRIBUTE_NAME) now->name = contents;
      continue;
    }
    if (field.number == NODE_NAME) now->name = contents;
    if (field.number == NODE_OUTPUT && !outputs++) output = contents;
    if (field.number == NODE_OPERATOR) constant = text_is(&wire, &field, "Constant");
    if (field.number == NODE_DOMAIN) standard = field.begin == field.end || text_is(&wire, &field, "ai.onnx");
  }
  if (constant && standard && outputs == 1) now->output = output;
  return more == 0;
}

static sap_status push(walk *w, place kind, const sap__field *field, sap_error *err) {
  sap__wire wire = {w->checkpoint->maps[0].bytes, field->begin, field->end};
  if (field->type != WIRE_BYTES) return sap__onnx_fail_at(w->checkpoint, field->start, "expected a message", err);
  if (w->depth == LEVELS)
    return sap__fail(err, SAP_ERROR_UNSUPPORTED, "%s: byte %llu: more than %d graphs inside each other",
                     sap__path_tail(w->checkpoint->path), (unsigned long long)field->start, GRAPHS_DEEP);
  level *now = &w->levels[w->depth++];
  *now = (level){.kind = kind, .wire = wire, .field = *field, .span = SAP__ONNX_NONE, .prefix = strlen(w->prefix)};
  if ((kind == IN_NODE || kind == IN_ATTRIBUTE) && !look_ahead(now))
    return sap__onnx_fail_at(w->checkpoint, field->begin, "a malformed node", err);
  return SAP_OK;
}

/* Enters a graph that the attribute at the top holds: "NODE/ATTRIBUTE/" joins the prefix. A node without a name is
 * called by its position in its graph, "#3"; a second graph of one attribute likewise. */
static sap_status push_graph(walk *w, const sap__field *field, sap_error *err) {
  level *attribute = &w->levels[w->depth - 1];
  const level *node = attribute - 1, *graph = attribute - 2;
  const char *bytes = (const char *)attribute->wire.bytes;
  int node_size = (int)(sap__slice_size(node->name) <= NODE_SHOWN ? sap__slice_size(node->name) : 0);
  int name_size = (int)(sap__slice_size(attribute->name) <= NODE_SHOWN ? sap__slice_size(attribute->name) : 0);
  char position[32] = "", which[32] = "";
  if (!node_size) snprintf(position, sizeof position, "#%llu", (unsigned long long)graph->children - 1);
  if (attribute->children++) snprintf(which, sizeof which, "#%llu", (unsigned long long)attribute->children - 1);
  size_t used = strlen(w->prefix);
  sap_status status = push(w, IN_GRAPH, field, err);
  if (status) return status;
  int added = snprintf(w->prefix + used, PREFIX - used, "%.*s%s/%.*s%s/", node_size, bytes + node->name.begin, position,
                       name_size, bytes + attribute->name.begin, which);
  if (added >= 0 && (size_t)added < PREFIX - used) return SAP_OK;
  return sap__fail(err, SAP_ERROR_UNSUPPORTED, "%s: byte %llu: the names of nodes around this graph exceed %d bytes",
                   sap__path_tail(w->checkpoint->path), (unsigned long long)field->start, PREFIX);
}

/* A tensor in levels[holder], seen from the top; whole: the field that is replaced when its form changes. */
static sap_status found(walk *w, size_t holder, const sap__field *whole, const sap__field *field, sap__slice name,
                        int sparse, int constant, sap_error *err) {
  if (field->type != WIRE_BYTES) return sap__onnx_fail_at(w->checkpoint, field->start, "expected a tensor", err);
  sap__onnx_tensor tensor = {
      .start = whole->start,
      .end = whole->end,
      .message = {w->checkpoint->maps[0].bytes, field->begin, field->end},
      .number = whole->number,
      .entry = SAP__ONNX_NONE,
      .sparse = (uint8_t)sparse,
      .constant = (uint8_t)constant,
  };
  size_t before = w->model->tensor_count;
  sap_status status = sap__onnx_add(w->checkpoint, &tensor, w->prefix, name, err);
  if (status || w->model->tensor_count == before) return status;
  status = record_spans(w, holder, err);
  w->model->tensors[before].span = w->levels[holder].span;
  return status;
}

static sap_status in_attribute(walk *w, const sap__field *field, sap_error *err) {
  const level *attribute = &w->levels[w->depth - 1], *node = attribute - 1;
  sap__field name = {.begin = attribute->name.begin, .end = attribute->name.end};
  int constant = sap__slice_size(node->output) > 0;
  sap__slice nameless = {0, 0};
  switch (field->number) {
    case ATTRIBUTE_GRAPH:
    case ATTRIBUTE_GRAPHS: return push_graph(w, field, err);
    case ATTRIBUTE_TENSOR:
      if (constant && text_is(&attribute->wire, &name, "value"))
        return found(w, w->depth - 2, &attribute->field, field, node->output, 0, 1, err);
      return found(w, w->depth - 1, field, field, nameless, 0, 0, err);
    case ATTRIBUTE_TENSORS: return found(w, w->depth - 1, field, field, nameless, 0, 0, err);
    case ATTRIBUTE_SPARSE:
      if (constant && text_is(&attribute->wire, &name, "sparse_value"))
        return found(w, w->depth - 2, &attribute->field, field, node->output, 1, 1, err);
      return SAP_OK;
    default: return SAP_OK;
  }
}

/* The name of a tensor: its field of that number. */
static sap__slice name_in(sap__wire message, uint32_t number) {
  sap__field field;
  while (sap__wire_next(&message, &field) > 0)
    if (field.number == number && field.type == WIRE_BYTES) return (sap__slice){field.begin, field.end};
  return (sap__slice){0, 0};
}

static sap_status in_graph(walk *w, const sap__field *field, sap_error *err) {
  level *graph = &w->levels[w->depth - 1];
  sap__wire message = sap__wire_inside(&graph->wire, field);
  if (field->number == (graph->kind == IN_GRAPH ? (uint32_t)GRAPH_NODE : (uint32_t)FUNCTION_NODE)) {
    graph->children++;
    return push(w, IN_NODE, field, err);
  }
  if (graph->kind != IN_GRAPH) return SAP_OK;
  if (field->number == GRAPH_INITIALIZER)
    return found(w, w->depth - 1, field, field, name_in(message, TENSOR_NAME), 0, 0, err);
  if (field->number != GRAPH_SPARSE_INITIALIZER) return SAP_OK;
  sap__slice values = name_in(message, SPARSE_VALUES);
  message.at = values.begin;
  message.end = values.end;
  return found(w, w->depth - 1, field, field, name_in(message, TENSOR_NAME), 1, 0, err);
}

static sap_status step(walk *w, const sap__field *field, sap_error *err) {
  switch (w->levels[w->depth - 1].kind) {
    case IN_NODE: return field->number == NODE_ATTRIBUTE ? push(w, IN_ATTRIBUTE, field, err) : SAP_OK;
    case IN_ATTRIBUTE: return in_attribute(w, field, err);
    default: return in_graph(w, field, err);
  }
}

sap_status sap__onnx_walk(sap_checkpoint *checkpoint, const sap__field *field, sap_error *err) {
  walk *w = sap__alloc(1, sizeof *w);
  if (!w) return sap__fail_memory(err, sizeof *w);
  w->checkpoint = checkpoint;
  w->model = checkpoint->own;
  w->depth = 0;
  snprintf(w->prefix, sizeof w->prefix, "%s", field->number == MODEL_FUNCTION ? "function/" : "");
  sap_status status = push(w, field->number == MODEL_FUNCTION ? IN_FUNCTION : IN_GRAPH, field, err);
  while (!status && w->depth) {
    level *top = &w->levels[w->depth - 1];
    sap__field next;
    int more = sap__wire_next(&top->wire, &next);
    if (more < 0) {
      status = sap__onnx_fail_at(checkpoint, top->wire.at, "a malformed field", err);
    } else if (more) {
      status = step(w, &next, err);
    } else {
      w->prefix[top->prefix] = 0;
      w->depth--;
    }
  }
  sap__free(w);
  return status;
}
