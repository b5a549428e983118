/* Conformance: every engine computes every case like the reference, whose gradients are checked against
 * central differences; and no engine's result depends on the number of threads. */
#include <math.h>
#include <string.h>

#include "engine_cases.h"
#include "sapwood/cpu.h"
#include "sapwood/model.h"
#include "unit.h"

/* Gradients below this are rounding. */
#define NOTHING 1e-9

/* |a − b| over the larger of the two, or of `floor` where both are small. */
static double difference(double a, double b, double floor) { return fabs(a - b) / fmax(fmax(fabs(a), fabs(b)), floor); }

/* Calls check for every engine but the reference. */
static void each_engine(void (*check)(const sap__engine *engine)) {
  for (size_t i = 0; sap_engine_name_at(i); i++) check(sap__engine_find(sap_engine_name_at(i)));
}

static void supports(const sap__engine *engine) {
  for (int i = 0; i < ENGINE_CASES; i++) {
    sap__graph *graph = engine_case_graph(&engine_cases[i]);
    const sap__node *lacking;
    if (!sap__engine_supports(engine, graph, &lacking))
      fail_msg("%s: %s lacks %s", engine_cases[i].name, engine->name, lacking->name);
    sap__graph_free(graph);
  }
}
static void test_supports(void **state) {
  (void)state;
  each_engine(supports);
}

/* How far an engine's activations, losses and statistics may be from the reference's, relative to the largest element.
 */
static const double near = 1e-4;

/* And its gradients: rounding grows on the way back through a deep network, most where a batch norm divides by the
 * spread of a few pixels. */
static double gradient_tolerance(const engine_case *c) {
  return c->model && strcmp(c->model, "linear") && strcmp(c->model, "mlp") ? 1e-3 : 1e-4;
}

/* Activations that both plans still have. */
static void compare_values(const engine_bench *ours, const engine_bench *ref) {
  const engine_case *c = ref->what;
  for (int v = 0; v < ref->graph->value_count - 1; v++) {
    size_t count = (size_t)c->batch * (size_t)sap__shape_count(&ref->graph->values[v].shape);
    double *x = malloc(count * sizeof *x), *y = malloc(count * sizeof *y), largest = 0, worst = 0;
    assert_true(sap__plan_value(ref->plan, v, y));
    int kept = sap__plan_value(ours->plan, v, x);
    for (size_t k = 0; k < count; k++) largest = fmax(largest, fabs(y[k]));
    for (size_t k = 0; k < count && kept; k++) worst = fmax(worst, difference(x[k], y[k], largest));
    if (worst > near) fail_msg("%s: value %d differs by %g", c->name, v, worst);
    free(x);
    free(y);
  }
}

/* Losses, activations and gradients against the reference's. */
static void compare(const sap__engine *engine) {
  if (!strcmp(engine->name, "ref")) return;
  for (int i = 0; i < ENGINE_CASES; i++) {
    const engine_case *c = &engine_cases[i];
    engine_bench ours = engine_bench_new(c, engine), ref = engine_bench_new(c, sap__engine_find("ref"));
    sap__loss a = engine_bench_forward(&ours), b = engine_bench_forward(&ref);
    if (difference(a.sum, b.sum, 0) > near) fail_msg("%s: loss %g, expected %g", c->name, a.sum, b.sum);
    assert_int_equal(a.correct, b.correct);
    compare_values(&ours, &ref);
    sap__plan_backward(ours.plan);
    sap__plan_backward(ref.plan);
    for (int p = 0; p < ref.graph->param_count; p++) {
      const sap__param *param = &ref.graph->params[p];
      /* Running statistics have no gradient: their new values are compared. */
      const float *x = param->trained ? ours.gradients : ours.weights;
      const float *y = param->trained ? ref.gradients : ref.weights;
      double largest = 0, worst = 0;
      for (uint64_t k = param->offset; k < param->offset + param->count; k++)
        largest = fmax(largest, fabs((double)y[k]));
      if (largest < NOTHING) continue; /* a bias before a batch norm changes nothing */
      for (uint64_t k = param->offset; k < param->offset + param->count; k++)
        worst = fmax(worst, difference((double)x[k], (double)y[k], largest));
      if (worst > (param->trained ? gradient_tolerance(c) : near))
        fail_msg("%s: gradient of %s differs by %g", c->name, param->name, worst);
    }
    engine_bench_free(&ours);
    engine_bench_free(&ref);
  }
}
static void test_compare(void **state) {
  (void)state;
  each_engine(compare);
}

