#define _GNU_SOURCE /* madvise */
#include "base/pages.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sapwood/cpu.h"

/* All threads together. */
#define HELD ((size_t)16 << 20)
#define PIECE_MAX ((size_t)8 << 20)
#define PIECE_MIN ((size_t)256 << 10)

void sap__pages_drop(const void *start, size_t bytes) {
  const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), first = (uintptr_t)start / page * page;
  const uintptr_t last = ((uintptr_t)start + bytes) / page * page;
  if (last > first) (void)madvise((void *)first, last - first, MADV_DONTNEED);
}

size_t sap__pages_piece(void) {
  const size_t share = HELD / (size_t)sap_threads_get();
  return share > PIECE_MAX ? PIECE_MAX : share < PIECE_MIN ? PIECE_MIN : share;
}

void sap__pages_move(sap__pages *pages, const void *from) {
  if (pages->end > pages->start) sap__pages_drop(pages->start, (size_t)(pages->end - pages->start));
  *pages = (sap__pages){from, from, pages->piece ? pages->piece : sap__pages_piece()};
}
