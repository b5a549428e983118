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
  char *copy = malloc(bytes); /* a text needs no alignment, and comes by the thousand */
  if (copy) memcpy(copy, text, bytes);
  return copy;
}

int sap__grow(void *array, size_t count, size_t size) {
  if (count & (count - 1)) return 1; /* full only at powers of two, and at 0 */
  void *larger = sap__calloc(count ? count * 2 : 1, size), *old;
  if (!larger) return 0;
  memcpy(&old, array, sizeof old);
  if (count) memcpy(larger, old, count * size);
  sap__free(old);
  memcpy(array, &larger, sizeof larger);
  return 1;
}

void sap__free(void *block) { free(block); }