/* d loss / d w of the reference, by moving one weight both ways; the loss is a mean in double. */
static double central_difference(engine_bench *b, uint64_t at) {
  float w = b->weights[at], above = w + 1e-4f, below = w - 1e-4f;
  b->weights[at] = above;
  double up = engine_bench_forward(b).sum;
  b->weights[at] = below;
  double down = engine_bench_forward(b).sum;
  b->weights[at] = w;
  return (up - down) / ((double)above - (double)below) / b->what->batch;
}

enum { ENGINES_MAX = 8 };

/* What each engine makes of a case: backward has run. Returns how many there are. */
static int run_engines(const engine_case *c, engine_bench engines[ENGINES_MAX]) {
  int count = 0;
  for (; sap_engine_name_at((size_t)count); count++) {
    assert_true(count < ENGINES_MAX);
    engines[count] = engine_bench_new(c, sap__engine_find(sap_engine_name_at((size_t)count)));
    engine_bench_forward(&engines[count]);
    sap__plan_backward(engines[count].plan);
  }
  return count;
}

/* The gradients of a parameter at up to 40 places against differences of the reference's loss, each taken once. */
static void check_gradient(const engine_case *c, const sap__param *param, engine_bench *ref,
                           const engine_bench *engines, int count) {
  const uint64_t stride = param->count / (c->model ? 4 : 40) + 1;
  double largest[ENGINES_MAX];
  for (int e = 0; e < count; e++) {
    largest[e] = NOTHING;
    for (uint64_t k = 0; k < param->count; k++)
      largest[e] = fmax(largest[e], fabs((double)engines[e].gradients[param->offset + k]));
  }
  for (uint64_t k = 0; k < param->count; k += stride) {
    const double expected = central_difference(ref, param->offset + k);
    for (int e = 0; e < count; e++) {
      const double found = (double)engines[e].gradients[param->offset + k];
      if (fabs(found - expected) > 1e-3 * largest[e] + 1e-7)
        fail_msg("%s, %s: %s[%llu]: gradient %g, by differences %g", c->name, sap_engine_name_at((size_t)e),
                 param->name, (unsigned long long)k, found, expected);
    }
  }
}

static void test_gradient(void **state) {
  (void)state;
  for (int i = 0; i < ENGINE_CASES; i++) {
    const engine_case *c = &engine_cases[i];
    if (c->batch > 100) continue; /* the same code as the smaller ones, and slow in the reference */
    /* The others have so many ReLUs that a difference crosses some kink. */
    if (c->model && strcmp(c->model, "linear") && strcmp(c->model, "mlp")) continue;
    engine_bench engines[ENGINES_MAX], ref = engine_bench_new(c, sap__engine_find("ref"));
    const int count = run_engines(c, engines);
    for (int p = 0; p < ref.graph->param_count; p++)
      if (ref.graph->params[p].trained) check_gradient(c, &ref.graph->params[p], &ref, engines, count);
    for (int e = 0; e < count; e++) engine_bench_free(&engines[e]);
    engine_bench_free(&ref);
  }
}

