#include "runtime/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "graph/graph_json.h"
#include "graph/onnx.h"
#include "graph/zoo/zoo.h"
#include "io/file.h"
#include "io/format.h"
#include "io/run_files.h"
#include "sapwood/model.h"

/* ---- which file ---- */

sap_status sap__source_open(const char *path, const sap_model_options *options, sap_model_info *info,
                            sap_checkpoint **file, sap_error *err) {
  int is_folder, iteration = options->iteration;
  if (strlen(path) + 32 > sizeof info->file)
    return sap__fail(err, SAP_ERROR_ARGUMENT, "a path of more than %zu bytes", sizeof info->file - 32);
  info->iteration = -1;
  snprintf(info->file, sizeof info->file, "%s", path);
  sap_status status = sap__checkpoint_open_file(path, file, &is_folder, err);
  if (status || !is_folder) return status;
  status = sap__run_find_iteration(path, &iteration, info->file, sizeof info->file, err);
  if (status) return status;
  info->iteration = iteration;
  return sap_checkpoint_open(info->file, NULL, file, err);
}

/* ---- which network ---- */

static const char *metadata(const sap_checkpoint *file, const char *key) {
  size_t count = 0;
  const sap_metadata *pairs = sap_checkpoint_metadata(file, &count);
  for (size_t i = 0; i < count; i++)
    if (!strcmp(pairs[i].key, key)) return pairs[i].value;
  return NULL;
}

/* "3x32x32", each from 1 to 65,535. */
static int parse_shape(const char *text, sap__shape *shape) {
  *shape = (sap__shape){.rank = 3};
  for (int i = 0; i < 3; i++) {
    char *end;
    if (*text < '0' || *text > '9') return 0;
    long length = strtol(text, &end, 10);
    if (length < 1 || length > 65535 || *end != (i < 2 ? 'x' : 0)) return 0;
    shape->dim[i] = length;
    text = end + 1;
  }
  return 1;
}

/* A run of a network in ONNX keeps it beside its weights. */
static sap_status read_kept_network(const char *file, const char *name, sap__graph **graph, sap_error *err) {
  const char *slash = strrchr(file, '/');
  int length = slash ? (int)(slash - file) + 1 : 0;
  size_t size = (size_t)length + sizeof "network.onnx";
  char *path = sap__alloc(size, 1);
  if (!path) return sap__fail_memory(err, size);
  snprintf(path, size, "%.*snetwork.onnx", length, file);
  sap_status status = sap__onnx_import(path, (sap__shape){0}, 0, graph, err);
  if (!status) snprintf((*graph)->model, sizeof(*graph)->model, "%s", name);
  sap__free(path);
  return status;
}

sap_status sap__source_graph(const sap_checkpoint *file, sap__graph **out, sap_error *err) {
  const char *path = sap__path_tail(sap_checkpoint_path(file)), *name = metadata(file, "sapwood.model");
  const char *graph = metadata(file, "sapwood.graph");
  if (!strcmp(sap_checkpoint_format(file), "onnx"))
    return sap__onnx_import(sap_checkpoint_path(file), (sap__shape){0}, 0, out, err);
  if (graph) return sap__graph_from_json(graph, path, out, err);
  const char *input = metadata(file, "sapwood.input"), *classes = metadata(file, "sapwood.classes");
  if (!name || !input || !classes)
    return sap__fail(
        err, SAP_ERROR_FORMAT,
        "%s: holds no network: expected sapwood.graph, or sapwood.model, sapwood.input and sapwood.classes", path);
  if (sap_model_is_file(name)) return read_kept_network(sap_checkpoint_path(file), name, out, err);
  sap__shape shape;
  char *end;
  long outputs = strtol(classes, &end, 10);
  if (!parse_shape(input, &shape))
    return sap__fail(err, SAP_ERROR_FORMAT, "%s: sapwood.input %.40s: expected CxHxW", path, input);
  if (*end || outputs < 1 || outputs > 65535)
    return sap__fail(err, SAP_ERROR_FORMAT, "%s: sapwood.classes %.40s: expected 1 ... 65535", path, classes);
  sap_status status = sap__model_graph(name, shape, (int)outputs, out, err);
  return status ? sap__fail_prefix(err, status, path) : SAP_OK;
}
