/* The parts of training: settings, the optimizer's step, batches, records. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "data/loader.h"
#include "graph/zoo/zoo.h"
#include "sapwood/sapwood.h"
#include "scratch.h"
#include "tiny_data.h"
#include "train/arena.h"
#include "train/record.h"
#include "train/settings.h"
#include "train/step.h"
#include "unit.h"

static sap_experiment valid(void) {
  sap_experiment e = sap_experiment_default();
  strcpy(e.data, "fashion-mnist");
  strcpy(e.model, "mlp");
  return e;
}

/* What get writes, set reads: for every setting, from the defaults and from odd values. */
static void test_settings_round_trip(void **state) {
  (void)state;
  sap_experiment e = valid(), copy = {0};
  e.prune.p = 0.1;
  e.lr = 1.0 / 3;
  e.rewind = 7;
  e.seed = UINT64_MAX;
  e.select = SAP_PICK_BEST_VALIDATION;
  e.prune.scope = SAP_SCOPE_NEURON;
  size_t count;
  const sap_setting *settings = sap_experiment_settings(&count);
  for (size_t i = 0; i < count; i++) {
    char text[SAP_TEXT_SIZE];
    sap_experiment_get(&e, &settings[i], text, sizeof text);
    assert_int_equal(sap_experiment_set(&copy, &settings[i], text, NULL), SAP_OK);
    assert_memory_equal((char *)&copy + settings[i].offset, (char *)&e + settings[i].offset,
                        settings[i].type == SAP_SETTING_TEXT ? strlen(text) + 1 : settings[i].size);
  }
}

static void test_settings_refuse(void **state) {
  (void)state;
  const char *const bad[][2] = {
      {"p", "half"},        {"p", ""},
      {"p", "nan"},         {"p", "inf"},
      {"epochs", "1.5"},    {"epochs", "ten"},
      {"epochs", "9e9"},    {"seed", "-1"},
      {"seed", "1x"},       {"seed", "18446744073709551616"},
      {"method", "gmp"},    {"scope", "Global"},
      {"select", "best"},   {"rewind", "epoch:0"},
      {"rewind", "epoch:"}, {"rewind", "back"},
      {"data", ""},
  };
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    sap_experiment e = valid(), before = e;
    sap_error err;
    const sap_setting *setting = sap__setting_find(bad[i][0]);
    assert_int_equal(sap_experiment_set(&e, setting, bad[i][1], &err), SAP_ERROR_ARGUMENT);
    assert_memory_equal(err.text, bad[i][0], strlen(bad[i][0]));
    assert_non_null(strstr(err.text, setting->range));
    assert_memory_equal(&e, &before, sizeof e);
  }
}

/* One setting out of its range, and the check names it first. */
static void test_check(void **state) {
  (void)state;
  const char *const bad[][2] = {
      {"p", "1"},           {"p", "-0.5"},           {"q", "0.25"},
      {"q", "65"},          {"eta", "-1"},           {"gamma", "-0.1"},
      {"beta", "1.5"},      {"beta", "-0.1"},        {"ratio", "1"},
      {"iterations", "-1"}, {"iterations", "1001"},  {"epochs", "0"},
      {"batch", "0"},       {"batch", "65537"},      {"lr", "0"},
      {"lr", "-1"},         {"momentum", "1"},       {"weight-decay", "-1"},
      {"clip", "-1"},       {"rewind", "epoch:201"}, {"validation", "-1"},
      {"stop-after", "0"},  {"threads", "-1"},       {"threads", "1025"},
      {"data", "imagenet"}, {"model", "vgg"},        {"engine", "gpu"},
  };
  sap_experiment good = valid();
  assert_int_equal(sap_experiment_check(&good, NULL), SAP_OK);
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    sap_experiment e = valid();
    sap_error err = {0};
    assert_int_equal(sap_experiment_set(&e, sap__setting_find(bad[i][0]), bad[i][1], NULL), SAP_OK);
    assert_int_equal(sap_experiment_check(&e, &err), SAP_ERROR_ARGUMENT);
    if (strncmp(err.text, bad[i][0], strlen(bad[i][0])) && strcmp(bad[i][0], "q"))
      fail_msg("%s %s: %s", bad[i][0], bad[i][1], err.text);
    assert_non_null(strstr(err.text, "expected"));
  }
  sap_experiment e = valid();
  e.select = SAP_PICK_BEST_VALIDATION; /* needs pictures to look at */
  assert_int_equal(sap_experiment_check(&e, NULL), SAP_ERROR_ARGUMENT);
  e.validation = 100;
  assert_int_equal(sap_experiment_check(&e, NULL), SAP_OK);
}

