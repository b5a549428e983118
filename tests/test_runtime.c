/* The sparse runtime computes every case of the engines like the reference engine, in every layout, at several
 * densities, for any number of threads, and with a change of layout anywhere. */
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
  int64_t cache; /* of the schedules; 0: strips wherever they can be */
  int alone;     /* what is planned for several threads is run by one */
  int many;      /* what is planned for a unit a thread is run by all of them together */
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
  sap_status status = sap__program_new(graph, s.weights, &s.program, &err);
  if (!status) status = sap__program_fold(s.program, &err);
  if (status) fail_msg("%s: %s", c->name, err.text);
  s.cache = SAP__SCHEDULE_CACHE;
  return s;
}

static void subject_free(subject *s) {
  sap__program_free(s->program);
  for (int i = 0; i < s->bench.graph->param_count; i++) sap__kept_weights_free(&s->weights[i]);
  free(s->weights);
  free(s->logits);
  engine_bench_free(&s->bench);
}

/* Values between the parts of a network: (batch, channels, height, width); the first is the input. */
typedef struct board {
  float **values;
  float *logits;
} board;

static float *value_of(const subject *s, const board *b, int value) {
  if (value == s->program->output) return b->logits;
  size_t floats = (size_t)s->bench.what->batch * sap__program_floats(s->program, value);
  if (!b->values[value]) b->values[value] = sap__calloc(floats, sizeof(float));
  return b->values[value];
}

/* Some of the layers for all pictures of the case, in units, each by a team of `threads`. 0: this build cannot. */
static int run_part(const subject *s, const board *b, sap__range layers, sap__layout layout, int threads) {
  sap__schedule *schedule = NULL;
  sap__barrier barrier = {0};
  int batch = s->bench.what->batch;
  const sap__manner manner = {layout,
                              s->many       ? 1024
                              : threads > 1 ? 1
                                            : batch,
                              threads, s->cache, NULL}; /* threads work on one unit together */
  sap_status status = sap__schedule_new(s->program, layers, &manner, &schedule, NULL);
  if (layout == SAP__LAYOUT_DENSE && status == SAP_ERROR_UNSUPPORTED) return 0;
  assert_int_equal(status, SAP_OK);
  float *memory = sap__calloc((size_t)schedule->floats, sizeof(float));
  int unit = schedule->pictures;
  for (int at = 0; at < batch; at += unit) {
    sap__unit u = {.count = batch - at < unit ? batch - at : unit, .memory = memory};
    for (int i = 0; i < schedule->inputs.count; i++) {
      int value = schedule->inputs.values[i];
      const float *whole = value == 0 ? s->bench.pictures : value_of(s, b, value);
      u.x[i] = whole + (size_t)at * sap__program_floats(s->program, value);
    }
    for (int i = 0; i < schedule->outputs.count; i++) {
      int value = schedule->outputs.values[i];
      u.y[i] = value_of(s, b, value) + (size_t)at * sap__program_floats(s->program, value);
    }
#ifdef _OPENMP
#pragma omp parallel num_threads(s->alone ? 1 : threads)
    sap__schedule_run(schedule, &u, &barrier, omp_get_thread_num(), omp_get_num_threads());
#else
    sap__schedule_run(schedule, &u, &barrier, 0, 1);
#endif
  }
  sap__free(memory);
  sap__schedule_free(schedule);
  return 1;
}

/* The layers before `cut` in one layout, the others in another. 0: this build lacks one. */
static int run(const subject *s, int cut, const sap__layout layouts[2], int threads, float *y) {
  board b = {calloc((size_t)s->program->value_count, sizeof *b.values), y};
  int layers = s->program->layer_count;
  int done = cut == 0 || run_part(s, &b, (sap__range){0, cut}, layouts[0], threads);
  done = done && run_part(s, &b, (sap__range){cut, layers}, layouts[1], threads);
  for (int v = 0; v < s->program->value_count; v++) sap__free(b.values[v]);
  free(b.values);
  return done;
}

static void compare(const subject *s, double density, int cut, const sap__layout layouts[2], int threads) {
  size_t count = (size_t)s->bench.what->batch * (size_t)s->outputs;
  float *y = calloc(count, sizeof *y);
  double largest = 0, worst = 0;
  if (!run(s, cut, layouts, threads, y)) {
    free(y);
    return;
  }
  for (size_t i = 0; i < count; i++) largest = fmax(largest, fabs(s->logits[i]));
  for (size_t i = 0; i < count; i++) {
    double difference = fabs((double)y[i] - s->logits[i]);
    worst = difference <= worst ? worst : difference; /* a NaN gets in */
  }
  if (!(worst <= 1e-5 * largest))
    fail_msg("%s, density %g, layouts %d %d cut at %d, cache of %d, %d threads: differs by %g of %g",
             s->bench.what->name, density, layouts[0], layouts[1], cut, (int)s->cache, threads, worst, largest);
  free(y);
}

/* Any number of threads, and one that does the shares of several, sum in the same order. */
static void compare_threads(subject *s, sap__layout layout) {
  size_t count = (size_t)s->bench.what->batch * (size_t)s->outputs;
  float *one = calloc(count, sizeof *one), *y = calloc(count, sizeof *y);
  const sap__layout layouts[2] = {layout, layout};
  assert_true(run(s, 0, layouts, 1, one));
  for (int threads = 2; threads <= 4; threads++)
    for (s->alone = 0; s->alone < 2; s->alone++) {
      assert_true(run(s, 0, layouts, threads, y));
      if (memcmp(y, one, count * sizeof *y) != 0)
        fail_msg("%s, layout %d: other bits by %d threads, alone %d", s->bench.what->name, layout, threads, s->alone);
    }
  s->alone = 0;
  free(one);
  free(y);
}

