/* Writing a model in ONNX that no file was the source of: messages are built in memory, weights streamed. */
#ifndef SAP_IO_ONNX_NEW_H
#define SAP_IO_ONNX_NEW_H

#include "io/onnx_wire.h"
#include "sapwood/safetensors.h"

/* A message that grows. Without memory `failed` is set, and the calls do nothing. Zeroed at first. */
typedef struct sap__onnx_message {
  uint8_t *bytes;
  size_t size, room;
  int failed;
} sap__onnx_message;

void sap__onnx_message_free(sap__onnx_message *message);

/* Append a field. */
void sap__onnx_add_number(sap__onnx_message *message, uint32_t field, uint64_t value);
void sap__onnx_add_text(sap__onnx_message *message, uint32_t field, const char *text);

/* Appends `inner` as a field, and frees it. */
void sap__onnx_add_message(sap__onnx_message *message, uint32_t field, sap__onnx_message *inner);

/* ---- nodes: NodeProto and its attributes ---- */

void sap__onnx_add_input(sap__onnx_message *node, const char *name);
void sap__onnx_add_attribute_int(sap__onnx_message *node, const char *name, int64_t value);
void sap__onnx_add_attribute_float(sap__onnx_message *node, const char *name, float value);
void sap__onnx_add_attribute_ints(sap__onnx_message *node, const char *name, const int64_t *values, int count);

/* Ends the node and appends it to the graph. */
void sap__onnx_add_node(sap__onnx_message *graph, sap__onnx_message *node, const char *op, const char *name,
                        const char *output);

/* Appends an input (is_output 0) or output of floats, (N, the dims). */
void sap__onnx_add_value(sap__onnx_message *graph, int is_output, const char *name, const int64_t *dims, int rank);

/* Writes a model: opset 17, `graph` (nodes, inputs and outputs, in any order) with F32 initializers, their data on the
 * caller's side. Errors: SAP_ERROR_IO, SAP_ERROR_MEMORY, SAP_ERROR_UNSUPPORTED (beyond the format's 2 GiB). */
sap_status sap__onnx_write_new(const char *path, const char *graph_name, const sap__onnx_message *graph,
                               const sap_tensor *tensors, size_t count, sap_error *err);

#endif