enum { N = 64 * 517 };

/* Against the formula in double, element by element, with pruned weights staying where they are: at 0. */
static void test_step(void **state) {
  (void)state;
  float *w = sap__calloc(N, sizeof *w), *g = sap__calloc(N, sizeof *g), *v = sap__calloc(N, sizeof *v);
  uint64_t *mask = sap__calloc(N / 64, sizeof *mask);
  sap__random random = sap__random_stream(3, 0, 0, 0);
  sap__step step = {.lr = 0.05f, .momentum = 0.9f, .weight_decay = 5e-4f, .clip = 0.25f};
  for (int i = 0; i < N; i++) {
    int kept = sap__random_below(&random, 3) > 0;
    if (kept) sap_mask_set(mask, (uint64_t)i);
    w[i] = kept ? (float)(sap__random_unit(&random) - 0.5) : 0;
    v[i] = kept ? (float)(sap__random_unit(&random) - 0.5) : 0;
    g[i] = (float)(sap__random_unit(&random) - 0.5);
  }
  float *w0 = malloc(N * sizeof *w), *v0 = malloc(N * sizeof *v);
  memcpy(w0, w, N * sizeof *w);
  memcpy(v0, v, N * sizeof *v);
  sap__step_run(&step, w, g, v, mask, N);
  for (int i = 0; i < N; i++) {
    int kept = sap_mask_get(mask, (uint64_t)i);
    double gradient = kept * 0.25 * (double)g[i] + (double)step.weight_decay * (double)w0[i];
    double velocity = (double)step.momentum * (double)v0[i] + gradient;
    double weight = (double)w0[i] - (double)step.lr * (gradient + (double)step.momentum * velocity);
    assert_true(fabs((double)v[i] - velocity) < 1e-6);
    assert_true(fabs((double)w[i] - weight) < 1e-6);
    if (!kept) assert_true(w[i] == 0 && v[i] == 0);
  }
  free(w0);
  free(v0);
  sap__free(w);
  sap__free(g);
  sap__free(v);
  sap__free(mask);
}

static void test_norm(void **state) {
  (void)state;
  enum { LARGE = 1 << 20 };
  float *g = sap__calloc(LARGE, sizeof *g);
  sap__random random = sap__random_stream(4, 0, 0, 0);
  double sum = 0;
  for (int i = 0; i < LARGE; i++) {
    g[i] = (float)((sap__random_unit(&random) - 0.5) * (i % 1000 ? 1e-3 : 1e25)); /* squares overflow a float */
    sum += (double)g[i] * (double)g[i];
  }
  sap_threads_set(1);
  double norm = sap__step_norm(g, LARGE);
  assert_true(fabs(norm / sqrt(sum) - 1) < 1e-12);
  for (int threads = 2; threads <= 5; threads++) {
    sap_threads_set(threads);
    assert_true(sap__step_norm(g, LARGE) == norm);
  }
  sap_threads_set(0);
  g[12345] = NAN;
  assert_true(isnan(sap__step_norm(g, LARGE)));
  g[12345] = INFINITY;
  assert_true(isinf(sap__step_norm(g, LARGE)));
  sap__free(g);
  assert_true(sap__step_clip(0.5, 1) == 1 && sap__step_clip(100, 0) == 1);
  assert_true(fabs((double)sap__step_clip(4, 1) - 0.25) < 1e-6);
}

