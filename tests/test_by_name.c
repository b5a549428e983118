/* The index of names: every name is found and no other, alone and in two parts, also if they hash alike. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/by_name.h"
#include "unit.h"

typedef struct element {
  const char *name;
  int more;
} element;

static void check_found(const sap__by_name *names, const element *elements, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const char *name = elements[i].name;
    const size_t length = strlen(name);
    assert_int_equal(sap__by_name_find(names, name), i);
    for (size_t cut = 0; cut <= length; cut += length > 40 ? 7 : 1)
      assert_int_equal(sap__by_name_find_joined(names, name, cut, name + cut), i);
    char *other = malloc(length + 2);
    assert_non_null(other);
    memcpy(other, name, length);
    memcpy(other + length, "~", 2);
    assert_int_equal(sap__by_name_find(names, other), count);
    if (length) {
      other[length] = 0;
      other[length / 2] ^= 64;
      assert_int_equal(sap__by_name_find(names, other), count);
      other[length / 2] ^= 64;
      other[length - 1] = 0;
      assert_int_equal(sap__by_name_find_joined(names, other, length - 1, "~"), count);
    }
    free(other);
  }
}

/* All lengths from 0 on, and so the ones that are hashed in parts. */
static void test_lengths(void **state) {
  (void)state;
  enum { COUNT = 400 };
  static char texts[COUNT][COUNT + 1];
  element elements[COUNT] = {{0}};
  sap__by_name names;
  size_t twice;
  for (size_t count = 0; count <= COUNT; count = 2 * count + 1) {
    for (size_t i = 0; i < count; i++) {
      for (size_t k = 0; k < i; k++) texts[i][k] = (char)('0' + (i * k + k / 9) % 60);
      elements[i].name = texts[i];
    }
    assert_true(sap__by_name_make(&names, elements, sizeof *elements, count, &twice));
    assert_int_equal(twice, count);
    check_found(&names, elements, count);
    assert_int_equal(sap__by_name_find(&names, "nowhere"), count);
    sap__by_name_free(&names);
  }
}

static void test_twice(void **state) {
  (void)state;
  element elements[] = {{"a", 0}, {"b", 0}, {"c", 0}, {"b", 0}, {"a", 0}};
  sap__by_name names;
  size_t twice;
  assert_true(sap__by_name_make(&names, elements, sizeof *elements, 5, &twice));
  assert_int_equal(twice, 3);
  sap__by_name_free(&names);
}

/* Names that all want the same slot are sorted, and one that is there twice is seen all the same. */
static void test_alike(void **state) {
  (void)state;
  enum { COUNT = 100, SLOTS = 256 };
  static char texts[COUNT + 1][12];
  element elements[COUNT + 1];
  sap__by_name names;
  size_t twice, count = 0;
  for (uint32_t i = 0; count < COUNT; i++) {
    snprintf(texts[count], sizeof texts[count], "%u", (unsigned)(i * 2654435761u));
    if (sap__by_name_hash(texts[count]) % SLOTS == 3) count++;
  }
  for (size_t i = 0; i < COUNT; i++) elements[i].name = texts[i];
  assert_true(sap__by_name_make(&names, elements, sizeof *elements, COUNT, &twice));
  assert_non_null(names.sorted);
  assert_int_equal(twice, COUNT);
  check_found(&names, elements, COUNT);
  sap__by_name_free(&names);
  memcpy(texts[COUNT], texts[40], sizeof texts[0]);
  elements[COUNT].name = texts[COUNT];
  assert_true(sap__by_name_make(&names, elements, sizeof *elements, COUNT + 1, &twice));
  assert_true(names.sorted && twice == COUNT);
  sap__by_name_free(&names);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_lengths), cmocka_unit_test(test_twice),
                                     cmocka_unit_test(test_alike)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
