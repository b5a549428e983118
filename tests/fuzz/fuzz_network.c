/* Any bytes as a model in ONNX that is to be a network: refused in one line, or a graph that holds together, whose
 * weights can be read, and which is the same after it was written and read again. */
#include "fuzz_folder.h"
#include "graph/onnx.h"

enum { WEIGHTS_MAX = 1 << 16 };

static void check_refusal_of_network(sap_status status, const sap_error *err) {
  FUZZ_CHECK(status != SAP_ERROR_ARGUMENT && status != SAP_ERROR_MEMORY);
  fuzz_check_error(status, err);
}

static int product_fits(const sap__shape *shape) {
  int64_t count = 1;
  for (int i = 0; i < shape->rank; i++) {
    if (shape->dim[i] < 1 || shape->dim[i] > INT32_MAX / count) return 0;
    count *= shape->dim[i];
  }
  return 1;
}

/* Nodes read what was made before; parameters lie in the arenas, one behind the other. */
static void check_graph(const sap__graph *graph) {
  uint64_t ends[2] = {0, graph->trained_count};
  for (int v = 0; v < graph->value_count; v++) FUZZ_CHECK(product_fits(&graph->values[v].shape));
  for (int n = 0; n < graph->node_count; n++)
    for (int i = 0; i < graph->nodes[n].input_count; i++)
      FUZZ_CHECK(graph->values[graph->nodes[n].inputs[i]].producer < n);
  for (int p = 0; p < graph->param_count; p++) {
    const sap__param *param = &graph->params[p];
    FUZZ_CHECK(product_fits(&param->shape) && param->offset == ends[!param->trained]);
    ends[!param->trained] += (param->count + 63) / 64 * 64;
    for (int other = 0; other < p; other++) FUZZ_CHECK(strcmp(param->name, graph->params[other].name));
  }
  FUZZ_CHECK(ends[0] == graph->trained_count && ends[1] == graph->arena_count);
  FUZZ_CHECK(graph->source->binding_count == graph->param_count);
}

static void check_again(const sap__graph *graph) {
  float *weights = calloc((size_t)graph->arena_count + 1, sizeof *weights);
  float *found = calloc((size_t)graph->arena_count + 1, sizeof *found);
  sap_error err = {.text = ""};
  sap__graph *second = NULL;
  FUZZ_CHECK(weights && found);
  sap_status status = sap__onnx_load(graph, weights, &err);
  if (status) check_refusal_of_network(status, &err);
  if (!status) {
    FUZZ_CHECK(!sap__onnx_export(graph, weights, fuzz_path("again.onnx"), &err));
    FUZZ_CHECK(!sap__onnx_import(fuzz_path("again.onnx"), graph->values[0].shape, graph->classes, &second, &err));
    FUZZ_CHECK(second->arena_count == graph->arena_count && second->node_count == graph->node_count);
    FUZZ_CHECK(!sap__onnx_load(second, found, &err));
    FUZZ_CHECK(!memcmp(weights, found, (size_t)graph->arena_count * sizeof *weights));
    sap__graph_free(second);
  }
  free(weights);
  free(found);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  fuzz_make_folder();
  fuzz_write("fuzz.onnx", bytes, size);
  const sap__shape shapes[] = {{0}, {3, {1, 6, 6}}};
  for (int i = 0; i < 2; i++) {
    sap__graph *graph = NULL;
    sap_error err = {.text = ""};
    sap_status status = sap__onnx_import(fuzz_path("fuzz.onnx"), shapes[i], i ? 3 : 0, &graph, &err);
    if (status) {
      check_refusal_of_network(status, &err);
      FUZZ_CHECK(!graph);
      continue;
    }
    check_graph(graph);
    if (graph->arena_count <= WEIGHTS_MAX) check_again(graph);
    sap__graph_free(graph);
  }
  return 0;
}
