/* For tests of outputs, which are run both where files can be without a name and where they cannot. */
#ifndef SAP_TESTS_OUTPUTS_H
#define SAP_TESTS_OUTPUTS_H

#include <stdio.h>
#include <sys/stat.h>

#include "io/atomic.h"
#include "scratch.h"
#include "unit.h"

static int named(void **state) {
  (void)state;
  sap__atomic_always_named = 1;
  return 0;
}

static int unnamed(void **state) {
  (void)state;
  sap__atomic_always_named = 0;
  return 0;
}

/* A fresh folder inside the scratch folder, so that leftovers can be counted. */
static const char *fresh_folder(const char *name) {
  char own[64];
  snprintf(own, sizeof own, "%s%s", name, sap__atomic_always_named ? "-named" : "");
  const char *folder = scratch_path(own);
  assert_int_equal(mkdir(folder, 0777), 0);
  return folder;
}

#define IN_BOTH_WAYS(test) cmocka_unit_test_setup(test, unnamed), cmocka_unit_test_setup(test, named)

#endif
