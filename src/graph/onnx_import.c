#include "graph/onnx_import.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "io/file.h"

enum { OPSET_FIRST = 6, OPSET_LAST = 21, NAME_MAX_BYTES = 80 };

void sap__onnx_source_free(sap__onnx_source *source) {
  if (!source) return;
  for (int i = 0; i < source->binding_count; i++) sap__free(source->bindings[i].tensor);
  sap__free(source->bindings);
  sap__free(source->path);
  sap__free(source);
}

sap_status sap__onnx_refuse(const sap__onnx_importer *im, const sap__onnx_node *node, sap_error *err, sap_status code,
                            const char *format, ...) {
  char text[SAP_ERROR_TEXT_SIZE], number[24];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  snprintf(number, sizeof number, "#%d", (int)(node - im->onnx.nodes));
  return sap__fail(err, code, "%s: node %.60s: %.30s: %s", sap__path_tail(im->file->path),
                   *node->name ? node->name : number, node->op, text);
}

/* ---- names ---- */

static int by_name(const void *left, const void *right) {
  const sap__onnx_made *a = left, *b = right;
  int order = strcmp(a->name, b->name);
  return order ? order : (a->node > b->node) - (a->node < b->node);
}

sap__onnx_made *sap__onnx_find_made(const sap__onnx_importer *im, const char *name) {
  size_t low = 0, high = im->made_count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    int order = strcmp(im->made[middle].name, name);
    if (!order) return &im->made[middle];
    *(order < 0 ? &low : &high) = order < 0 ? middle + 1 : middle;
  }
  return NULL;
}

const sap_tensor *sap__onnx_tensor_of(const sap__onnx_importer *im, const sap__onnx_node *node, size_t i) {
  enum { IDENTITIES = 64 };
  const char *name = i < node->input_count ? node->inputs[i] : "";
  for (int step = 0; step < IDENTITIES; step++) {
    const sap_tensor *tensor = sap_checkpoint_at(im->file, sap_checkpoint_find(im->file, name));
    if (tensor) return tensor;
    /* Exporters give equal tensors one place, and Identity to all but one of their readers. */
    const sap__onnx_made *made = *name ? sap__onnx_find_made(im, name) : NULL;
    if (!made || made->node < 0) return NULL;
    const sap__onnx_node *maker = &im->onnx.nodes[made->node];
    if (strcmp(maker->op, "Identity") || maker->input_count != 1) return NULL;
    name = maker->inputs[0];
  }
  return NULL;
}

/* The one input of the graph that is no initializer, as older models list them. */
static sap_status find_picture(sap__onnx_importer *im, const sap__onnx_value **picture, sap_error *err) {
  *picture = NULL;
  for (size_t i = 0; i < im->onnx.input_count; i++) {
    const sap__onnx_value *input = &im->onnx.inputs[i];
    if (sap_checkpoint_find(im->file, input->name) < sap_checkpoint_count(im->file)) continue;
    if (*picture)
      return sap__fail(err, SAP_ERROR_UNSUPPORTED, "%s: inputs %.60s and %.60s, expected one",
                       sap__path_tail(im->file->path), (*picture)->name, input->name);
    *picture = input;
  }
  if (*picture) return SAP_OK;
  return sap__fail(err, SAP_ERROR_FORMAT, "%s: no input, expected one", sap__path_tail(im->file->path));
}

/* Everything that is made, by name, each of them once. */
static sap_status list_made(sap__onnx_importer *im, const sap__onnx_value *picture, sap_error *err) {
  size_t room = 1;
  for (size_t n = 0; n < im->onnx.node_count; n++) room += im->onnx.nodes[n].output_count;
  im->made = sap__calloc(room, sizeof *im->made);
  if (!im->made) return sap__fail_memory(err, room * sizeof *im->made);
  im->made[im->made_count++] = (sap__onnx_made){.name = picture->name, .node = -1};
  for (size_t n = 0; n < im->onnx.node_count; n++)
    for (size_t i = 0; i < im->onnx.nodes[n].output_count; i++)
      if (*im->onnx.nodes[n].outputs[i])
        im->made[im->made_count++] = (sap__onnx_made){im->onnx.nodes[n].outputs[i], (int)n, -1, 0};
  qsort(im->made, im->made_count, sizeof *im->made, by_name);
  for (size_t i = 1; i < im->made_count; i++)
    if (!strcmp(im->made[i - 1].name, im->made[i].name))
      return sap__onnx_refuse(im, &im->onnx.nodes[im->made[i].node], err, SAP_ERROR_FORMAT,
                              "makes %.60s, which is there already", im->made[i].name);
  return SAP_OK;
}

