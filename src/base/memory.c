#define _GNU_SOURCE /* madvise */
#include "base/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_PAGE ((size_t)2 << 20)

void *sap__alloc(size_t count, size_t size) {
  if (size && count > (SIZE_MAX - HUGE_PAGE) / size) return NULL;
  size_t bytes = count * size;
  /* A fresh 4 KiB page costs microseconds on virtual machines; large arenas want huge pages. */
  size_t alignment = bytes >= 2 * HUGE_PAGE ? HUGE_PAGE : SAP_ALIGNMENT;
  void *block = NULL;
  if (posix_memalign(&block, alignment, bytes ? bytes : 1)) return NULL;
#ifdef MADV_HUGEPAGE
  if (alignment == HUGE_PAGE) (void)madvise(block, bytes, MADV_HUGEPAGE);
#endif
  return block;
}

void *sap__calloc(size_t count, size_t size) {
  void *block = sap__alloc(count, size);
  if (block) memset(block, 0, count * size);
  return block;
}

char *sap__strdup(const char *text) {
  size_t bytes = strlen(text) + 1;
  char *copy = sap__alloc(bytes, 1);
  if (copy) memcpy(copy, text, bytes);
  return copy;
}

void sap__free(void *block) { free(block); }
