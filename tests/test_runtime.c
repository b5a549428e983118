/* The sparse runtime computes every case of the engines like the reference engine, in both layouts, at several
 * densities and for any number of threads. */
#include <math.h>
#include <string.h>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "base/memory.h"
#include "engine_cases.h"
#include "runtime/schedule.h"
#include "sapwood/mask.h"
#include "unit.h"

/* A network of the cases with positive variances, pruned at random, and its logits by the reference engine. */
typedef struct subject {
  engine_bench bench;
  sap__kept_weights *weights;
  sap__program *program;
  double *logits;
  int outputs;
} subject;

static void prune(subject *s, double density) {
  sap__random random = sap__random_stream(2, 100, 0, 0);
  for (int i = 0; i < s->bench.graph->param_count; i++) {
    const sap__param *param = &s->bench.graph->params[i];
    float *w = s->bench.weights + param->offset;
    if (!param->trained)
      for (uint64_t k = 0; k < param->count; k++) w[k] = 1 + w[k];
    uint64_t *mask = param->prunable ? calloc(sap_mask_words(param->count), sizeof *mask) : NULL;
    for (uint64_t k = 0; mask && k < param->count; k++) {
      if (sap__random_unit(&random) < density)
        sap_mask_set(mask, k);
      else
        w[k] = 0;
    }
    assert_int_equal(sap__kept_weights_make(w, mask, param->count, &s->weights[i], NULL), SAP_OK);
    free(mask);
  }
}

static subject subject_new(const engine_case *c, double density) {
  subject s = {.bench = engine_bench_new(c, sap__engine_find("ref"))};
  sap__graph *graph = s.bench.graph;
  s.weights = calloc((size_t)graph->param_count, sizeof *s.weights);
  prune(&s, density);
  sap__plan_free(s.bench.plan);
  assert_int_equal(
      sap__plan_new(sap__engine_find("ref"), graph, c->batch, s.bench.weights, NULL, NULL, &s.bench.plan, NULL),
      SAP_OK);
  engine_bench_forward(&s.bench);
  int logits = graph->nodes[graph->node_count - 1].inputs[0];
  s.outputs = (int)sap__shape_count(&graph->values[logits].shape);
  s.logits = malloc((size_t)c->batch * (size_t)s.outputs * sizeof *s.logits);
  assert_true(sap__plan_value(s.bench.plan, logits, s.logits));
  sap_error err;
  if (sap__program_new(graph, s.weights, &s.program, &err)) fail_msg("%s: %s", c->name, err.text);
  return s;
}

static void subject_free(subject *s) {
  sap__program_free(s->program);
  for (int i = 0; i < s->bench.graph->param_count; i++) sap__kept_weights_free(&s->weights[i]);
  free(s->weights);
  free(s->logits);
  engine_bench_free(&s->bench);
}

/* All pictures of the case in units, each by a team of `threads`. */
static void run(const subject *s, sap__layout layout, int threads, float *y) {
  sap__schedule *schedule = NULL;
  sap__barrier barrier = {0};
  assert_int_equal(sap__schedule_new(s->program, layout, threads, &schedule, NULL), SAP_OK);
  float *memory = sap__calloc((size_t)schedule->floats, sizeof(float));
  int unit = layout == SAP__LAYOUT_LANES ? schedule->lanes : 1, batch = s->bench.what->batch;
  for (int at = 0; at < batch; at += unit) {
    sap__unit u = {.x = s->bench.pictures + (size_t)at * s->bench.picture,
                   .y = y + (size_t)at * (size_t)s->outputs,
                   .count = batch - at < unit ? batch - at : unit,
                   .memory = memory};
#ifdef _OPENMP
#pragma omp parallel num_threads(threads)
    sap__schedule_run(schedule, &u, &barrier, omp_get_thread_num(), omp_get_num_threads());
#else
    sap__schedule_run(schedule, &u, &barrier, 0, 1);
#endif
  }
  sap__free(memory);
  sap__schedule_free(schedule);
}

static void compare(const subject *s, double density, sap__layout layout, int threads) {
  size_t count = (size_t)s->bench.what->batch * (size_t)s->outputs;
  float *y = calloc(count, sizeof *y);
  double largest = 0, worst = 0;
  run(s, layout, threads, y);
  for (size_t i = 0; i < count; i++) largest = fmax(largest, fabs(s->logits[i]));
  for (size_t i = 0; i < count; i++) {
    double difference = fabs((double)y[i] - s->logits[i]);
    worst = difference <= worst ? worst : difference; /* a NaN gets in */
  }
  if (!(worst <= 1e-5 * largest))
    fail_msg("%s, density %g, layout %d, %d threads: differs by %g of %g", s->bench.what->name, density, layout,
             threads, worst, largest);
  free(y);
}

static void test_like_the_reference(void **state) {
  (void)state;
  static const double densities[] = {0.3, 1, 0.05, 0};
  for (int i = 0; i < ENGINE_CASES; i++) {
#ifdef SAP_TEST_WITHOUT_MODELS /* where the reference engine is emulated */
    if (engine_cases[i].model) continue;
#endif
    for (size_t d = 0; d < (engine_cases[i].model ? 1 : sizeof densities / sizeof *densities); d++) {
      subject s = subject_new(&engine_cases[i], densities[d]);
      for (int layout = 0; layout < SAP__LAYOUTS; layout++)
        for (int threads = 1; threads <= 3; threads += 2) compare(&s, densities[d], (sap__layout)layout, threads);
      subject_free(&s);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_like_the_reference)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