/* Marks the nodes that lead to the output. Each reads what is in the file or what an earlier node makes. */
static sap_status take_nodes(sap__onnx_importer *im, sap_error *err) {
  const char *path = sap__path_tail(im->file->path);
  if (im->onnx.output_count != 1)
    return sap__fail(err, SAP_ERROR_UNSUPPORTED, "%s: %zu outputs, expected one", path, im->onnx.output_count);
  im->output = im->onnx.outputs[0].name;
  sap__onnx_made *made = sap__onnx_find_made(im, im->output);
  if (!made || made->node < 0)
    return sap__fail(err, SAP_ERROR_FORMAT, "%s: output %.60s: no node makes it", path, im->output);
  made->readers++;
  im->taken[made->node] = 1;
  for (size_t n = im->onnx.node_count; n-- > 0;) {
    const sap__onnx_node *node = &im->onnx.nodes[n];
    for (size_t i = 0; im->taken[n] && i < node->input_count; i++) {
      if (!*node->inputs[i] || sap__onnx_tensor_of(im, node, i)) continue;
      made = sap__onnx_find_made(im, node->inputs[i]);
      if (!made)
        return sap__onnx_refuse(im, node, err, SAP_ERROR_FORMAT, "reads %.60s, which nobody makes", node->inputs[i]);
      if (made->node >= (int)n)
        return sap__onnx_refuse(im, node, err, SAP_ERROR_FORMAT,
                                "reads %.60s, which is made later: a cycle, or nodes out of order", node->inputs[i]);
      made->readers++;
      if (made->node >= 0) im->taken[made->node] = 1;
    }
  }
  return SAP_OK;
}

/* ---- building ---- */

sap_status sap__onnx_input(const sap__onnx_importer *im, const sap__onnx_node *node, size_t i, int *value,
                           sap_error *err) {
  if (i >= node->input_count || !*node->inputs[i])
    return sap__onnx_refuse(im, node, err, SAP_ERROR_FORMAT, "%zu inputs, expected more", node->input_count);
  if (sap__onnx_tensor_of(im, node, i))
    return sap__onnx_refuse(im, node, err, SAP_ERROR_UNSUPPORTED, "input %.60s is a constant", node->inputs[i]);
  const sap__onnx_made *made = sap__onnx_find_made(im, node->inputs[i]);
  if (made->value < 0) {
    const sap__onnx_node *maker = &im->onnx.nodes[made->node];
    int lazy;
    sap__onnx_find_op(maker, &lazy);
    return sap__onnx_refuse(im, maker, err, SAP_ERROR_UNSUPPORTED, "%s",
                            lazy                                    ? "known as a weight or a shape only"
                            : strcmp(maker->outputs[0], made->name) ? "its second output is not known to Sapwood"
                                                                    : "this op is not known to Sapwood");
  }
  *value = made->value;
  return SAP_OK;
}

static int name_is_free(const sap__graph *graph, const char *name) {
  for (int n = 0; n < graph->node_count; n++)
    if (!strcmp(graph->nodes[n].name, name)) return 0;
  return 1;
}

/* What a node is called: as its weight without ".weight", as itself, or by op and number; each name once. */
static void choose_name(const sap__onnx_importer *im, const sap__onnx_node *node, const sap_tensor *weight,
                        char name[SAP__NAME_SIZE]) {
  static const char suffix[] = ".weight";
  size_t length = weight ? strlen(weight->name) : 0, tail = sizeof suffix - 1;
  if (length > tail && length - tail <= NAME_MAX_BYTES && !strcmp(weight->name + length - tail, suffix)) {
    snprintf(name, SAP__NAME_SIZE, "%.*s", (int)(length - tail), weight->name);
    if (name_is_free(im->graph, name)) return;
  }
  if (*node->name && strlen(node->name) <= NAME_MAX_BYTES) {
    snprintf(name, SAP__NAME_SIZE, "%s", node->name);
    if (name_is_free(im->graph, name)) return;
  }
  int number = (int)(node - im->onnx.nodes);
  do snprintf(name, SAP__NAME_SIZE, "%.60s_%d", node->op, number++);
  while (!name_is_free(im->graph, name));
}