/* Pictures of which every thread has some vectors, in rows that are whole vectors and in others: each thread reads what
 * its neighbours have computed. */
static const engine_case shared_cases[] = {
    CASE("shared rows", 3, 32, 32, 6, 2, CONV(9, 3, 1, 1), NORM, RELU, CONV(9, 3, 1, 1), ADD(3), NORM, RELU,
         CONV(8, 3, 2, 1), RELU, CONV(6, 3, 1, 1), MEAN, FLATTEN),
    CASE("shared pieces of rows", 3, 29, 23, 4, 2, CONV(7, 5, 1, 2), NORM, RELU, CONV_BIAS(7, 3, 1, 1), ADD(3),
         CONV(9, 1, 1, 0), RELU, CONV(5, 3, 2, 1), MAX_POOL(3, 2, 1), FLATTEN, LINEAR(4)),
    CASE("shared and read by others", 2, 24, 24, 4, 2, CONV(6, 3, 1, 1), NORM, RELU, CONV(6, 3, 1, 1), SIGMOID, ADD(3),
         CONV(4, 7, 1, 3), AVG_POOL(2, 2, 0, 0), CONV(4, 3, 1, 1), MEAN, FLATTEN),
};

static void test_shared_pictures(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof shared_cases / sizeof *shared_cases; i++) {
    subject s = subject_new(&shared_cases[i], 0.5);
    const sap__layout layouts[2] = {SAP__LAYOUT_PICTURE, SAP__LAYOUT_PICTURE};
    compare(&s, 0.5, 0, layouts, 3);
    compare_threads(&s, SAP__LAYOUT_PICTURE);
    compare_threads(&s, SAP__LAYOUT_LANES);
    subject_free(&s);
  }
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
      for (int layout = 0; layout < SAP__LAYOUTS; layout++) {
        const sap__layout layouts[2] = {(sap__layout)layout, (sap__layout)layout};
        int dense = layout == SAP__LAYOUT_DENSE, most = dense && engine_cases[i].model ? 1 : 3;
        if (dense && d > 0) continue; /* it does the same whatever the density */
        for (int threads = 1; threads <= most; threads += 2) compare(&s, densities[d], 0, layouts, threads);
      }
      if (d == 0) compare_threads(&s, SAP__LAYOUT_PICTURE);
      const sap__layout lanes[2] = {SAP__LAYOUT_LANES, SAP__LAYOUT_LANES};
      s.cache = 0;
      compare(&s, densities[d], 0, lanes, d % 2 ? 1 : 3);
      compare(&s, densities[d], 0, lanes, 2);
      s.alone = 1; /* the shares of several threads one after the other */
      compare(&s, densities[d], 0, lanes, 2);
      s.alone = 0;
      s.many = 1;
      compare(&s, densities[d], 0, lanes, 2);
      subject_free(&s);
    }
  }
}

/* A network may change its layout between any two layers, whatever flows there. */
static void test_cut_between_any_two_layers(void **state) {
  (void)state;
  for (int i = 0; i < ENGINE_CASES; i++) {
#ifdef SAP_TEST_WITHOUT_MODELS
    if (engine_cases[i].model) continue;
#endif
    subject s = subject_new(&engine_cases[i], 0.3);
    int layers = s.program->layer_count, step = engine_cases[i].model ? layers / 3 + 1 : 1;
    for (int cut = step; cut < layers; cut += step)
      for (int pair = 0; pair < SAP__LAYOUTS * SAP__LAYOUTS; pair++) {
        const sap__layout layouts[2] = {(sap__layout)(pair / SAP__LAYOUTS), (sap__layout)(pair % SAP__LAYOUTS)};
        s.cache = (cut + pair) % 2 ? 0 : SAP__SCHEDULE_CACHE;
        if (layouts[0] != layouts[1]) compare(&s, 0.3, cut, layouts, 1);
      }
    subject_free(&s);
  }
}

/* Threads that share out columns take tiles that fit, and that sum in the order of one thread's. */
static void test_shares_of_columns(void **state) {
  (void)state;
  sap__schedule schedule = {.conv = sap__conv_kernels_active(), .teams = 1};
  for (int columns = 8; columns <= 400; columns++) {
    const sap__tile *alone[SAP__TILE_COUNT], *shared[SAP__TILE_COUNT];
    sap__tiles tiles = {.rows = 1, .columns = columns, .stride = 1};
    assert_true(sap__tiles_choose(&schedule, &tiles, alone) > 0);
    for (schedule.threads = 2; schedule.threads <= columns; schedule.threads++) {
      tiles.apart = sap__schedule_apart(&schedule, columns);
      int count = sap__tiles_choose(&schedule, &tiles, shared);
      assert_true(count > 0);
      for (int i = 0; i < count && tiles.apart; i++) {
        assert_true(shared[i]->columns <= columns / schedule.threads);
        assert_int_equal(shared[i]->chains, alone[0]->chains);
      }
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_shares_of_columns), cmocka_unit_test(test_shared_pictures),
                                     cmocka_unit_test(test_like_the_reference),
                                     cmocka_unit_test(test_cut_between_any_two_layers)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
