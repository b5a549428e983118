#define _GNU_SOURCE /* madvise */
#include "base/pages.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

static uintptr_t page_size(void) { return (uintptr_t)sysconf(_SC_PAGESIZE); }

void sap__pages_fetch(const void *start, size_t bytes) {
#ifdef MADV_POPULATE_READ
  const uintptr_t page = page_size(), first = (uintptr_t)start / page * page;
  if (bytes) (void)madvise((void *)first, (uintptr_t)start + bytes - first, MADV_POPULATE_READ);
#else
  (void)start;
  (void)bytes;
#endif
}

void sap__pages_drop(const void *start, size_t bytes) {
  const uintptr_t page = page_size(), first = (uintptr_t)start / page * page;
  const uintptr_t last = ((uintptr_t)start + bytes) / page * page;
  if (last > first) (void)madvise((void *)first, last - first, MADV_DONTNEED);
}

void sap__pages_move(sap__pages *pages, const char *at, const char *limit) {
  const uintptr_t start = (uintptr_t)pages->start, end = (uintptr_t)pages->end, next = (uintptr_t)at;
  /* what was read beyond the piece, by a row that did not end with it, lies before the next one */
  const uintptr_t last = next > end && next - end < SAP__PAGES_PIECE ? next : end;
  if (end > start) sap__pages_drop(pages->start, last - start);
  const size_t left = at ? (size_t)(limit - at) : 0;
  pages->start = at;
  pages->end = at ? at + (left < SAP__PAGES_PIECE ? left : SAP__PAGES_PIECE) : NULL;
  if (left) sap__pages_fetch(at, (size_t)(pages->end - at));
}
