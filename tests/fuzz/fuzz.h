/* What the fuzz targets share. Each reads one input any number of times and aborts when a promise is broken. */
#ifndef SAP_TESTS_FUZZ_H
#define SAP_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sapwood/status.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Like assert, in every build. */
#define FUZZ_CHECK(condition)                                                                  \
  do {                                                                                         \
    if (!(condition)) fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition), abort(); \
  } while (0)

/* A refused input has one of the two codes for files, and one line of text that names the file. */
static inline void fuzz_check_refusal(sap_status status, const sap_error *err) {
  FUZZ_CHECK(status == SAP_ERROR_FORMAT || status == SAP_ERROR_UNSUPPORTED);
  FUZZ_CHECK(err->code == status);
  FUZZ_CHECK(!strncmp(err->text, "fuzz: ", 6));
  for (const char *c = err->text; *c; c++) FUZZ_CHECK((unsigned char)*c >= 0x20 && *c != 0x7F);
}

#endif