static int is_permutation(const uint32_t *order, uint32_t count, uint32_t limit) {
  uint8_t *seen = calloc(limit, 1);
  int ok = 1;
  for (uint32_t i = 0; i < count; i++) ok &= order[i] < limit && !seen[order[i]]++;
  free(seen);
  return ok;
}

static void test_loader(void **state) {
  (void)state;
  sap_dataset *set;
  assert_int_equal(sap_dataset_open(tiny_data(300, 50), NULL, &set, NULL), SAP_OK);
  sap__loader a, b, held;
  assert_int_equal(sap__loader_new(set, &set->train, &a, NULL), SAP_OK);
  assert_int_equal(sap__loader_new(set, &set->train, &b, NULL), SAP_OK);
  sap__loader_shuffle(&a, 5, 2, 3);
  sap__loader_shuffle(&b, 5, 9, 9);
  assert_true(is_permutation(a.order, 300, 300) && is_permutation(b.order, 300, 300));
  assert_memory_not_equal(a.order, b.order, 300 * sizeof *a.order);
  sap__loader_shuffle(&b, 5, 2, 3); /* what came before does not matter */
  assert_memory_equal(a.order, b.order, 300 * sizeof *a.order);
  int moved = 0;
  for (uint32_t i = 0; i < 300; i++) moved += a.order[i] != i;
  assert_true(moved > 250);

  float *x = malloc(4 * 784 * sizeof *x);
  uint8_t labels[4];
  sap__loader_fill(&a, 10, 4, x, labels);
  for (int i = 0; i < 4; i++) {
    uint32_t number = a.order[10 + i];
    assert_int_equal(labels[i], set->train.labels[number]);
    for (int k = 0; k < 784; k++) {
      double expected = (set->train.pixels[number * 784 + (uint32_t)k] / 255.0 - 0.2860) / 0.3530;
      assert_true(fabs((double)x[i * 784 + k] - expected) < 1e-5);
    }
  }
  free(x);

  assert_int_equal(sap__loader_hold_out(&b, 60, 5, &held, NULL), SAP_OK);
  assert_int_equal(b.count, 240);
  assert_int_equal(held.count, 60);
  uint32_t all[300];
  memcpy(all, b.pictures, 240 * sizeof *all);
  memcpy(all + 240, held.pictures, 60 * sizeof *all);
  assert_true(is_permutation(all, 300, 300));
  sap__loader_shuffle(&b, 1, 1, 1);
  assert_true(is_permutation(b.order, 240, 300));
  sap__loader_free(&a);
  sap__loader_free(&b);
  sap__loader_free(&held);
  sap_dataset_free(set);
}

static void test_records(void **state) {
  (void)state;
  sap_epoch_record epoch = {.iteration = 2,
                            .epoch = 3,
                            .lr = 0.1,
                            .train_loss = 0.25,
                            .test_loss = NAN,
                            .validation_loss = NAN,
                            .validation_accuracy = NAN};
  char *line = sap__epoch_line(&epoch);
  assert_true(line[strlen(line) - 1] == '\n' && !strchr(line, '\n')[1]);
  json_t *object = json_loads(line, 0, NULL);
  assert_true(json_number_value(json_object_get(object, "lr")) == 0.1);
  assert_true(json_is_null(json_object_get(object, "test_loss")));
  assert_null(json_object_get(object, "validation_loss"));
  json_decref(object);
  free(line);
  sap_layer_record layers[2] = {{.name = "a", .guarded = 1}, {.name = "b", .degenerate = 1}};
  sap_iteration_record iteration = {.pruned_test_accuracy = NAN, .pruned_pqi = 0.5, .layer_count = 2, .layers = layers};
  line = sap__iteration_line(&iteration);
  object = json_loads(line, 0, NULL);
  json_t *guarded = json_object_get(object, "guarded");
  assert_int_equal(json_array_size(guarded), 1);
  assert_string_equal(json_string_value(json_array_get(guarded, 0)), "a");
  json_t *pruned = json_object_get(object, "pruned_model");
  assert_true(json_is_null(json_object_get(pruned, "test_accuracy")));
  assert_true(json_real_value(json_object_get(pruned, "pqi")) == 0.5);
  json_decref(object);
  free(line);
}