static void same_for_any_threads(const sap__engine *engine) {
  for (int i = 0; i < ENGINE_CASES; i++) {
    const engine_case *c = &engine_cases[i];
    if (c->batch < 10) continue; /* one slice: one thread */
    double sum = 0;
    float *first = NULL;
    for (int threads = 1; threads <= 5; threads += 2) {
      sap_threads_set(threads);
      engine_bench b = engine_bench_new(c, engine);
      sap__loss loss = engine_bench_forward(&b);
      sap__plan_backward(b.plan);
      size_t bytes = b.graph->arena_count * sizeof(float);
      if (!first) {
        first = malloc(bytes);
        memcpy(first, b.gradients, bytes);
        sum = loss.sum;
      }
      assert_memory_equal(first, b.gradients, bytes);
      assert_true(loss.sum == sum);
      engine_bench_free(&b);
    }
    free(first);
  }
  sap_threads_set(0);
}
static void test_threads(void **state) {
  (void)state;
  each_engine(same_for_any_threads);
}

static void finds_nonfinite(const sap__engine *engine) {
  engine_bench b = engine_bench_new(&engine_cases[4], engine);
  engine_bench_forward(&b);
  assert_null(sap__plan_nonfinite(b.plan));
  const sap__param *param = sap__graph_find_param(b.graph, "d.weight"); /* the second linear layer */
  b.weights[param->offset] = NAN;
  assert_false(isfinite(engine_bench_forward(&b).sum));
  assert_string_equal(sap__plan_nonfinite(b.plan)->name, "d");
  engine_bench_free(&b);
}
static void test_nonfinite(void **state) {
  (void)state;
  each_engine(finds_nonfinite);
}

/* What the first node makes of the pictures of `b` with that draw. */
static double *run_first(engine_bench *b, sap__draw draw) {
  sap__plan_draw(b->plan, draw);
  engine_bench_forward(b);
  size_t count = (size_t)sap__shape_count(&b->graph->values[1].shape) * (size_t)b->what->batch;
  double *copy = malloc(count * sizeof *copy);
  assert_true(sap__plan_value(b->plan, 1, copy));
  return copy;
}

/* A third of the activations is dropped and the rest scaled up; the draw decides which; evaluation drops none. */
static void drops_some(const sap__engine *engine) {
  static const engine_case dropout = CASE("dropout", 1, 30, 30, 2, 70, DROPOUT(1.0 / 3), FLATTEN, LINEAR(2));
  enum { COUNT = 70 * 900 };
  engine_bench b = engine_bench_new(&dropout, engine);
  double *first = run_first(&b, (sap__draw){1, 1}), *again = run_first(&b, (sap__draw){1, 1});
  double *other = run_first(&b, (sap__draw){1, 2});
  assert_memory_equal(first, again, COUNT * sizeof *first);
  int dropped = 0, both = 0;
  for (int i = 0; i < COUNT; i++) {
    if (first[i] != 0) assert_true(fabs(first[i] - 1.5 * (double)b.pictures[i]) < 1e-6);
    dropped += first[i] == 0;
    both += first[i] == 0 && other[i] == 0;
  }
  assert_in_range(dropped, COUNT / 3 - 500, COUNT / 3 + 500);
  assert_in_range(both, COUNT / 9 - 400, COUNT / 9 + 400);
  free(first), free(again), free(other);
  sap__plan_free(b.plan);
  assert_int_equal(sap__plan_new(engine, b.graph, b.what->batch, b.weights, NULL, NULL, &b.plan, NULL), SAP_OK);
  double *same = run_first(&b, (sap__draw){1, 1});
  for (int i = 0; i < COUNT; i++) assert_true(same[i] == (double)b.pictures[i]);
  free(same);
  engine_bench_free(&b);
}
static void test_dropout(void **state) {
  (void)state;
  each_engine(drops_some);
}

