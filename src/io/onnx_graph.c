#include "io/onnx_graph.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "io/file.h"
#include "io/onnx.h"

enum { GRAPH_INPUT = 11, GRAPH_OUTPUT = 12 };
enum { NODE_INPUT = 1 };
enum { VALUE_NAME = 1, VALUE_TYPE = 2, TYPE_TENSOR = 1, TENSOR_SHAPE = 2, SHAPE_DIM = 1, DIM_VALUE = 1 };
enum { ATTRIBUTE_FLOAT = 2, ATTRIBUTE_INT = 3, ATTRIBUTE_TEXT = 4, ATTRIBUTE_INTS = 8 };

/* The graph is gone through twice: to count, while nothing has been taken yet, and to fill in. */
typedef struct reader {
  const sap_checkpoint *checkpoint;
  sap__onnx_graph *graph;
  size_t text_size, name_count;
} reader;

static sap_status malformed(const reader *r, uint64_t at, sap_error *err) {
  return sap__onnx_fail_at(r->checkpoint, at, "a malformed node or value", err);
}

/* A copy of the field's text; "" while counting. */
static sap_status keep_text(reader *r, const sap__wire *wire, const sap__field *field, const char **text,
                            sap_error *err) {
  *text = "";
  if (field->type != WIRE_BYTES) return malformed(r, field->start, err);
  size_t size = (size_t)(field->end - field->begin), at = r->text_size;
  r->text_size += size + 1;
  if (!r->graph->text) return SAP_OK;
  char *copy = r->graph->text + at;
  if (size) memcpy(copy, wire->bytes + field->begin, size);
  copy[size] = 0;
  *text = copy;
  if (strlen(copy) == size && sap__utf8_valid(copy)) return SAP_OK;
  return sap__onnx_fail_at(r->checkpoint, field->start, "a name that is not UTF-8 text", err);
}

static sap_status read_node(reader *r, sap__wire wire, sap__onnx_node *node, sap_error *err) {
  sap__onnx_node made = {.name = "", .op = "", .domain = "", .message = wire};
  const char **names = r->graph->names ? r->graph->names + r->name_count : NULL, *text;
  sap__field field;
  int more;
  sap_status status = SAP_OK;
  /* Inputs and outputs may come mixed: first one kind, then the other. */
  for (uint32_t kind = NODE_INPUT; kind <= NODE_OUTPUT; kind++) {
    size_t *count = kind == NODE_INPUT ? &made.input_count : &made.output_count;
    if (names) *(kind == NODE_INPUT ? &made.inputs : &made.outputs) = names + made.input_count;
    for (sap__wire walk = wire; !status && (more = sap__wire_next(&walk, &field)) != 0;) {
      if (more < 0) return malformed(r, walk.at, err);
      if (field.number != kind) continue;
      status = keep_text(r, &walk, &field, &text, err);
      if (names) names[made.input_count + made.output_count] = text;
      ++*count;
    }
  }
  r->name_count += made.input_count + made.output_count;
  while (!status && sap__wire_next(&wire, &field) > 0) {
    if (field.number == NODE_NAME) status = keep_text(r, &wire, &field, &made.name, err);
    if (field.number == NODE_OPERATOR) status = keep_text(r, &wire, &field, &made.op, err);
    if (field.number == NODE_DOMAIN) status = keep_text(r, &wire, &field, &made.domain, err);
  }
  if (node) *node = made;
  return status;
}

/* The message of the last field of that number; 0 if there is none. */
static int enter(sap__wire *wire, uint32_t number) {
  sap__wire walk = *wire;
  sap__field field;
  int found = 0;
  while (sap__wire_next(&walk, &field) > 0)
    if (field.number == number && field.type == WIRE_BYTES) {
      *wire = sap__wire_inside(&walk, &field);
      found = 1;
    }
  return found;
}

