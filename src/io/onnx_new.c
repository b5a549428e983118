#include "io/onnx_new.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "io/file.h"
#include "io/onnx.h"
#include "io/onnx_form.h"
#include "sapwood/version.h"

enum { IR_VERSION = 8, OPSET = 17 };
enum { MODEL_PRODUCER = 2, MODEL_PRODUCER_VERSION = 3, GRAPH_NAME = 2, GRAPH_INPUT = 11, GRAPH_OUTPUT = 12 };
enum { OPSET_VERSION = 2, NODE_INPUT = 1 };
enum { ATTRIBUTE_FLOAT = 2, ATTRIBUTE_INT = 3, ATTRIBUTE_INTS = 8, KIND_FLOAT = 1, KIND_INT = 2, KIND_INTS = 7 };
enum { VALUE_NAME = 1, VALUE_TYPE = 2, TYPE_TENSOR = 1, ELEMENT_TYPE = 1, TENSOR_SHAPE = 2, SHAPE_DIM = 1 };
enum { DIM_VALUE = 1, DIM_NAME = 2, TYPE_FLOAT = 1 };

void sap__onnx_message_free(sap__onnx_message *message) {
  sap__free(message->bytes);
  *message = (sap__onnx_message){0};
}

static void add(sap__onnx_message *message, const void *bytes, size_t size) {
  if (message->failed || !size) return;
  if (message->room - message->size < size) {
    size_t room = 2 * message->room + size + 64;
    uint8_t *larger = sap__alloc(room, 1);
    if (!larger) {
      message->failed = 1;
      return;
    }
    if (message->size) memcpy(larger, message->bytes, message->size);
    sap__free(message->bytes);
    message->bytes = larger;
    message->room = room;
  }
  memcpy(message->bytes + message->size, bytes, size);
  message->size += size;
}

static void add_varint(sap__onnx_message *message, uint64_t value) {
  uint8_t bytes[WIRE_VARINT_MAX];
  add(message, bytes, sap__varint_write(value, bytes));
}

static void add_bytes(sap__onnx_message *message, uint32_t field, const void *bytes, size_t size) {
  add_varint(message, (uint64_t)field << 3 | WIRE_BYTES);
  add_varint(message, size);
  add(message, bytes, size);
}

void sap__onnx_add_number(sap__onnx_message *message, uint32_t field, uint64_t value) {
  add_varint(message, (uint64_t)field << 3 | WIRE_VARINT);
  add_varint(message, value);
}

void sap__onnx_add_text(sap__onnx_message *message, uint32_t field, const char *text) {
  add_bytes(message, field, text, strlen(text));
}

void sap__onnx_add_message(sap__onnx_message *message, uint32_t field, sap__onnx_message *inner) {
  add_bytes(message, field, inner->bytes, inner->size);
  message->failed |= inner->failed;
  sap__onnx_message_free(inner);
}

/* ---- nodes ---- */

void sap__onnx_add_input(sap__onnx_message *node, const char *name) { sap__onnx_add_text(node, NODE_INPUT, name); }

void sap__onnx_add_attribute_int(sap__onnx_message *node, const char *name, int64_t value) {
  sap__onnx_message attribute = {0};
  sap__onnx_add_text(&attribute, ATTRIBUTE_NAME, name);
  sap__onnx_add_number(&attribute, ATTRIBUTE_INT, (uint64_t)value);
  sap__onnx_add_number(&attribute, ATTRIBUTE_TYPE, KIND_INT);
  sap__onnx_add_message(node, NODE_ATTRIBUTE, &attribute);
}

void sap__onnx_add_attribute_float(sap__onnx_message *node, const char *name, float value) {
  sap__onnx_message attribute = {0};
  sap__onnx_add_text(&attribute, ATTRIBUTE_NAME, name);
  add_varint(&attribute, ATTRIBUTE_FLOAT << 3 | WIRE_FIXED32);
  add(&attribute, &value, sizeof value); /* little-endian, as the machine is */
  sap__onnx_add_number(&attribute, ATTRIBUTE_TYPE, KIND_FLOAT);
  sap__onnx_add_message(node, NODE_ATTRIBUTE, &attribute);
}

void sap__onnx_add_attribute_ints(sap__onnx_message *node, const char *name, const int64_t *values, int count) {
  sap__onnx_message attribute = {0};
  sap__onnx_add_text(&attribute, ATTRIBUTE_NAME, name);
  for (int i = 0; i < count; i++) sap__onnx_add_number(&attribute, ATTRIBUTE_INTS, (uint64_t)values[i]);
  sap__onnx_add_number(&attribute, ATTRIBUTE_TYPE, KIND_INTS);
  sap__onnx_add_message(node, NODE_ATTRIBUTE, &attribute);
}

void sap__onnx_add_node(sap__onnx_message *graph, sap__onnx_message *node, const char *op, const char *name,
                        const char *output) {
  sap__onnx_add_text(node, NODE_OUTPUT, output);
  sap__onnx_add_text(node, NODE_NAME, name);
  sap__onnx_add_text(node, NODE_OPERATOR, op);
  sap__onnx_add_message(graph, GRAPH_NODE, node);
}