/* In bf16 the loss and the gradients are those of floats as far as eight bits of a number go. */
static void test_bf16(void **state) {
  (void)state;
  static const engine_case c = CASE("bf16", 3, 12, 12, 5, 40, CONV(32, 3, 1, 1), NORM, RELU, CONV_BIAS(32, 3, 1, 1),
                                    ADD(2), NORM, RELU, MAX_POOL(2, 2, 0), CONV(48, 3, 2, 1), MEAN, FLATTEN, LINEAR(5));
  const sap__engine *engine = sap__engine_find(NULL);
  if (!engine->bf16) skip();
  engine_bench b = engine_bench_new(&c, engine);
  sap__plan *half;
  sap__choices *choices = sap__choices_new();
  float *gradients = calloc((size_t)b.graph->arena_count, sizeof *gradients);
  sap_status status = sap__plan_new(engine->bf16, b.graph, c.batch, b.weights, gradients, choices, &half, NULL);
  if (status == SAP_ERROR_UNSUPPORTED) skip(); /* a processor without bf16 */
  assert_int_equal(status, SAP_OK);
  const double loss = engine_bench_forward(&b).sum;
  sap__plan_backward(b.plan);
  const double found = sap__plan_forward(half, engine_bench_fill, &b).sum;
  sap__plan_backward(half);
  assert_true(found != loss);
  if (difference(found, loss, 0) > 1e-2) fail_msg("loss %g, expected %g", found, loss);
  for (int p = 0; p < b.graph->param_count; p++) {
    const sap__param *param = &b.graph->params[p];
    double product = 0, ours = 0, theirs = 0;
    for (uint64_t k = param->offset; k < param->offset + param->count && param->trained; k++) {
      product += (double)gradients[k] * (double)b.gradients[k];
      ours += (double)gradients[k] * (double)gradients[k];
      theirs += (double)b.gradients[k] * (double)b.gradients[k];
    }
    if (theirs > NOTHING && product < 0.98 * sqrt(ours * theirs))
      fail_msg("gradient of %s: cosine %g", param->name, product / sqrt(ours * theirs));
  }
  sap__plan_free(half);
  sap__choices_free(choices);
  free(gradients);
  engine_bench_free(&b);
}

/* Running statistics: after two steps (1 − m)²·old + …, as PyTorch; evaluation normalises by them and leaves them. */
static void keeps_running_statistics(const sap__engine *engine) {
  static const engine_case norm = CASE("norm", 2, 2, 2, 2, 70, NORM, FLATTEN, LINEAR(2));
  engine_bench b = engine_bench_new(&norm, engine);
  const sap__param *mean = sap__graph_find_param(b.graph, "a.running_mean");
  const sap__param *var = sap__graph_find_param(b.graph, "a.running_var");
  for (int c = 0; c < 2; c++) {
    double sum = 0, squares = 0;
    for (int n = 0; n < 70; n++)
      for (int p = 0; p < 4; p++) sum += (double)b.pictures[n * 8 + c * 4 + p] / 280;
    for (int n = 0; n < 70; n++)
      for (int p = 0; p < 4; p++) squares += pow((double)b.pictures[n * 8 + c * 4 + p] - sum, 2);
    b.weights[mean->offset + (uint64_t)c] = 0.5f;
    b.weights[var->offset + (uint64_t)c] = 2;
    engine_bench_forward(&b);
    engine_bench_forward(&b);
    assert_true(fabs((double)b.weights[mean->offset + (uint64_t)c] - (0.81 * 0.5 + 0.19 * sum)) < 1e-6);
    assert_true(fabs((double)b.weights[var->offset + (uint64_t)c] - (0.81 * 2 + 0.19 * squares / 279)) < 1e-6);
  }
  sap__plan_free(b.plan);
  sap__engine keeping = *engine;
  keeping.keeps_values = 1;
  assert_int_equal(sap__plan_new(&keeping, b.graph, 70, b.weights, NULL, NULL, &b.plan, NULL), SAP_OK);
  float moved = b.weights[mean->offset];
  double *normal = run_first(&b, (sap__draw){1, 1});
  assert_true(b.weights[mean->offset] == moved);
  const sap__param *weight = sap__graph_find_param(b.graph, "a.weight"),
                   *bias = sap__graph_find_param(b.graph, "a.bias");
  double expected = ((double)b.pictures[0] - (double)moved) / sqrt((double)b.weights[var->offset] + 1e-5);
  expected = expected * (double)b.weights[weight->offset] + (double)b.weights[bias->offset];
  assert_true(fabs(normal[0] - expected) < 1e-5);
  free(normal);
  engine_bench_free(&b);
}
static void test_running_statistics(void **state) {
  (void)state;
  each_engine(keeps_running_statistics);
}

