/* Each allocation of measuring, selecting and pruning fails in turn: nothing leaks, nothing is written. */
#include "alloc_fault.h"
#include "unit.h"
#include "weights.h"

#define N 6000
static float w[N];
static uint64_t masks[2][N / 64 + 1];
static sap_layer layers[2];

static int prepare(void **state) {
  (void)state;
  weights_fill(w, N, WEIGHTS_NORMAL);
  sap_mask_fill(masks[0], 4000);
  sap_mask_fill(masks[1], 2000);
  layers[0] = (sap_layer){"a", w, SAP_F32, 4000, 40, masks[0], 0};
  layers[1] = (sap_layer){"b", w + 4000, SAP_F32, 2000, 1, masks[1], 0};
  return 0;
}

static void expect_failure(sap_status status, const sap_error *err, size_t before) {
  assert_int_equal(status, SAP_ERROR_MEMORY);
  assert_int_equal(err->code, SAP_ERROR_MEMORY);
  assert_memory_equal(err->text, "no memory for ", 14);
  assert_int_equal(fault_live(), before);
}

static void gini(void **state) {
  (void)state;
  for (long k = 1;; k++) {
    size_t before = fault_live();
    sap_error err = {0};
    double value = 7;
    fault_arm(k);
    sap_status status = sap_gini(layers, 2, &value, &err);
    if (!fault_disarm()) {
      assert_int_equal(status, SAP_OK);
      assert_true(value > 0.3 && value < 0.5);
      assert_int_equal(fault_live(), before);
      assert_true(k > 2);
      return;
    }
    expect_failure(status, &err, before);
    assert_true(value == 7);
  }
}

static void selection(void **state) {
  (void)state;
  for (long k = 1;; k++) {
    size_t before = fault_live();
    sap_error err = {0};
    sap_selection s = {1, 2, 3, 4, 0};
    fault_arm(k);
    sap_status status = sap_select_smallest(layers, 2, 100, &s, &err);
    if (!fault_disarm()) {
      assert_int_equal(status, SAP_OK);
      assert_int_equal(s.count, 100);
      assert_int_equal(fault_live(), before);
      assert_true(k > 2);
      return;
    }
    expect_failure(status, &err, before);
    assert_true(s.count == 1 && s.key == 2 && s.ties == 3 && s.ties_total == 4);
  }
}

static void decision(void **state) {
  (void)state;
  for (int scope = 0; scope < SAP_SCOPE_COUNT; scope++) {
    sap_prune_options o = sap_prune_options_default();
    o.scope = (sap_scope)scope;
    for (long k = 1;; k++) {
      size_t before = fault_live();
      sap_error err = {0};
      sap_decision *made = NULL;
      fault_arm(k);
      sap_status status = sap_prune_decide(layers, 2, &o, &made, &err);
      if (!fault_disarm()) {
        assert_int_equal(status, SAP_OK);
        fault_arm(1); /* applying takes no memory */
        sap_prune_apply(layers, 2, made);
        assert_false(fault_disarm());
        assert_true(made->pruned > 500);
        sap_decision_free(made);
        assert_int_equal(fault_live(), before);
        assert_true(k > 5);
        break;
      }
      expect_failure(status, &err, before);
      assert_null(made);
      assert_int_equal(sap_mask_count(masks[0], 4000) + sap_mask_count(masks[1], 2000), N);
    }
    prepare(NULL);
  }
}

static void scope_index(void **state) {
  (void)state;
  for (int scope = 0; scope < SAP_SCOPE_COUNT; scope++) {
    size_t before = fault_live();
    sap_error err = {0};
    double pqi = 7;
    fault_arm(1);
    expect_failure(sap_measure_scope(layers, 2, (sap_scope)scope, 0.5, 1, NULL, NULL, &pqi, &err), &err, before);
    assert_true(pqi == 7);
    fault_arm(2);
    assert_int_equal(sap_measure_scope(layers, 2, (sap_scope)scope, 0.5, 1, NULL, NULL, &pqi, &err), SAP_OK);
    assert_false(fault_disarm());
    assert_int_equal(fault_live(), before);
  }
}

/* What takes no memory must not start to. */
static void norms(void **state) {
  (void)state;
  sap_norms each[2], global, rows[40];
  fault_arm(1);
  assert_int_equal(sap_measure(layers, 2, 0.5, 1, each, &global, NULL), SAP_OK);
  assert_int_equal(sap_measure_neurons(&layers[0], 0.5, 1, rows, NULL), SAP_OK);
  assert_false(fault_disarm());
  assert_int_equal(global.count, N);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(gini, prepare),     cmocka_unit_test_setup(selection, prepare),
      cmocka_unit_test_setup(decision, prepare), cmocka_unit_test_setup(scope_index, prepare),
      cmocka_unit_test_setup(norms, prepare),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
