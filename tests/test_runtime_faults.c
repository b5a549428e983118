/* Missing memory in the runtime: models, sessions in every way, evaluation and timing leak nothing and say so; a run
 * takes no memory at all. And more threads than cores, and runs inside a team of threads. */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "alloc_fault.h"
#include "engine_cases.h"
#include "graph/graph_json.h"
#include "runtime/schedule.h"
#include "runtime/session.h"
#include "sapwood/safetensors.h"
#include "scratch.h"
#include "tiny_data.h"
#include "unit.h"

/* Convolutions with all that is fused into them, and what is between. */
static const engine_case small = CASE("small", 1, 28, 28, 10, 2, CONV(16, 3, 2, 1), NORM, RELU, CONV(16, 3, 1, 1),
                                      ADD(1), NORM, RELU, MAX_POOL(2, 2, 0), FLATTEN, LINEAR(10));
/* Enough work for a team of threads. */
static const engine_case wide = CASE("wide", 3, 28, 28, 10, 40, CONV(32, 3, 1, 1), NORM, RELU, CONV_BIAS(32, 3, 1, 1),
                                     ADD(1), MEAN, FLATTEN, LINEAR(10));

/* Writes the network of a case, two thirds of whose weights are kept, as a dense file that names it. */
static void write_case(const engine_case *c, const char *path) {
  engine_bench b = engine_bench_new(c, sap__engine_find("ref"));
  sap_tensor *tensors = calloc((size_t)b.graph->param_count, sizeof *tensors);
  for (int i = 0; i < b.graph->param_count; i++) {
    const sap__param *param = &b.graph->params[i];
    float *w = b.weights + param->offset;
    for (uint64_t k = 0; k < param->count; k++)
      w[k] = !param->prunable ? 1 + w[k] : k % 3 ? w[k] : 0; /* variances are positive */
    tensors[i] = (sap_tensor){.name = param->name,
                              .dtype = SAP_F32,
                              .rank = param->shape.rank,
                              .count = param->count,
                              .bytes = 4 * param->count,
                              .data = w};
    for (int k = 0; k < param->shape.rank; k++) tensors[i].shape[k] = (uint64_t)param->shape.dim[k];
  }
  char *graph = sap__graph_to_json(b.graph);
  const sap_metadata metadata = {"sapwood.graph", graph};
  assert_int_equal(sap_safetensors_write(path, tensors, (size_t)b.graph->param_count, &metadata, 1, NULL), SAP_OK);
  free(graph);
  free(tensors);
  engine_bench_free(&b);
}

static sap_model *open_case(const engine_case *c) {
  sap_model *model = NULL;
  const char *path = scratch_path("case.safetensors");
  write_case(c, path);
  assert_int_equal(sap_model_open(path, NULL, &model, NULL), SAP_OK);
  return model;
}

/* ---- the k-th allocation fails ---- */

/* A call that may make something, and what releases that. */
typedef struct attempt {
  sap_status (*call)(const struct attempt *a, void **made, sap_error *err);
  void (*release)(void *made); /* NULL: the call makes nothing */
  const char *path;
  const sap_model *model;
  sap_session_options options;
  int spare;    /* 1: some of the memory is for shortcuts, and the call succeeds without them */
  int remember; /* 1: what measuring found before is still there */
} attempt;

static void forget(void) { scratch_remove(scratch_path("sapwood")); }

/* Fails every allocation in turn until none is left to fail; the number of them. */
static long fail_each(const attempt *a) {
  for (long k = 1;; k++) {
    if (!a->remember) forget();
    void *made = NULL;
    sap_error err = {0};
    const size_t before = fault_live();
    fault_arm(k);
    const sap_status status = a->call(a, &made, &err);
    const int failed = fault_disarm();
    if (status && made) fail_msg("allocation %ld: failed, and made something", k);
    if (!status && a->release) a->release(made);
    if (fault_live() != before) fail_msg("allocation %ld: %d blocks left", k, (int)fault_live() - (int)before);
    if (!failed) {
      if (status) fail_msg("%s", err.text);
      return k - 1;
    }
    if (!status && a->spare) continue;
    if (status != SAP_ERROR_MEMORY || !err.text[0])
      fail_msg("allocation %ld: %s: %s", k, sap_status_name(status), err.text);
  }
}

static sap_status call_open(const attempt *a, void **made, sap_error *err) {
  sap_model *model = NULL;
  const sap_status status = sap_model_open(a->path, NULL, &model, err);
  *made = model;
  return status;
}

static void release_model(void *made) { sap_model_close(made); }

