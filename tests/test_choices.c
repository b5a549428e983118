/* Choices of plans: found, replaced, written and read, only on the machine that made them; and a plan made by trying.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/choices.h"
#include "engine_cases.h"
#include "unit.h"

static void test_adding(void **state) {
  (void)state;
  sap__choices *choices = sap__choices_new();
  const char *key, *choice;
  assert_null(sap__choices_find(choices, "a"));
  assert_int_equal(sap__choices_add(choices, "a", "1", NULL), SAP_OK);
  assert_int_equal(sap__choices_add(choices, "b", "2", NULL), SAP_OK);
  assert_int_equal(sap__choices_add(choices, "a", "3", NULL), SAP_OK);
  assert_int_equal(sap__choices_count(choices), 2);
  assert_string_equal(sap__choices_find(choices, "a"), "3");
  assert_true(sap__choices_at(choices, 1, &key, &choice));
  assert_string_equal(key, "b");
  assert_string_equal(choice, "2");
  assert_false(sap__choices_at(choices, 2, &key, &choice));
  sap__choices_free(choices);
}

static void write_text(const char *path, const char *text) {
  FILE *file = fopen(path, "w");
  fputs(text, file);
  fclose(file);
}

static void test_file(void **state) {
  (void)state;
  char path[] = "/tmp/sapwood-choices-XXXXXX";
  close(mkstemp(path));
  sap__choices *written = sap__choices_new(), *read = sap__choices_new();
  assert_int_equal(sap__choices_add(written, "a \"quoted\" key", "direct 0", NULL), SAP_OK);
  assert_int_equal(sap__choices_write(written, path, "this one", NULL), SAP_OK);
  assert_int_equal(sap__choices_read(read, path, "another", NULL), SAP_OK);
  assert_int_equal(sap__choices_count(read), 0);
  assert_int_equal(sap__choices_read(read, path, "this one", NULL), SAP_OK);
  assert_string_equal(sap__choices_find(read, "a \"quoted\" key"), "direct 0");
  const struct {
    const char *text, *message;
  } broken[] = {
      {"", ": plan: '[' or '{' expected near end of file"},
      {"[]", ": the plan is not a JSON object"},
      {"{\"machine\": \"this one\"}", ": expected \"machine\", a text, and \"choices\", an object"},
      {"{\"machine\": 1, \"choices\": {}}", ": expected \"machine\", a text, and \"choices\", an object"},
      {"{\"machine\": \"this one\", \"choices\": {\"a\": \"b\", \"a\": \"c\"}}", ": plan: duplicate object key near"},
  };
  for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
    sap_error err;
    write_text(path, broken[i].text);
    assert_int_equal(sap__choices_read(read, path, "this one", &err), SAP_ERROR_FORMAT);
    assert_true(!strncmp(err.text, path, strlen(path)));
    if (strncmp(err.text + strlen(path), broken[i].message, strlen(broken[i].message)))
      fail_msg("\"%s\", expected \"%s\"", err.text, broken[i].message);
  }
  unlink(path);
  assert_int_equal(sap__choices_read(read, path, "this one", NULL), SAP_ERROR_NOT_FOUND);
  sap__choices_free(written);
  sap__choices_free(read);
}

static int remembers(const sap__choices *choices, const char *word) {
  const char *key, *choice;
  for (size_t i = 0; sap__choices_at(choices, i, &key, &choice); i++)
    if (strstr(key, word)) return 1;
  return 0;
}

/* A plan made by trying computes like one made without; made again from the choices it is the same to the bit. */
static void test_trying(void **state) {
  (void)state;
  static const engine_case c = CASE("tried", 1, 12, 12, 4, 6, CONV(32, 3, 1, 1), NORM, RELU, CONV_BIAS(32, 3, 1, 1),
                                    SIGMOID, CONV(48, 3, 2, 1), MEAN, FLATTEN, LINEAR(4));
  const sap__engine *engine = sap__engine_find(NULL);
  if (!engine->describe_machine) skip();
  sap__choices *choices = sap__choices_new();
  engine_bench plain = engine_bench_new(&c, engine), tried[2];
  engine_bench_forward(&plain);
  sap__plan_backward(plain.plan);
  for (int i = 0; i < 2; i++) {
    tried[i] = engine_bench_new(&c, engine);
    sap__plan_free(tried[i].plan);
    assert_int_equal(sap__plan_new(engine, tried[i].graph, c.batch, tried[i].weights, tried[i].gradients, choices,
                                   &tried[i].plan, NULL),
                     SAP_OK);
    engine_bench_forward(&tried[i]);
    sap__plan_backward(tried[i].plan);
  }
  assert_int_equal(sap__choices_count(choices), 8); /* three convolutions of three passes, but for the pictures' dx */
  assert_true(remembers(choices, "backward-weights"));
  const uint64_t count = plain.graph->trained_count;
  for (uint64_t k = 0; k < count; k++)
    assert_true(fabs((double)tried[0].gradients[k] - (double)plain.gradients[k]) < 1e-4);
  assert_memory_equal(tried[0].gradients, tried[1].gradients, count * sizeof(float));
  sap__choices_free(choices);
  engine_bench_free(&plain);
  engine_bench_free(&tried[0]);
  engine_bench_free(&tried[1]);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_adding), cmocka_unit_test(test_file),
                                     cmocka_unit_test(test_trying)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