void sap__onnx_add_value(sap__onnx_message *graph, int is_output, const char *name, const int64_t *dims, int rank) {
  sap__onnx_message shape = {0}, tensor = {0}, type = {0}, value = {0};
  for (int i = -1; i < rank; i++) {
    sap__onnx_message dim = {0};
    if (i < 0)
      sap__onnx_add_text(&dim, DIM_NAME, "N");
    else
      sap__onnx_add_number(&dim, DIM_VALUE, (uint64_t)dims[i]);
    sap__onnx_add_message(&shape, SHAPE_DIM, &dim);
  }
  sap__onnx_add_number(&tensor, ELEMENT_TYPE, TYPE_FLOAT);
  sap__onnx_add_message(&tensor, TENSOR_SHAPE, &shape);
  sap__onnx_add_message(&type, TYPE_TENSOR, &tensor);
  sap__onnx_add_text(&value, VALUE_NAME, name);
  sap__onnx_add_message(&value, VALUE_TYPE, &type);
  sap__onnx_add_message(graph, is_output ? GRAPH_OUTPUT : GRAPH_INPUT, &value);
}

/* ---- the file ---- */

/* Everything of an initializer's field but its data, which follows. *size: of the field with it. */
static sap__onnx_message initializer(const sap_tensor *tensor, uint64_t *size) {
  sap__onnx_message inner = {0}, field = {0};
  for (int i = 0; i < tensor->rank; i++) sap__onnx_add_number(&inner, TENSOR_DIMS, tensor->shape[i]);
  sap__onnx_add_number(&inner, TENSOR_TYPE, TYPE_FLOAT);
  sap__onnx_add_text(&inner, TENSOR_NAME, tensor->name);
  add_varint(&inner, TENSOR_RAW << 3 | WIRE_BYTES);
  add_varint(&inner, tensor->bytes);
  add_varint(&field, GRAPH_INITIALIZER << 3 | WIRE_BYTES);
  add_varint(&field, inner.size + tensor->bytes);
  add(&field, inner.bytes, inner.size);
  field.failed |= inner.failed;
  sap__onnx_message_free(&inner);
  *size = field.size + tensor->bytes;
  return field;
}

static void put(sap__onnx_out *out, const sap__onnx_message *message) {
  sap__onnx_put(out, message->bytes, message->size);
}

/* The model around its graph: what comes before it, with the length of the graph, and what after it. */
static void frame(uint64_t graph_size, sap__onnx_message *head, sap__onnx_message *tail) {
  sap__onnx_message opset = {0};
  sap__onnx_add_number(head, MODEL_VERSION, IR_VERSION);
  sap__onnx_add_text(head, MODEL_PRODUCER, "sapwood");
  sap__onnx_add_text(head, MODEL_PRODUCER_VERSION, sap_version());
  add_varint(head, MODEL_GRAPH << 3 | WIRE_BYTES);
  add_varint(head, graph_size);
  sap__onnx_add_text(&opset, 1, "");
  sap__onnx_add_number(&opset, OPSET_VERSION, OPSET);
  sap__onnx_add_message(tail, MODEL_OPSET, &opset);
}

static sap_status write_file(const char *path, const sap__onnx_message parts[3], const sap_tensor *tensors,
                             size_t count, sap_error *err) {
  sap__atomic file = {.descriptor = -1};
  sap__onnx_out out = {0};
  sap_status status = sap__atomic_open(&file, path, err);
  if (!status) status = sap__onnx_out_start(&out, &file, err);
  if (status) {
    sap__atomic_abort(&file);
    return status;
  }
  put(&out, &parts[0]);
  put(&out, &parts[1]);
  for (size_t i = 0; i < count; i++) {
    uint64_t size;
    sap__onnx_message field = initializer(&tensors[i], &size);
    if (field.failed && !out.status) out.status = sap__fail_memory(err, (size_t)size);
    put(&out, &field);
    sap__onnx_put(&out, tensors[i].data, (size_t)tensors[i].bytes);
    sap__onnx_message_free(&field);
  }
  put(&out, &parts[2]);
  status = sap__onnx_out_finish(&out);
  if (!status) status = sap__atomic_commit(&file, err);
  sap__atomic_abort(&file);
  return status;
}

sap_status sap__onnx_write_new(const char *path, const char *graph_name, const sap__onnx_message *graph,
                               const sap_tensor *tensors, size_t count, sap_error *err) {
  sap__onnx_message parts[3] = {{0}}; /* before the initializers: head, graph; after them: tail */
  int failed = graph->failed;
  add(&parts[1], graph->bytes, graph->size);
  sap__onnx_add_text(&parts[1], GRAPH_NAME, graph_name);
  uint64_t total = parts[1].size, size;
  for (size_t i = 0; i < count; i++) {
    sap__onnx_message field = initializer(&tensors[i], &size);
    failed |= field.failed;
    sap__onnx_message_free(&field);
    total += size;
  }
  frame(total, &parts[0], &parts[2]);
  for (int i = 0; i < 3; i++) failed |= parts[i].failed;
  sap_status status = failed ? sap__fail_memory(err, parts[1].size) : SAP_OK;
  if (!status && total + parts[0].size + parts[2].size > SAP__ONNX_MAX)
    status = sap__fail(err, SAP_ERROR_UNSUPPORTED, "%s: as one ONNX file it exceeds %u bytes", sap__path_tail(path),
                       SAP__ONNX_MAX);
  if (!status) status = write_file(path, parts, tensors, count, err);
  for (int i = 0; i < 3; i++) sap__onnx_message_free(&parts[i]);
  return status;
}
