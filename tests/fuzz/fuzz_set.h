/* Opening a data set by its name and the path of its files. */
#ifndef SAP_TESTS_FUZZ_SET_H
#define SAP_TESTS_FUZZ_SET_H

#include "fuzz_folder.h"
#include "sapwood/dataset.h"

/* Opens the set NAME:FOLDER/FILE: refused in one line, or a set whose every byte can be read. 1 if it was opened. */
static inline int fuzz_open_set(const char *name, const char *file) {
  char spec[600];
  snprintf(spec, sizeof spec, "%s:%s", name, fuzz_path(file));
  sap_dataset *set = NULL;
  sap_error err = {.text = ""};
  sap_status status = sap_dataset_open(spec, NULL, &set, &err);
  if (status) {
    FUZZ_CHECK(!set && status != SAP_ERROR_ARGUMENT);
    fuzz_check_error(status, &err);
    return 0;
  }
  volatile double sum = 0;
  const sap_split *halves[2] = {&set->train, &set->test};
  for (int half = 0; half < 2; half++) {
    const sap_split *split = halves[half];
    size_t pixels = (size_t)split->count * (size_t)set->channels * (size_t)set->height * (size_t)set->width;
    for (size_t i = 0; i < pixels; i++) sum += split->pixels ? split->pixels[i] : (double)split->floats[i];
    for (size_t i = 0; i < split->count; i++) FUZZ_CHECK(split->labels[i] < set->classes);
  }
  sap_dataset_free(set);
  return 1;
}

#endif
