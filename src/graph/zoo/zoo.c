#include "graph/zoo/zoo.h"

#include <string.h>

#include "base/error.h"
#include "graph/onnx.h"
#include "sapwood/model.h"

/* Every network, in the order of help texts: X(name). */
#define MODEL_LIST(X) X(linear) X(mlp) X(cnn) X(resnet9) X(resnet18) X(resnet50) X(wresnet28x2) X(wresnet28x8)

#define MODEL_DECLARE(name) extern const sap__model sap__model_##name;
MODEL_LIST(MODEL_DECLARE)
#undef MODEL_DECLARE

#define MODEL_ROW(name) &sap__model_##name,
static const sap__model *const models[] = {MODEL_LIST(MODEL_ROW)};
#undef MODEL_ROW
static const size_t model_count = sizeof models / sizeof models[0];

const char *sap_model_name_at(size_t i) { return i < model_count ? models[i]->name : NULL; }

const char *sap_model_text_at(size_t i) { return i < model_count ? models[i]->text : NULL; }

int sap_model_is_file(const char *model) {
  static const char suffix[] = ".onnx";
  size_t length = strlen(model), tail = sizeof suffix - 1;
  return length > tail && !strcmp(model + length - tail, suffix);
}

const sap__model *sap__model_find(const char *name) {
  for (size_t i = 0; i < model_count; i++)
    if (!strcmp(models[i]->name, name)) return models[i];
  return NULL;
}

sap_status sap__model_graph(const char *name, sap__shape input, int classes, sap__graph **out, sap_error *err) {
  if (sap_model_is_file(name)) return sap__onnx_import(name, input, classes, out, err);
  const sap__model *model = sap__model_find(name);
  if (!model) return sap__fail(err, SAP_ERROR_ARGUMENT, "model %.60s: not a known network", name);
  sap__graph *graph = NULL;
  sap_status status = sap__graph_new(name, input, classes, &graph, err);
  if (!status) {
    sap__build b = {.graph = graph, .err = err};
    int logits = model->build(&b, 0);
    status = b.status ? b.status : sap__graph_finish(graph, logits, err);
  }
  if (status) {
    sap__graph_free(graph);
    return status;
  }
  *out = graph;
  return SAP_OK;
}
