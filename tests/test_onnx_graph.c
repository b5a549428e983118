/* Networks as models in ONNX: what is written is read as the same network, with the same weights. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "alloc_fault.h"
#include "engine_cases.h"
#include "graph/onnx.h"
#include "scratch.h"
#include "unit.h"

/* The logits of an evaluation of the case's pictures. */
static double *logits_of(const engine_bench *b, const sap__graph *graph, float *weights) {
  sap__plan *plan;
  assert_int_equal(sap__plan_new(sap__engine_find("ref"), graph, b->what->batch, weights, NULL, NULL, &plan, NULL),
                   SAP_OK);
  sap__plan_forward(plan, engine_bench_fill, b);
  size_t count = (size_t)graph->classes * (size_t)b->what->batch;
  double *copy = malloc(count * sizeof *copy);
  assert_true(sap__plan_value(plan, graph->nodes[graph->node_count - 1].inputs[0], copy));
  sap__plan_free(plan);
  return copy;
}

static float *take_weights(const sap__graph *graph) { return calloc((size_t)graph->arena_count, sizeof(float)); }

static void check_equal(const engine_case *c, const double *a, const double *b, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (fabs(a[i] - b[i]) > 1e-6 * fmax(1, fabs(a[i]))) fail_msg("%s: logit %g, expected %g", c->name, b[i], a[i]);
}

/* Every case: written, read, run; then with other weights written into the file it came from, and read again. */
static void test_round_trip(void **state) {
  (void)state;
  for (int i = 0; i < ENGINE_CASES; i++) {
    const engine_case *c = &engine_cases[i];
    if (c->model && c->batch == 250) continue; /* the same network */
    engine_bench b = engine_bench_new(c, sap__engine_find("ref"));
    for (int p = 0; p < b.graph->param_count; p++) /* variances are positive */
      for (uint64_t k = 0; k < b.graph->params[p].count && !b.graph->params[p].trained; k++)
        b.weights[b.graph->params[p].offset + k] = fabsf(b.weights[b.graph->params[p].offset + k]) + 0.5f;
    const char *path = scratch_path("a.onnx"), *again = scratch_path("b.onnx");
    sap_error err = {.text = ""};
    if (sap__onnx_export(b.graph, b.weights, path, &err)) fail_msg("%s: %s", c->name, err.text);

    sap__graph *graph, *second;
    sap__shape unknown = {0};
    if (sap__onnx_import(path, unknown, 0, &graph, &err)) fail_msg("%s: %s", c->name, err.text);
    assert_int_equal(graph->param_count, b.graph->param_count);
    assert_int_equal(graph->arena_count, b.graph->arena_count);
    assert_int_equal(graph->classes, c->classes);
    float *weights = take_weights(graph);
    assert_int_equal(sap__onnx_load(graph, weights, &err), SAP_OK);
    assert_memory_equal(weights, b.weights, graph->arena_count * sizeof *weights);
    double *expected = logits_of(&b, b.graph, b.weights), *found = logits_of(&b, graph, weights);
    check_equal(c, expected, found, (size_t)c->classes * (size_t)c->batch);

    for (int p = 0; p < graph->param_count; p++)
      for (uint64_t k = 0; k < graph->params[p].count; k++) weights[graph->params[p].offset + k] *= 0.5f;
    assert_int_equal(sap__onnx_export(graph, weights, path, &err), SAP_ERROR_ARGUMENT); /* its own file */
    if (sap__onnx_export(graph, weights, again, &err)) fail_msg("%s: %s", c->name, err.text);
    assert_int_equal(sap__onnx_import(again, b.graph->values[0].shape, c->classes, &second, &err), SAP_OK);
    float *changed = take_weights(second);
    assert_int_equal(sap__onnx_load(second, changed, &err), SAP_OK);
    assert_memory_equal(weights, changed, graph->arena_count * sizeof *weights);
    free(expected), free(found), free(weights), free(changed);
    sap__graph_free(graph);
    sap__graph_free(second);
    engine_bench_free(&b);
  }
}

/* Export, import and load under the k-th failing allocation: an error, and nothing left behind. */
static void test_no_memory(void **state) {
  (void)state;
  const engine_case *c = NULL;
  for (int i = 0; i < ENGINE_CASES; i++)
    if (!strcmp(engine_cases[i].name, "three readers")) c = &engine_cases[i];
  engine_bench b = engine_bench_new(c, sap__engine_find("ref"));
  const char *path = scratch_path("fault.onnx"), *again = scratch_path("again.onnx");
  for (long k = 1;; k++) {
    size_t before = fault_live();
    sap__graph *graph = NULL;
    sap_error err;
    fault_arm(k);
    sap_status status = sap__onnx_export(b.graph, b.weights, path, &err);
    if (!status) status = sap__onnx_import(path, (sap__shape){0}, 0, &graph, &err);
    if (!status) status = sap__onnx_load(graph, b.weights, &err);
    if (!status) status = sap__onnx_export(graph, b.weights, again, &err);
    int failed = fault_disarm();
    sap__graph_free(graph);
    assert_int_equal(fault_live(), before);
    if (!failed) {
      assert_int_equal(status, SAP_OK);
      break;
    }
    if (status != SAP_ERROR_MEMORY) fail_msg("allocation %ld: %d, %s", k, (int)status, err.text);
  }
  engine_bench_free(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_round_trip),
      cmocka_unit_test(test_no_memory),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
