#include "graph/zoo/zoo.h"

#include <string.h>

#include "base/error.h"
#include "sapwood/model.h"

extern const sap__model sap__model_linear, sap__model_mlp;

static const sap__model *const models[] = {&sap__model_linear, &sap__model_mlp};
static const size_t model_count = sizeof models / sizeof models[0];

const char *sap_model_name_at(size_t i) { return i < model_count ? models[i]->name : NULL; }

const char *sap_model_text_at(size_t i) { return i < model_count ? models[i]->text : NULL; }

const sap__model *sap__model_find(const char *name) {
  for (size_t i = 0; i < model_count; i++)
    if (!strcmp(models[i]->name, name)) return models[i];
  return NULL;
}

sap_status sap__model_graph(const char *name, sap__shape input, int classes, sap__graph **out, sap_error *err) {
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
