/* Any bytes as each of the two files of CIFAR-100, the other one right. */
#include "fuzz_set.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  static const uint8_t record[3074] = {1, 2, 3};
  static const char *const names[2] = {"train.bin", "test.bin"};
  fuzz_make_folder();
  for (int file = 0; file < 2; file++) {
    fuzz_write(names[file], bytes, size);
    fuzz_write(names[!file], record, sizeof record);
    int opened = fuzz_open_set("cifar100", "");
    FUZZ_CHECK(!opened || (size && size % sizeof record == 0));
  }
  return 0;
}