/* A parameter is that tensor: of its shape, or of the transposed one; a vector may have axes of length 1. */
static sap_status bind(sap__onnx_importer *im, const sap__onnx_node *node, int param, const sap_tensor *tensor,
                       int transposed, sap_error *err) {
  const sap__shape *shape = &im->graph->params[param].shape;
  int same = tensor->rank == shape->rank;
  for (int i = 0; i < shape->rank && same; i++)
    same = tensor->shape[i] == (uint64_t)shape->dim[transposed ? shape->rank - 1 - i : i];
  if (shape->rank == 1) same = tensor->count == (uint64_t)shape->dim[0];
  if (!same) {
    char expected[96];
    sap__shape_text(shape, expected, sizeof expected);
    return sap__onnx_refuse(im, node, err, SAP_ERROR_FORMAT, "%.60s: another shape, expected %s%s", tensor->name,
                            expected, transposed ? " transposed" : "");
  }
  size_t entry = sap_checkpoint_find(im->file, tensor->name);
  if (tensor->dtype != SAP_F32)
    return sap__onnx_refuse(im, node, err, SAP_ERROR_UNSUPPORTED, "%.60s: type %s, expected F32", tensor->name,
                            sap_dtype_name(tensor->dtype));
  sap__onnx_source *source = im->source;
  if (im->bound[entry]) {
    if (shape->rank > 1)
      return sap__onnx_refuse(im, node, err, SAP_ERROR_UNSUPPORTED, "%.60s: read by two nodes, expected one",
                              tensor->name);
    source->shared = 1; /* biases that are equal now need not stay so */
  }
  im->bound[entry] = 1;
  if (!sap__grow(&source->bindings, (size_t)source->binding_count, sizeof *source->bindings))
    return sap__fail_memory(err, sizeof *source->bindings);
  sap__onnx_binding *binding = &source->bindings[source->binding_count++];
  *binding = (sap__onnx_binding){sap__strdup(tensor->name), transposed};
  return binding->tensor ? SAP_OK : sap__fail_memory(err, strlen(tensor->name));
}

sap_status sap__onnx_append(sap__onnx_importer *im, const sap__onnx_node *node, sap__op op, sap__attributes attributes,
                            const int *inputs, int input_count, const sap_tensor *const *tensors, size_t tensor_count,
                            int transposed, int *y, sap_error *err) {
  char name[SAP__NAME_SIZE];
  choose_name(im, node, tensor_count ? tensors[0] : NULL, name);
  int param = im->graph->param_count;
  sap_status status = sap__graph_add(im->graph, op, name, attributes, inputs, input_count, y, err);
  if (status)
    return status == SAP_ERROR_MISMATCH ? sap__fail_prefix(err, status, sap__path_tail(im->file->path)) : status;
  for (size_t i = 0; i < tensor_count && !status; i++)
    if (tensors[i]) status = bind(im, node, param++, tensors[i], transposed && i == 0, err);
  return status;
}

void sap__onnx_absorb(sap__onnx_importer *im, const sap__onnx_node *node, int value) {
  im->taken[node - im->onnx.nodes] = 2;
  sap__onnx_find_made(im, node->outputs[0])->value = value;
}

static sap_status build_nodes(sap__onnx_importer *im, sap_error *err) {
  for (size_t n = 0; n < im->onnx.node_count; n++) {
    const sap__onnx_node *node = &im->onnx.nodes[n];
    if (im->taken[n] != 1) continue;
    int lazy, x, y;
    sap__onnx_op *op = sap__onnx_find_op(node, &lazy);
    if (lazy) continue;
    if (!op) return sap__onnx_refuse(im, node, err, SAP_ERROR_UNSUPPORTED, "this op is not known to Sapwood");
    if (!node->output_count || !*node->outputs[0])
      return sap__onnx_refuse(im, node, err, SAP_ERROR_FORMAT, "no output, expected one");
    sap_status status = sap__onnx_input(im, node, 0, &x, err);
    if (!status) status = op(im, node, x, &y, err);
    if (status) return status;
    sap__onnx_find_made(im, node->outputs[0])->value = y;
  }
  return SAP_OK;
}

