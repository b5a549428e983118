/* Reading every byte of a checkpoint that could be opened. */
#ifndef SAP_TESTS_FUZZ_LOAD_H
#define SAP_TESTS_FUZZ_LOAD_H

#include "fuzz.h"
#include "sapwood/checkpoint.h"

/* Loads all tensors; 0 if one is refused, after refused() has looked at the error. */
static inline int fuzz_load_all(sap_checkpoint *checkpoint, void (*refused)(sap_status status, const sap_error *err)) {
  for (size_t i = 0; i < sap_checkpoint_count(checkpoint); i++) {
    sap_error err = {.text = ""};
    const sap_tensor *tensor = sap_checkpoint_at(checkpoint, i);
    FUZZ_CHECK(sap_checkpoint_find(checkpoint, tensor->name) == i);
    sap_status status = sap_checkpoint_load(checkpoint, i, &err);
    if (status) {
      refused(status, &err);
      FUZZ_CHECK(!tensor->data);
      return 0;
    }
    volatile uint8_t sum = 0;
    for (uint64_t b = 0; b < tensor->bytes; b++) sum = (uint8_t)(sum + ((const uint8_t *)tensor->data)[b]);
  }
  return 1;
}

#endif