static void test_status(void **state) {
  (void)state;
  assert_string_equal(sap_status_name(SAP_ERROR_FORMAT), "SAP_ERROR_FORMAT");
  assert_string_equal(sap_status_text(SAP_OK), "success");
  assert_string_equal(sap_status_name((sap_status)99), "SAP_UNKNOWN");
  assert_non_null(strstr(sap_status_text((sap_status)99), "not know"));
}

/* Convolutions start from N(0, 2 / fan out), linear layers evenly within ±1/√inputs, batch norm from 1, 0, 0, 1. */
static void test_initial_weights(void **state) {
  (void)state;
  sap__graph *graph;
  sap__arena *arena;
  assert_int_equal(sap__model_graph("resnet9", sap__shape_3(3, 32, 32), 10, &graph, NULL), SAP_OK);
  assert_int_equal(sap__arena_new(graph, 0, &arena, NULL), SAP_OK);
  sap__arena_initialise(arena, 3);
  const struct {
    const char *name;
    double deviation, outside; /* of σ from 0; share of the weights further away than 2 σ */
  } drawn[] = {{"layer2.0.conv1.weight", sqrt(2.0 / (128 * 9)), 0.0455},
               {"layer2.0.shortcut.weight", sqrt(2.0 / 128), 0.0455},
               {"linear.weight", 1 / sqrt(3 * 512.0), 0}};
  for (size_t i = 0; i < sizeof drawn / sizeof *drawn; i++) {
    const sap__param *param = sap__graph_find_param(graph, drawn[i].name);
    double sum = 0, squares = 0, outside = 0, count = (double)param->count;
    for (uint64_t k = 0; k < param->count; k++) {
      double w = (double)arena->weights[param->offset + k];
      sum += w;
      squares += w * w;
      outside += fabs(w) > 2 * drawn[i].deviation;
    }
    assert_true(fabs(sum / count) < 4 * drawn[i].deviation / sqrt(count));
    assert_true(fabs(sqrt(squares / count) / drawn[i].deviation - 1) < 4 / sqrt(count));
    assert_true(fabs(outside / count - drawn[i].outside) < 0.01);
  }
  const struct {
    const char *name;
    float value;
  } fixed[] = {{"n4.weight", 1}, {"n4.bias", 0}, {"n4.running_mean", 0}, {"n4.running_var", 1}, {"linear.bias", 0}};
  for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
    const sap__param *param = sap__graph_find_param(graph, fixed[i].name);
    for (uint64_t k = 0; k < param->count; k++) assert_true(arena->weights[param->offset + k] == fixed[i].value);
  }
  sap__arena_free(arena);
  sap__graph_free(graph);
}

/* Streams of different names look unrelated, and the unit interval is filled evenly. */
static void test_random(void **state) {
  (void)state;
  sap__random a = sap__random_stream(1, 2, 3, 4), b = sap__random_stream(1, 2, 4, 3);
  int equal = 0, bins[16] = {0};
  for (int i = 0; i < 16000; i++) {
    uint64_t x = sap__random_next(&a);
    equal += x == sap__random_next(&b);
    bins[x >> 60]++;
  }
  assert_int_equal(equal, 0);
  for (int i = 0; i < 16; i++) assert_in_range(bins[i], 850, 1150);
  for (int i = 0; i < 1000; i++) assert_true(sap__random_below(&a, 7) < 7);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_settings_round_trip),
      cmocka_unit_test(test_settings_refuse),
      cmocka_unit_test(test_check),
      cmocka_unit_test(test_step),
      cmocka_unit_test(test_norm),
      cmocka_unit_test(test_loader),
      cmocka_unit_test(test_records),
      cmocka_unit_test(test_initial_weights),
      cmocka_unit_test(test_random),
      cmocka_unit_test(test_status),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
