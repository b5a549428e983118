/* Plans: combinations, names, equal runs, and everything that can be wrong with one. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "alloc_fault.h"
#include "sapwood/plan.h"
#include "scratch.h"
#include "unit.h"

static const char *write_plan(const char *name, const char *text) {
  const char *path = scratch_path(name);
  scratch_write(path, text, strlen(text));
  return path;
}

static sap_plan *open_plan(const char *text) {
  const char *path = write_plan("plan.json", text);
  sap_plan *plan = NULL;
  sap_error err = {.text = ""};
  if (sap_plan_open(&path, 1, &plan, &err)) fail_msg("%s", err.text);
  return plan;
}

static void assert_names(const char *text, const char *const *names) {
  sap_plan *plan = open_plan(text);
  size_t count = 0;
  for (; names[count]; count++) {
    assert_true(count < plan->count);
    assert_string_equal(plan->runs[count].name, names[count]);
  }
  assert_int_equal(plan->count, count);
  sap_plan_free(plan);
}

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_combinations(void **state) {
  (void)state;
  sap_plan *plan = open_plan(
      "{\"common\": {\"data\": \"mnist\", \"model\": \"mlp\", \"epochs\": 7, \"seed\": [3, 4]},\n"
      " \"runs\": [{\"p\": 0.25, \"gamma\": [2, 1e-1]}]}");
  const struct {
    const char *name;
    uint64_t seed;
    double gamma;
  } expected[] = {{"mlp-sap-p0.25-gamma2-seed3", 3, 2},
                  {"mlp-sap-p0.25-gamma0.1-seed3", 3, 0.1},
                  {"mlp-sap-p0.25-gamma2-seed4", 4, 2},
                  {"mlp-sap-p0.25-gamma0.1-seed4", 4, 0.1}};
  assert_int_equal(plan->count, 4);
  for (size_t i = 0; i < 4; i++) {
    const sap_experiment *e = &plan->runs[i].experiment;
    assert_string_equal(plan->runs[i].name, expected[i].name);
    assert_string_equal(e->data, "mnist");
    assert_int_equal(e->seed, expected[i].seed);
    assert_int_equal(e->epochs, 7);
    assert_int_equal(e->iterations, sap_experiment_default().iterations);
    assert_true(e->prune.gamma == expected[i].gamma && e->prune.p == 0.25);
  }
  sap_plan_free(plan);
}

#define COMMON "{\"common\": {\"data\": \"mnist\", \"model\": \"mlp\", \"seed\": [0]}, \"runs\": "

static void test_names_say_what_the_block_says(void **state) {
  (void)state;
  assert_names(COMMON "[{}]}", NAMES("mlp-sap-seed0"));
  assert_names(COMMON "[{\"method\": \"lt\", \"scope\": \"layer\"}]}", NAMES("mlp-lt-layer-seed0"));
  /* Order: that of the settings, whatever that of the block. */
  assert_names(COMMON "[{\"q\": 2, \"p\": 1, \"scope\": \"neuron\", \"method\": \"sap\"}]}",
               NAMES("mlp-sap-neuron-p1-q2-seed0"));
  /* A value of common that is the only one is in no name, unless the block says it again. */
  assert_names("{\"common\": {\"data\": \"mnist\", \"model\": \"mlp\", \"lr\": 0.2}, \"runs\": [{}, {\"lr\": 0.1}]}",
               NAMES("mlp-sap", "mlp-sap-lr0.1"));
  assert_names(COMMON "[{\"rewind\": \"epoch:2\", \"data\": \"mnist:/a b\"}]}",
               NAMES("mlp-sap-mnist__a_b-rewindepoch_2-seed0"));
  assert_names(COMMON "[{\"seed\": \"18446744073709551615\"}]}", NAMES("mlp-sap-seed18446744073709551615"));
}

/* More values and more blocks leave the names that were there. */
static void test_names_are_stable(void **state) {
  (void)state;
  assert_names(COMMON "[{\"method\": [\"sap\", \"lt\"]}]}", NAMES("mlp-sap-seed0", "mlp-lt-seed0"));
  assert_names(COMMON "[{\"method\": [\"sap\", \"os\", \"lt\"]}, {\"p\": [0.1, 0.2]}]}",
               NAMES("mlp-sap-seed0", "mlp-os-seed0", "mlp-lt-seed0", "mlp-sap-p0.1-seed0", "mlp-sap-p0.2-seed0"));
}

