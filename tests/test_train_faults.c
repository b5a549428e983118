/* Failing allocations, one by one, in the calls that train and evaluate: no leak, no crash, a clear error. */
#include <string.h>

#include "alloc_fault.h"
#include "sapwood/sapwood.h"
#include "scratch.h"
#include "tiny_data.h"
#include "unit.h"

static sap_experiment tiny(const char *data) {
  sap_experiment e = sap_experiment_default();
  snprintf(e.data, sizeof e.data, "%s", data);
  strcpy(e.model, "linear");
  e.iterations = 1;
  e.epochs = 1;
  e.batch = 40;
  e.threads = 1;
  e.prune.method = SAP_METHOD_OS; /* the method that needs most */
  e.select = SAP_PICK_BEST_TEST;
  e.stop = SAP_STOP_AUTO;
  return e;
}

static void remove_run(const char *run) { scratch_remove(run); }

/* Whatever fails, what is on the disk is nothing or a run that resumes. */
static void test_run(void **state) {
  (void)state;
  sap_experiment e = tiny(tiny_data(100, 30));
  const char *run = scratch_path("run");
  long k = 1;
  for (;; k++) {
    size_t before = fault_live();
    sap_error err = {0};
    fault_arm(k);
    sap_status status = sap_experiment_run(&e, run, 0, NULL, &err);
    if (!fault_disarm()) {
      assert_int_equal(status, SAP_OK);
      break;
    }
    if (status != SAP_ERROR_MEMORY) fail_msg("allocation %ld: %s: %s", k, sap_status_name(status), err.text);
    assert_true(strlen(err.text) > 0);
    assert_int_equal(fault_live(), before);
    sap_experiment found;
    if (!sap_experiment_load(run, &found, NULL)) assert_int_equal(sap_experiment_run(&e, run, 1, NULL, NULL), SAP_OK);
    remove_run(run);
  }
  assert_true(k > 40);
}

static void test_evaluate(void **state) {
  (void)state;
  const char *run = scratch_path("run"); /* of the test before */
  sap_evaluate_options options = sap_evaluate_options_default();
  sap_evaluation evaluation, untouched;
  memset(&untouched, 7, sizeof untouched);
  for (long k = 1;; k++) {
    size_t before = fault_live();
    evaluation = untouched;
    fault_arm(k);
    sap_status status = sap_evaluate(run, &options, &evaluation, NULL);
    if (!fault_disarm()) {
      assert_int_equal(status, SAP_OK);
      assert_int_equal(evaluation.count, 30);
      assert_int_equal(fault_live(), before);
      break;
    }
    assert_int_equal(status, SAP_ERROR_MEMORY);
    assert_int_equal(fault_live(), before);
    assert_memory_equal(&evaluation, &untouched, sizeof evaluation);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_run), cmocka_unit_test(test_evaluate)};
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
