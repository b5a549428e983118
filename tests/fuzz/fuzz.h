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

/* An error says what its code says, in one printable line. */
static inline void fuzz_check_error(sap_status status, const sap_error *err) {
  FUZZ_CHECK(err->code == status && err->text[0]);
  for (const char *c = err->text; *c; c++) FUZZ_CHECK((unsigned char)*c >= 0x20 && *c != 0x7F);
}

/* A refused input has one of the two codes for files. */
static inline void fuzz_check_refusal(sap_status status, const sap_error *err) {
  FUZZ_CHECK(status == SAP_ERROR_FORMAT || status == SAP_ERROR_UNSUPPORTED);
  fuzz_check_error(status, err);
}

/* A refused input that was given as "fuzz" is named so. */
static inline void fuzz_check_named_refusal(sap_status status, const sap_error *err) {
  fuzz_check_refusal(status, err);
  FUZZ_CHECK(!strncmp(err->text, "fuzz: ", 6));
}

/* Checks the bytes, but for the first eight, as a safetensors header up to the last brace and data behind it: a
 * mutation that changes the header's length would otherwise never get past the length. */
static inline void fuzz_check_framed(const uint8_t *bytes, size_t size, void (*check)(const uint8_t *, size_t)) {
  if (size < 8) return;
  uint8_t *framed = malloc(size);
  FUZZ_CHECK(framed);
  memcpy(framed, bytes, size);
  size_t end = size;
  while (end > 8 && bytes[end - 1] != '}') end--;
  for (int i = 0; i < 8; i++) framed[i] = (uint8_t)((uint64_t)(end - 8) >> 8 * i);
  check(framed, size);
  free(framed);
}

#endif