static void test_equal_runs_are_planned_once(void **state) {
  (void)state;
  assert_names(COMMON "[{\"p\": [0.5, 0.4, 0.5]}, {\"p\": 0.4, \"eta\": [0, 1]}]}",
               NAMES("mlp-sap-p0.5-seed0", "mlp-sap-p0.4-seed0", "mlp-sap-p0.4-eta1-seed0"));
}

static void test_comments(void **state) {
  (void)state;
  assert_names(
      "// \"a\" /*\n{\"common\": {\"data\": \"mnist:/a//b/*c*/\", /* \"model\": 1,\n */ \"model\": \"mlp\"}, //\n"
      "\"runs\": [{/**/}]} // end",
      NAMES("mlp-sap"));
}

static void test_several_files_are_one_plan(void **state) {
  (void)state;
  const char *paths[] = {write_plan("a.json", COMMON "[{\"p\": [0.1, 0.2]}]}"),
                         write_plan("b.json", COMMON "[{\"p\": [0.2, 0.3]}]}")};
  sap_plan *plan;
  sap_error err;
  assert_int_equal(sap_plan_open(paths, 2, &plan, &err), SAP_OK);
  assert_int_equal(plan->count, 3);
  assert_string_equal(plan->runs[2].name, "mlp-sap-p0.3-seed0");
  sap_plan_free(plan);
}

static void test_many_runs(void **state) {
  (void)state;
  char text[4096] = COMMON "[{\"gamma\": [";
  for (int i = 0; i < 100; i++) snprintf(text + strlen(text), 32, "%s%d", i ? ", " : "", i);
  strcat(text, "], \"eta\": [");
  for (int i = 0; i < 100; i++) snprintf(text + strlen(text), 32, "%s%d", i ? ", " : "", i);
  strcat(text, "]}]}");
  sap_plan *plan = open_plan(text);
  assert_int_equal(plan->count, SAP_PLAN_RUNS_MAX);
  assert_string_equal(plan->runs[9999].name, "mlp-sap-eta99-gamma99-seed0");
  sap_plan_free(plan);
}

