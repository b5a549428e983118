/* Any bytes as a data set in an NPZ file. */
#include "fuzz_set.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  fuzz_make_folder();
  fuzz_write("set.npz", bytes, size);
  (void)fuzz_open_set("npz", "set.npz");
  return 0;
}