/* The pictures that the model takes: as asked, or as it says itself. (N,C,H,W) or (N,features). */
static sap_status match_input(const sap__onnx_importer *im, const sap__onnx_value *picture, sap__shape *input,
                              sap_error *err) {
  const char *path = sap__path_tail(im->file->path);
  if (picture->rank != 4 && picture->rank != 2)
    return sap__fail(err, SAP_ERROR_UNSUPPORTED, "%s: input %.60s: rank %d, expected (N, C, H, W) or (N, features)",
                     path, picture->name, picture->rank);
  sap__shape own = {.rank = picture->rank - 1};
  for (int i = 0; i < own.rank; i++) own.dim[i] = picture->dim[i + 1];
  int known = 1;
  for (int i = 0; i < own.rank; i++) known &= own.dim[i] > 0;
  if (!input->rank && !known)
    return sap__fail(err, SAP_ERROR_UNSUPPORTED, "%s: input %.60s: the model does not say how large pictures are", path,
                     picture->name);
  if (!input->rank) *input = own;
  int same = own.rank == input->rank || own.rank == 1;
  for (int i = 0; i < own.rank && same; i++)
    same = own.dim[i] < 0 || own.dim[i] == (own.rank == 1 ? sap__shape_count(input) : input->dim[i]);
  if (same) return SAP_OK;
  char wants[96], has[96];
  sap__shape_text(&own, wants, sizeof wants);
  sap__shape_text(input, has, sizeof has);
  return sap__fail(err, SAP_ERROR_MISMATCH, "%s: input %.60s takes pictures %s, these are %s", path, picture->name,
                   wants, has);
}

/* From an open file to a finished graph. */
static sap_status build(sap__onnx_importer *im, sap__shape input, int classes, sap_error *err) {
  const char *path = im->file->path;
  const sap__onnx_value *picture = NULL;
  sap_status status = find_picture(im, &picture, err);
  if (!status) status = match_input(im, picture, &input, err);
  if (!status) status = list_made(im, picture, err);
  if (!status) status = take_nodes(im, err);
  if (!status) status = sap__graph_new(path, input, classes, &im->graph, err);
  int value = 0;
  im->batch = picture && picture->rank > 0 ? picture->dim[0] : -1;
  if (!status && picture->rank == 2 && input.rank == 3)
    status = sap__graph_add(im->graph, SAP_OP_FLATTEN, "input_flatten", (sap__attributes){0}, &value, 1, &value, err);
  if (status) return status;
  sap__onnx_find_made(im, picture->name)->value = value;
  status = build_nodes(im, err);
  if (status) return status;
  const sap__onnx_made *output = sap__onnx_find_made(im, im->output);
  if (output->value < 0)
    return sap__onnx_refuse(im, &im->onnx.nodes[output->node], err, SAP_ERROR_UNSUPPORTED,
                            "this op is not known to Sapwood");
  if (!classes) im->graph->classes = (int)im->graph->values[output->value].shape.dim[0];
  status = sap__graph_finish(im->graph, output->value, err);
  return status == SAP_ERROR_MISMATCH ? sap__fail_prefix(err, status, sap__path_tail(path)) : status;
}

sap_status sap__onnx_import(const char *path, sap__shape input, int classes, sap__graph **out, sap_error *err) {
  sap__onnx_importer im = {0};
  sap_status status = sap_checkpoint_open(path, NULL, &im.file, err);
  if (status) return status;
  if (strcmp(sap_checkpoint_format(im.file), "onnx"))
    status = sap__fail(err, SAP_ERROR_FORMAT, "%s: %s, expected a model in ONNX", sap__path_tail(path),
                       sap_checkpoint_format(im.file));
  if (!status) status = sap__onnx_graph_read(im.file, &im.onnx, err);
  if (!status && (im.onnx.opset < OPSET_FIRST || im.onnx.opset > OPSET_LAST))
    status = sap__fail(err, SAP_ERROR_UNSUPPORTED, "%s: opset %llu, expected %d to %d", sap__path_tail(path),
                       (unsigned long long)im.onnx.opset, OPSET_FIRST, OPSET_LAST);
  if (!status) {
    im.taken = sap__calloc(im.onnx.node_count, 1);
    im.bound = sap__calloc(sap_checkpoint_count(im.file), 1);
    im.source = sap__calloc(1, sizeof *im.source);
    if (im.source) im.source->path = sap__strdup(path);
    if (!im.taken || !im.bound || !im.source || !im.source->path) status = sap__fail_memory(err, strlen(path));
  }
  if (!status) status = build(&im, input, classes, err);
  if (status) {
    sap__graph_free(im.graph);
    sap__onnx_source_free(im.source);
  } else {
    im.graph->source = im.source;
    *out = im.graph;
  }
  sap__free(im.made);
  sap__free(im.taken);
  sap__free(im.bound);
  sap__onnx_graph_free(&im.onnx);
  sap_checkpoint_close(im.file);
  return status;
}
