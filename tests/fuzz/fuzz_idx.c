/* Any bytes as an IDX file, plain or gzip, through an open file that has no name. */
#define _GNU_SOURCE /* memfd_create */
#include <sys/mman.h>
#include <unistd.h>

#include "base/memory.h"
#include "data/idx.h"
#include "fuzz.h"

/* A file with these bytes, at its start. */
static int file_of(const uint8_t *bytes, size_t size) {
#ifdef MFD_CLOEXEC
  int fd = memfd_create("fuzz", MFD_CLOEXEC);
#else
  FILE *file = tmpfile();
  FUZZ_CHECK(file);
  int fd = dup(fileno(file));
  fclose(file);
#endif
  FUZZ_CHECK(fd >= 0 && write(fd, bytes, size) == (ssize_t)size && lseek(fd, 0, SEEK_SET) == 0);
  return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  static const uint32_t magics[] = {SAP__IDX_IMAGES, SAP__IDX_LABELS};
  for (int i = 0; i < 2; i++) {
    uint8_t *elements = NULL;
    uint32_t count = 0;
    sap_error err = {.text = ""};
    /* 2 x 3 pictures: short inputs reach everything. */
    sap_status status =
        sap__idx_read_descriptor(file_of(bytes, size), size, "fuzz", magics[i], 2, 3, &elements, &count, &err);
    if (status) {
      fuzz_check_named_refusal(status, &err);
      FUZZ_CHECK(!elements && !count);
      continue;
    }
    volatile uint8_t sink = 0;
    uint64_t total = (uint64_t)count * (i ? 1 : 6);
    FUZZ_CHECK(count && total <= SAP__IDX_MAX_BYTES);
    for (uint64_t b = 0; b < total; b++) sink = (uint8_t)(sink + elements[b]);
    sap__free(elements);
  }
  return 0;
}