/* The lengths of a TensorShapeProto; 0: too many of them. */
static int read_shape(sap__wire shape, sap__onnx_value *value) {
  sap__field dim, field;
  value->rank = 0;
  while (sap__wire_next(&shape, &dim) > 0) {
    if (dim.number != SHAPE_DIM || dim.type != WIRE_BYTES) continue;
    if (value->rank == SAP__ONNX_MAX_AXES) return 0;
    int64_t length = -1;
    for (sap__wire inside = sap__wire_inside(&shape, &dim); sap__wire_next(&inside, &field) > 0;)
      if (field.number == DIM_VALUE && field.type == WIRE_VARINT && field.value <= INT64_MAX)
        length = (int64_t)field.value;
    value->dim[value->rank++] = length;
  }
  return 1;
}

static sap_status read_value(reader *r, sap__wire wire, sap__onnx_value *value, sap_error *err) {
  sap__onnx_value made = {.name = "", .rank = -1};
  sap__field field;
  sap__wire walk = wire;
  sap_status status = SAP_OK;
  int more;
  while (!status && (more = sap__wire_next(&walk, &field)) != 0) {
    if (more < 0) return malformed(r, walk.at, err);
    if (field.number == VALUE_NAME) status = keep_text(r, &walk, &field, &made.name, err);
  }
  if (!status && enter(&wire, VALUE_TYPE) && enter(&wire, TYPE_TENSOR) && enter(&wire, TENSOR_SHAPE) &&
      !read_shape(wire, &made))
    return sap__fail(err, SAP_ERROR_UNSUPPORTED, "%s: %.60s: more than %d axes", sap__path_tail(r->checkpoint->path),
                     made.name, SAP__ONNX_MAX_AXES);
  if (value) *value = made;
  return status;
}

/* Once through the graph: counts, and fills in what has been taken. */
static sap_status read_all(reader *r, sap__wire wire, sap_error *err) {
  sap__onnx_graph *graph = r->graph;
  size_t nodes = 0, inputs = 0, outputs = 0;
  r->text_size = r->name_count = 0;
  sap__field field;
  sap_status status = SAP_OK;
  while (!status && sap__wire_next(&wire, &field) > 0) {
    if (field.number != GRAPH_NODE && field.number != GRAPH_INPUT && field.number != GRAPH_OUTPUT) continue;
    if (field.type != WIRE_BYTES) return malformed(r, field.start, err);
    sap__wire inside = sap__wire_inside(&wire, &field);
    if (field.number == GRAPH_NODE) {
      status = read_node(r, inside, graph->nodes ? &graph->nodes[nodes] : NULL, err);
      nodes++;
    } else {
      int in = field.number == GRAPH_INPUT;
      sap__onnx_value *values = in ? graph->inputs : graph->outputs;
      status = read_value(r, inside, values ? &values[in ? inputs : outputs] : NULL, err);
      ++*(in ? &inputs : &outputs);
    }
  }
  graph->node_count = nodes;
  graph->input_count = inputs;
  graph->output_count = outputs;
  return status;
}

sap_status sap__onnx_graph_read(const sap_checkpoint *checkpoint, sap__onnx_graph *graph, sap_error *err) {
  const sap__onnx_model *model = checkpoint->own;
  *graph = (sap__onnx_graph){.opset = model->opset};
  reader r = {.checkpoint = checkpoint, .graph = graph};
  sap__wire wire = {checkpoint->maps[0].bytes, 0, checkpoint->maps[0].size};
  if (!enter(&wire, MODEL_GRAPH)) return sap__onnx_fail_at(checkpoint, 0, "no graph", err);
  sap_status status = read_all(&r, wire, err);
  if (status) return status;
  if (graph->node_count > SAP__ONNX_MAX_NODES)
    return sap__fail(err, SAP_ERROR_UNSUPPORTED, "%s: %zu nodes, expected at most %d", sap__path_tail(checkpoint->path),
                     graph->node_count, SAP__ONNX_MAX_NODES);
  graph->nodes = sap__calloc(graph->node_count, sizeof *graph->nodes);
  graph->inputs = sap__calloc(graph->input_count, sizeof *graph->inputs);
  graph->outputs = sap__calloc(graph->output_count, sizeof *graph->outputs);
  graph->names = sap__calloc(r.name_count, sizeof *graph->names);
  graph->text = sap__alloc(r.text_size, 1);
  if (!graph->nodes || !graph->inputs || !graph->outputs || !graph->names || !graph->text)
    return sap__fail_memory(err, r.text_size);
  return read_all(&r, wire, err);
}