static void test_opening(void **state) {
  (void)state;
  sap_model *model = open_case(&small);
  char paths[4][512];
  const char *const names[] = {"case.safetensors", "sparse.safetensors", "bytes.safetensors", "case.onnx"};
  for (int i = 0; i < 4; i++) snprintf(paths[i], sizeof paths[i], "%s", scratch_path(names[i]));
  assert_int_equal(sap_model_write(model, paths[1], SAP_ENCODING_SPARSE, NULL), SAP_OK);
  assert_int_equal(sap_model_write_bytes(model, paths[2], NULL), SAP_OK);
  assert_int_equal(sap_model_write(model, paths[3], SAP_ENCODING_DENSE, NULL), SAP_OK);
  sap_model_close(model);
  for (int i = 0; i < 4; i++) {
    const attempt a = {.call = call_open, .release = release_model, .path = paths[i]};
    assert_true(fail_each(&a) > 20);
  }
}

static sap_status call_write(const attempt *a, void **made, sap_error *err) {
  (void)made;
  const sap_status status = sap_model_write(a->model, a->path, SAP_ENCODING_SPARSE, err);
  return status ? status : sap_model_write_bytes(a->model, a->path, err);
}

static sap_status call_write_onnx(const attempt *a, void **made, sap_error *err) {
  (void)made;
  return sap_model_write(a->model, a->path, SAP_ENCODING_DENSE, err);
}

static void test_writing(void **state) {
  (void)state;
  sap_model *model = open_case(&small);
  char path[512];
  snprintf(path, sizeof path, "%s", scratch_path("written.safetensors"));
  const attempt sparse = {.call = call_write, .path = path, .model = model, .spare = 1};
  assert_true(fail_each(&sparse) > 40);
  snprintf(path, sizeof path, "%s", scratch_path("written.onnx"));
  const attempt onnx = {.call = call_write_onnx, .path = path, .model = model, .spare = 1};
  assert_true(fail_each(&onnx) > 4);
  sap_model_close(model);
}

static sap_status call_session(const attempt *a, void **made, sap_error *err) {
  sap_session *session = NULL;
  const sap_status status = sap_session_new(a->model, &a->options, &session, err);
  *made = session;
  return status;
}

static void release_session(void *made) { sap_session_free(made); }

/* 1 if this build computes in a way at all. */
static int has_way(const sap_model *model, sap_way way) {
  const sap_session_options options = {.batch = 1, .threads = 1, .way = way};
  sap_session *session = NULL;
  const sap_status status = sap_session_new(model, &options, &session, NULL);
  if (status != SAP_ERROR_UNSUPPORTED || way != SAP_WAY_DENSE) assert_int_equal(status, SAP_OK);
  sap_session_free(session);
  return !status;
}

static void test_sessions(void **state) {
  (void)state;
  sap_model *model = open_case(&small);
  for (int way = 0; way < SAP_WAY_COUNT; way++)
    for (int measure = 0; measure < 2 && has_way(model, (sap_way)way); measure++) {
      attempt a = {.call = call_session, .release = release_session, .model = model, .spare = measure};
      a.options = (sap_session_options){.batch = 16, .threads = 2 - measure, .way = (sap_way)way, .measure = measure};
      assert_true(fail_each(&a) > 10);
      a.options.batch = 1; /* two threads share one picture */
      assert_true(fail_each(&a) > 10);
      a.remember = 1; /* as the last call left it */
      assert_true(fail_each(&a) > 10);
    }
  sap_model_close(model);
}

/* Schedules that go through a picture in strips, which only large values do by themselves. */
static sap_status call_schedule(const attempt *a, void **made, sap_error *err) {
  const sap__program *program = a->model->program;
  const sap__manner manner = {.layout = SAP__LAYOUT_LANES, .batch = 16, .threads = 1, .cache = 0};
  sap__schedule *schedule = NULL;
  const sap_status status = sap__schedule_new(program, (sap__range){0, program->layer_count}, &manner, &schedule, err);
  *made = schedule;
  return status;
}

static void release_schedule(void *made) {
  sap__schedule *schedule = made;
  assert_true(schedule->strips_count > 0);
  sap__schedule_free(schedule);
}

static void test_strips(void **state) {
  (void)state;
  sap_model *model = open_case(&small);
  const attempt a = {.call = call_schedule, .release = release_schedule, .model = model};
  assert_int_equal(sap__program_fold(model->program, NULL), SAP_OK);
  assert_true(fail_each(&a) > 10);
  sap_model_close(model);
}

/* ---- what a session does ---- */

static sap_session *subject; /* of the calls below */

static sap_status call_evaluate(const attempt *a, void **made, sap_error *err) {
  sap_dataset *set = NULL;
  double loss, accuracy;
  (void)made;
  sap_status status = sap_dataset_open(a->path, NULL, &set, err);
  if (!status) status = sap_session_evaluate(subject, set, &loss, &accuracy, err);
  sap_dataset_free(set);
  return status;
}