static void test_malformed(void **state) {
  (void)state;
  const struct {
    const char *text, *message; /* how the error goes on after the file's name */
  } cases[] = {
      {"", ": line 1: '[' or '{' expected near end of file"},
      {"{\n\"runs\": [{},\n]}", ": line 3: unexpected token near ']'"},
      {"{\"runs\":\n[{\"p\": 1, \"p\": 1}]}", ": line 2: duplicate object key near '\"p\"'"},
      {"{\n\n/* ", ": line 3: a comment that nothing ends"},
      {"[]", ": expected an object"},
      {"{}", ": runs: expected a list of at least one object"},
      {"{\"runs\": []}", ": runs: expected a list of at least one object"},
      {"{\"runs\": {}}", ": runs: expected a list of at least one object"},
      {"{\"runs\": [1]}", ": runs[0]: expected an object of settings"},
      {"{\"common\": 1, \"runs\": [{}]}", ": common: expected an object of settings"},
      {"{\"run\": [{}]}", ": unknown key run, expected common and runs"},
      {"{\"runs\": [{\"model\": \"mlp\"}]}", ": runs[0]: no data"},
      {"{\"runs\": [{\"data\": \"mnist\"}]}", ": runs[0]: no model"},
      {COMMON "[{}, {\"scop\": 1}]}", ": runs[1]: scop: unknown setting; see sapwood train --help"},
      {"{\"common\": {\"lrr\": 1}, \"runs\": [{}]}", ": runs[0]: lrr: unknown setting; see sapwood train --help"},
      {COMMON "[{\"p\": []}]}", ": runs[0]: p: an empty list, expected values"},
      {COMMON "[{\"p\": null}]}", ": runs[0]: p: expected a number, a string or a list of these"},
      {COMMON "[{\"p\": [0.5, [1]]}]}", ": runs[0]: p: expected a number, a string or a list of these"},
      {COMMON "[{\"p\": 2}]}", ": runs[0]: p 2, q 1: expected 0 < p < q <= 64"},
      {COMMON "[{\"epochs\": 1.5}]}", ": runs[0]: epochs 1.5: expected 1 <= epochs <= 100000"},
      {COMMON "[{\"epochs\": 0}]}", ": runs[0]: epochs 0: expected 1 <= epochs <= 100000"},
      {COMMON "[{\"method\": \"spa\"}]}", ": runs[0]: method spa: expected sap, lt, os or dense"},
      {COMMON "[{\"model\": \"mlpp\"}]}", ": runs[0]: model mlpp: expected one of linear, mlp"},
      {COMMON "[{\"data\": \"mnist:a/b\"}, {\"data\": \"mnist:a_b\"}]}",
       ": runs[1]: two different runs would be named mlp-sap-mnist_a_b-seed0"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const char *path = write_plan("bad.json", cases[i].text);
    sap_plan *plan = NULL;
    sap_error err = {.text = ""};
    assert_int_equal(sap_plan_open(&path, 1, &plan, &err), SAP_ERROR_FORMAT);
    assert_null(plan);
    const char *found = strstr(err.text, "bad.json");
    assert_non_null(found);
    if (strncmp(found + strlen("bad.json"), cases[i].message, strlen(cases[i].message)))
      fail_msg("%s, expected %s", found, cases[i].message);
  }
}

static void test_too_much(void **state) {
  (void)state;
  char text[8192] = COMMON "[{\"gamma\": [0";
  for (int i = 1; i < 100; i++) snprintf(text + strlen(text), 32, ", %d", i);
  strcat(text, "], \"eta\": [0");
  for (int i = 1; i < 101; i++) snprintf(text + strlen(text), 32, ", %d", i);
  strcat(text, "]}]}");
  const char *path = write_plan("bad.json", text);
  sap_plan *plan = NULL;
  sap_error err = {.text = ""};
  assert_int_equal(sap_plan_open(&path, 1, &plan, &err), SAP_ERROR_FORMAT);
  assert_non_null(strstr(err.text, "runs[0]: more than 10000 runs"));
  strcpy(text, COMMON "[{\"data\": \"mnist:");
  memset(text + strlen(text), 'x', 300);
  strcpy(text + strlen(COMMON) + 17 + 300, "\"}]}");
  path = write_plan("bad.json", text);
  assert_int_equal(sap_plan_open(&path, 1, &plan, &err), SAP_ERROR_FORMAT);
  assert_non_null(strstr(err.text, "a name of more than 198 bytes"));
}

static void test_no_file(void **state) {
  (void)state;
  const char *path = scratch_path("none.json");
  sap_plan *plan = NULL;
  sap_error err = {.text = ""};
  assert_int_equal(sap_plan_open(&path, 1, &plan, &err), SAP_ERROR_NOT_FOUND);
  assert_non_null(strstr(err.text, "none.json"));
  assert_int_equal(sap_plan_open(NULL, 0, &plan, &err), SAP_ERROR_ARGUMENT);
}

static void test_every_allocation_may_fail(void **state) {
  (void)state;
  const char *path = write_plan("plan.json", COMMON
                                "[{\"p\": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9], "
                                "\"eta\": [0, 1, 2, 3, 4, 5, 6, 7, 8]}]}");
  for (long k = 1;; k++) {
    const size_t before = fault_live();
    sap_plan *plan = NULL;
    sap_error err;
    fault_arm(k);
    const sap_status status = sap_plan_open(&path, 1, &plan, &err);
    if (!fault_disarm()) {
      assert_int_equal(status, SAP_OK);
      assert_int_equal(plan->count, 81);
      sap_plan_free(plan);
      assert_true(k > 20);
      break;
    }
    assert_int_equal(status, SAP_ERROR_MEMORY);
    assert_null(plan);
    assert_int_equal(fault_live(), before);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_combinations),
      cmocka_unit_test(test_names_say_what_the_block_says),
      cmocka_unit_test(test_names_are_stable),
      cmocka_unit_test(test_equal_runs_are_planned_once),
      cmocka_unit_test(test_comments),
      cmocka_unit_test(test_several_files_are_one_plan),
      cmocka_unit_test(test_many_runs),
      cmocka_unit_test(test_malformed),
      cmocka_unit_test(test_too_much),
      cmocka_unit_test(test_no_file),
      cmocka_unit_test(test_every_allocation_may_fail),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