/* What an op cannot take is named with the node. */
static void test_shapes(void **state) {
  (void)state;
  const sap__attributes none = {0};
  sap__graph *graph;
  sap_error err;
  const int input[] = {0, 0};
  int value;
  assert_int_equal(sap__graph_new("wrong", sap__shape_3(1, 4, 4), 3, &graph, &err), SAP_OK);
  const struct {
    sap__op op;
    sap__attributes attributes;
    int inputs;
    const char *text;
  } wrong[] = {
      {SAP_OP_LINEAR, {.linear = {3, 1}}, 1, "x: linear: input of rank 3, expected 1"},
      {SAP_OP_ADD, none, 1, "x: add: 1 inputs, expected 2"},
      {SAP_OP_CONV2D, {.conv2d = {4, {5, 1}, {1, 1}, {0}, {1, 1}, 1, 0}}, 1, "a window of 5 on 4 pixels"},
      {SAP_OP_CONV2D, {.conv2d = {4, {3, 3}, {0, 1}, {0}, {1, 1}, 1, 0}}, 1, "stride 0"},
      {SAP_OP_CONV2D, {.conv2d = {4, {3, 3}, {1, 1}, {-1}, {1, 1}, 1, 0}}, 1, "padding -1"},
      {SAP_OP_CONV2D, {.conv2d = {4, {3, 3}, {1, 1}, {0}, {2, 2}, 1, 0}}, 1, "a window of 5 on 4 pixels"},
      {SAP_OP_CONV2D, {.conv2d = {4, {3, 3}, {1, 1}, {0}, {1, 1}, 2, 0}}, 1, "1 channels to 4 in 2 groups"},
      {SAP_OP_MAX_POOL, {.pool = {{2, 2}, {2, 2}, {2, 0, 0, 0}, 0, 0}}, 1, "expected less than the kernel, 2"},
      {SAP_OP_DROPOUT, {.dropout = {1}}, 1, "rate 1, expected [0, 1)"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    assert_int_equal(sap__graph_add(graph, wrong[i].op, "x", wrong[i].attributes, input, wrong[i].inputs, &value, &err),
                     SAP_ERROR_MISMATCH);
    if (!strstr(err.text, wrong[i].text)) fail_msg("\"%s\", expected \"%s\"", err.text, wrong[i].text);
  }
  assert_int_equal(sap__graph_add(graph, SAP_OP_FLATTEN, "f", none, input, 1, &value, &err), SAP_OK);
  const int mixed[] = {0, value};
  int unused;
  assert_int_equal(sap__graph_add(graph, SAP_OP_ADD, "s", none, mixed, 2, &unused, &err), SAP_ERROR_MISMATCH);
  assert_string_equal(err.text, "s: add: shapes (1, 4, 4) and (16), expected the same");
  assert_int_equal(sap__graph_finish(graph, value, &err), SAP_ERROR_MISMATCH);
  assert_non_null(strstr(err.text, "16 logits"));
  sap__graph_free(graph);
  assert_int_equal(sap__model_graph("lenet", sap__shape_3(1, 4, 4), 3, &graph, &err), SAP_ERROR_ARGUMENT);
  assert_non_null(strstr(err.text, "lenet"));
}

static void test_unread_value(void **state) {
  (void)state;
  sap__graph *graph;
  sap_error err;
  const int input = 0;
  int value, dead;
  assert_int_equal(sap__graph_new("dead", sap__shape_1(3), 3, &graph, &err), SAP_OK);
  assert_int_equal(sap__graph_add(graph, SAP_OP_RELU, "a", (sap__attributes){0}, &input, 1, &value, &err), SAP_OK);
  assert_int_equal(sap__graph_add(graph, SAP_OP_RELU, "b", (sap__attributes){0}, &input, 1, &dead, &err), SAP_OK);
  assert_int_equal(sap__graph_finish(graph, value, &err), SAP_ERROR_MISMATCH);
  assert_string_equal(err.text, "b: nobody reads its output");
  sap__graph_free(graph);
}

/* Parameters without gradients come last, each at a multiple of 64 elements. */
static void test_arena_order(void **state) {
  (void)state;
  for (int i = 0; i < ENGINE_CASES; i++) {
    sap__graph *graph = engine_case_graph(&engine_cases[i]);
    uint64_t ends[2] = {0, graph->trained_count};
    for (int p = 0; p < graph->param_count; p++) {
      const sap__param *param = &graph->params[p];
      uint64_t *end = &ends[!param->trained];
      assert_int_equal(param->offset, *end);
      *end += (param->count + 63) / 64 * 64;
    }
    assert_int_equal(ends[0], graph->trained_count);
    assert_int_equal(ends[1], graph->arena_count);
    sap__graph_free(graph);
  }
}

/* As PyTorch counts them in the networks of the paper's code (make_model and Σ p.numel()). */
static void test_parameter_counts(void **state) {
  (void)state;
  const struct {
    const char *model;
    int64_t channels, side;
    int classes;
    uint64_t count;
  } models[] = {{"linear", 1, 28, 10, 7850},           {"mlp", 1, 28, 10, 136074},
                {"cnn", 3, 32, 10, 1558026},           {"cnn", 1, 28, 10, 1556874},
                {"cnn", 3, 64, 200, 1655496},          {"resnet9", 3, 32, 10, 4901450},
                {"resnet9", 1, 28, 10, 4900298},       {"resnet9", 3, 64, 200, 4998920},
                {"resnet18", 3, 32, 10, 11172170},     {"resnet18", 1, 28, 10, 11171018},
                {"resnet18", 3, 64, 200, 11269640},    {"wresnet28x2", 3, 32, 10, 1467610},
                {"wresnet28x2", 1, 28, 10, 1467322},   {"wresnet28x2", 3, 64, 200, 2840984},
                {"wresnet28x8", 3, 32, 10, 23354842},  {"wresnet28x8", 1, 28, 10, 23354554},
                {"wresnet28x8", 3, 64, 200, 44723864}, {"resnet50", 3, 32, 10, 23528522},
                {"resnet50", 3, 64, 200, 23917832}};
  for (size_t m = 0; m < sizeof models / sizeof models[0]; m++) {
    sap__graph *graph;
    sap__shape input = sap__shape_3(models[m].channels, models[m].side, models[m].side);
    assert_int_equal(sap__model_graph(models[m].model, input, models[m].classes, &graph, NULL), SAP_OK);
    uint64_t count = 0;
    for (int p = 0; p < graph->param_count; p++)
      if (graph->params[p].trained) count += graph->params[p].count;
    if (count != models[m].count)
      fail_msg("%s: %llu parameters, expected %llu", models[m].model, (unsigned long long)count,
               (unsigned long long)models[m].count);
    sap__graph_free(graph);
  }
  for (size_t i = 0; sap_model_name_at(i); i++) { /* any size that a network can take, and an error for others */
    for (int64_t side = 1; side <= 70; side++) {
      sap__graph *graph;
      sap_error err;
      sap_status status = sap__model_graph(sap_model_name_at(i), sap__shape_3(2, side, side + 3), 3, &graph, &err);
      assert_true(status == SAP_OK || (status == SAP_ERROR_MISMATCH && side < 8));
      if (!status) sap__graph_free(graph);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_bf16),         cmocka_unit_test(test_supports),
      cmocka_unit_test(test_compare),      cmocka_unit_test(test_gradient),
      cmocka_unit_test(test_threads),      cmocka_unit_test(test_nonfinite),
      cmocka_unit_test(test_dropout),      cmocka_unit_test(test_running_statistics),
      cmocka_unit_test(test_shapes),       cmocka_unit_test(test_parameter_counts),
      cmocka_unit_test(test_unread_value), cmocka_unit_test(test_arena_order),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