static sap_status call_time(const attempt *a, void **made, sap_error *err) {
  static const float x[28 * 28];
  sap_layer_timing timings[16];
  size_t layers = 0;
  (void)a;
  (void)made;
  return sap_session_time(subject, x, 1, 1, timings, &layers, err);
}

static void test_evaluating_and_timing(void **state) {
  (void)state;
  sap_model *model = open_case(&small);
  const sap_session_options options = {.batch = 16, .threads = 1, .way = SAP_WAY_LANES};
  assert_int_equal(sap_session_new(model, &options, &subject, NULL), SAP_OK);
  const attempt evaluate = {.call = call_evaluate, .path = tiny_data(1, 20)};
  assert_true(fail_each(&evaluate) > 3);
  const attempt time = {.call = call_time};
  assert_int_equal(fail_each(&time), 1); /* the logits that timing throws away */
  sap_session_free(subject);
  sap_model_close(model);
}

/* Runs every picture of a case; no allocation is asked for. */
static void run_without_memory(sap_session *session, const float *x, size_t count, float *y) {
  sap_error err = {0};
  fault_arm(1);
  const sap_status status = sap_session_run(session, x, count, y, &err);
  if (fault_disarm()) fail_msg("a run allocates");
  if (status) fail_msg("%s", err.text);
}

enum { RUN = 40, OUTPUTS = 10 }; /* pictures and logits of the wide case */

/* The sparse ways give the same bits whatever the threads are; dense, a share of another size may be computed by
 * another of the engine's implementations. */
static void check_logits(sap_session_options options, size_t count, const float *y, const float *right) {
  const int same = options.way == SAP_WAY_PICTURE || options.way == SAP_WAY_LANES;
  double largest = 0, worst = 0;
  for (size_t i = 0; i < count * OUTPUTS; i++) {
    const double difference = fabs((double)y[i] - (double)right[i]);
    largest = fmax(largest, fabs((double)right[i]));
    worst = difference <= worst ? worst : difference; /* a NaN gets in */
  }
  if (!(worst <= (same ? 0 : 1e-5 * largest)))
    fail_msg("%s, batch %d, %d threads: differs by %g of %g", sap_way_name(options.way), options.batch, options.threads,
             worst, largest);
}

/* Two sessions run alone and beside each other; all logits are those of one thread. */
static void compare_runs(const sap_model *model, const engine_bench *b, sap_session_options options) {
  static float right[RUN * OUTPUTS], y[2][RUN * OUTPUTS];
  const size_t batch = (size_t)options.batch, count = batch == 1 ? 3 : RUN; /* threads that meet often are slow */
  sap_session *sessions[2] = {NULL};
  for (int i = 0; i < 2; i++) assert_int_equal(sap_session_new(model, &options, &sessions[i], NULL), SAP_OK);
  memset(y, 0xff, sizeof y);
  for (size_t at = 0; at < count; at += batch)
    run_without_memory(sessions[0], b->pictures + at * b->picture, batch, y[0] + at * OUTPUTS);
  if (options.threads == 1) memcpy(right, y[0], sizeof right);
  check_logits(options, count, y[0], right);
#ifdef _OPENMP
#pragma omp parallel for num_threads(2)
#endif
  for (int i = 0; i < 2; i++)
    if (sap_session_run(sessions[i], b->pictures, count, y[i], NULL)) y[i][0] = NAN;
  for (int i = 0; i < 2; i++) check_logits(options, count, y[i], right);
  for (int i = 0; i < 2; i++) sap_session_free(sessions[i]);
}

/* No run allocates, and any number of threads, also inside other threads, gives the same logits. */
static void test_runs(void **state) {
  (void)state;
  sap_model *model = open_case(&wide);
  engine_bench b = engine_bench_new(&wide, sap__engine_find("ref"));
  const int cores = (int)sysconf(_SC_NPROCESSORS_ONLN), threads[] = {1, 2, 4 * cores + 1};
  for (int way = 0; way < SAP_WAY_COUNT; way++)
    for (int c = 0; c < 6 && has_way(model, (sap_way)way); c++)
      compare_runs(model, &b, (sap_session_options){c < 3 ? 1 : RUN, threads[c % 3], (sap_way)way, 0});
  engine_bench_free(&b);
  sap_model_close(model);
}

static int setup(void **state) {
  const int failed = scratch_setup(state);
  return failed || setenv("XDG_CACHE_HOME", scratch_folder, 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_opening),  cmocka_unit_test(test_writing),
                                     cmocka_unit_test(test_sessions), cmocka_unit_test(test_strips),
                                     cmocka_unit_test(test_runs),     cmocka_unit_test(test_evaluating_and_timing)};
  return cmocka_run_group_tests(tests, setup, scratch_teardown);
}
