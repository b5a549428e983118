/* Any bytes as each of the two files of CIFAR-100, the other one right: as they are, and filled up to whole records,
 * without which hardly any mutation would get past the length. */
#include "fuzz_set.h"

enum { RECORD = 3074 };

static void check(const uint8_t *bytes, size_t size) {
  static const uint8_t record[RECORD] = {1, 2, 3};
  static const char *const names[2] = {"train.bin", "test.bin"};
  for (int file = 0; file < 2; file++) {
    fuzz_write(names[file], bytes, size);
    fuzz_write(names[!file], record, sizeof record);
    int opened = fuzz_open_set("cifar100", "");
    FUZZ_CHECK(!opened || (size && size % RECORD == 0));
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  fuzz_make_folder();
  check(bytes, size);
  const size_t whole = (size / RECORD + 1) * RECORD;
  uint8_t *filled = calloc(whole, 1);
  FUZZ_CHECK(filled);
  if (size) memcpy(filled, bytes, size);
  check(filled, whole);
  free(filled);
  return 0;
}