void sap__onnx_graph_free(sap__onnx_graph *graph) {
  sap__free(graph->nodes);
  sap__free(graph->inputs);
  sap__free(graph->outputs);
  sap__free(graph->names);
  sap__free(graph->text);
  *graph = (sap__onnx_graph){0};
}

/* ---- attributes ---- */

/* The attribute's message. */
static int find(const sap__onnx_node *node, const char *name, sap__wire *attribute) {
  sap__wire walk = node->message;
  sap__field field, inner;
  size_t size = strlen(name);
  while (sap__wire_next(&walk, &field) > 0) {
    if (field.number != NODE_ATTRIBUTE || field.type != WIRE_BYTES) continue;
    for (sap__wire inside = sap__wire_inside(&walk, &field); sap__wire_next(&inside, &inner) > 0;)
      if (inner.number == ATTRIBUTE_NAME && inner.type == WIRE_BYTES && inner.end - inner.begin == size &&
          !memcmp(inside.bytes + inner.begin, name, size)) {
        *attribute = sap__wire_inside(&walk, &field);
        return 1;
      }
  }
  return 0;
}

/* The field of that number and wire type of the attribute. */
static int find_field(const sap__onnx_node *node, const char *name, uint32_t number, uint32_t type, sap__field *field) {
  sap__wire attribute;
  if (!find(node, name, &attribute)) return 0;
  while (sap__wire_next(&attribute, field) > 0)
    if (field->number == number && field->type == type) return 1;
  return 0;
}

int sap__onnx_attribute_int(const sap__onnx_node *node, const char *name, int64_t *value) {
  sap__field field;
  if (!find_field(node, name, ATTRIBUTE_INT, WIRE_VARINT, &field)) return 0;
  *value = (int64_t)field.value;
  return 1;
}

int sap__onnx_attribute_float(const sap__onnx_node *node, const char *name, double *value) {
  sap__field field;
  if (!find_field(node, name, ATTRIBUTE_FLOAT, WIRE_FIXED32, &field)) return 0;
  uint32_t bits = (uint32_t)field.value;
  float number;
  memcpy(&number, &bits, sizeof number);
  *value = (double)number;
  return 1;
}

int sap__onnx_attribute_text(const sap__onnx_node *node, const char *name, const char **text, size_t *size) {
  sap__field field;
  if (!find_field(node, name, ATTRIBUTE_TEXT, WIRE_BYTES, &field)) return 0;
  *text = (const char *)node->message.bytes + field.begin;
  *size = (size_t)(field.end - field.begin);
  return 1;
}

int sap__onnx_attribute_ints(const sap__onnx_node *node, const char *name, int64_t *values, size_t room,
                             size_t *count) {
  sap__wire attribute;
  sap__field field;
  *count = 0;
  if (!find(node, name, &attribute)) return 0;
  while (sap__wire_next(&attribute, &field) > 0) {
    if (field.number != ATTRIBUTE_INTS) continue;
    if (field.type == WIRE_VARINT) {
      if (*count < room) values[*count] = (int64_t)field.value;
      ++*count;
    } else if (field.type == WIRE_BYTES) { /* packed */
      uint64_t value;
      for (sap__wire inside = sap__wire_inside(&attribute, &field); sap__wire_varint(&inside, &value); ++*count)
        if (*count < room) values[*count] = (int64_t)value;
    }
  }
  return *count > 0;
}

int sap__onnx_attribute_tensor(const sap__onnx_node *node, const char *name, sap__onnx_proto *tensor) {
  sap__field field;
  if (!find_field(node, name, ATTRIBUTE_TENSOR, WIRE_BYTES, &field)) return 0;
  return !sap__onnx_parse((sap__wire){node->message.bytes, field.begin, field.end}, tensor);
}
