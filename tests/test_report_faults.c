/* Missing memory while runs are read, grouped and written: SAP_ERROR_MEMORY, and nothing leaks. */
#include <string.h>
#include <sys/stat.h>

#include "alloc_fault.h"
#include "sapwood/report.h"
#include "scratch.h"
#include "unit.h"

static const char config[] =
    "{\"sapwood\":\"0.1.0\",\"settings\":{\"data\":\"mnist\",\"model\":\"mlp\",\"iterations\":3,"
    "\"seed\":\"%d\",\"ratio\":0.%d,\"method\":\"%s\"}}";
static const char line[] =
    "{\"event\":\"iteration\",\"iteration\":%d,\"density\":%g,\"test_accuracy\":0.9,\"pqi\":0.2,\"gini\":0.4,"
    "\"pruned_model\":{\"test_accuracy\":0.8,\"pqi\":0.1},\"layers\":[{\"name\":\"a\",\"total\":10,\"kept\":5}]}\n";

static void make_run(const char *name, int seed, int ratio, const char *method) {
  char path[600], text[4096];
  mkdir(scratch_path(name), 0777);
  snprintf(path, sizeof path, "%s/config.json", scratch_path(name));
  scratch_write(path, text, (size_t)snprintf(text, sizeof text, config, seed, ratio, method));
  size_t length = 0;
  for (int t = 0; t <= 3; t++) length += (size_t)snprintf(text + length, sizeof text - length, line, t, 1.0 / (1 + t));
  length += (size_t)snprintf(text + length, sizeof text - length, "{\"half");
  snprintf(path, sizeof path, "%s/metrics.jsonl", scratch_path(name));
  scratch_write(path, text, length);
}

/* Everything that needs no other program, until the first failure. */
static sap_status make_all(const char *folder, sap_error *err) {
  sap_report *report = NULL;
  sap_status status = sap_report_open(&folder, 1, &report, err);
  if (status) assert_null(report);
  if (!status) status = sap_report_write_page(report, scratch_path("page.html"), err);
  for (size_t i = 0; sap_report_table_name_at(i) && !status; i++)
    status = sap_report_write_table(report, i, scratch_path("table.csv"), err);
  sap_report_close(report);
  return status;
}

static void test_every_allocation(void **state) {
  (void)state;
  mkdir(scratch_path("runs"), 0777);
  make_run("runs/a", 0, 1, "lt");
  make_run("runs/b", 1, 1, "lt");
  make_run("runs/c", 0, 2, "lt");
  make_run("runs/d", 0, 2, "lt"); /* a duplicate */
  make_run("runs/e", 0, 2, "sap");
  long k = 1;
  for (;; k++) {
    const size_t before = fault_live();
    sap_error err = {0};
    fault_arm(k);
    const sap_status status = make_all(scratch_path("runs"), &err);
    const int happened = fault_disarm();
    assert_int_equal(fault_live(), before);
    if (!happened) {
      assert_int_equal(status, SAP_OK);
      break;
    }
    if (status != SAP_ERROR_MEMORY) fail_msg("allocation %ld: %s: %s", k, sap_status_name(status), err.text);
    assert_true(strlen(err.text) > 0);
  }
  assert_true(k > 100);
}

static void test_arguments(void **state) {
  (void)state;
  const char *folder = scratch_path("runs");
  sap_report *report;
  sap_error err;
  assert_int_equal(sap_report_open(&folder, 1, &report, &err), SAP_OK);
  assert_int_equal(sap_report_write_table(report, 100, scratch_path("x"), &err), SAP_ERROR_ARGUMENT);
  assert_int_equal(sap_report_write_figure(report, 0, 100, SAP_FIGURE_SVG, scratch_path("x"), &err),
                   SAP_ERROR_ARGUMENT);
  assert_int_equal(sap_report_write_figure(report, 1, 0, SAP_FIGURE_SVG, scratch_path("x"), &err), SAP_ERROR_ARGUMENT);
  assert_null(sap_report_series_at(report, 3));
  assert_null(sap_report_words(report, 1));
  assert_null(sap_report_section_name(report, 1));
  assert_string_equal(sap_report_section_name(report, 0), "mlp-mnist");
  assert_string_equal(sap_report_series_at(report, 0)->name, "lt ratio 0.1");
  assert_int_equal(sap_report_series_at(report, 0)->runs, 2);
  sap_report_close(report);
  assert_int_equal(sap_report_open(NULL, 0, &report, &err), SAP_ERROR_NOT_FOUND);
  sap_report_close(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_allocation), cmocka_unit_test(test_arguments)};
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
