/* Reading mapped files without keeping them: pages are asked for a piece ahead and given back behind. */
#ifndef SAP_BASE_PAGES_H
#define SAP_BASE_PAGES_H

#include <stddef.h>

/* The piece: long enough that asking the system costs little, short enough for a few threads to hold one each. */
#define SAP__PAGES_PIECE ((size_t)2 << 20)

/* Makes the pages of [start, start + bytes) of a mapping present at once; reading them one fault after the other is
 * slower. Where the system cannot, nothing happens. */
void sap__pages_fetch(const void *start, size_t bytes);

/* Gives back the pages of [start, start + bytes), from the one that holds the first byte to the one before the last
 * byte's. The mapping is of a file and only read, so that what is still needed comes back. */
void sap__pages_drop(const void *start, size_t bytes);

/* A reader that goes through a mapping piece by piece. Starts as {NULL, NULL}. */
typedef struct sap__pages {
  const char *start, *end; /* the piece that is present */
} sap__pages;

void sap__pages_move(sap__pages *pages, const char *at, const char *limit);

/* Before reading from `at` on: gives back the last piece and fetches the next, which ends at `limit` at the latest. */
static inline void sap__pages_at(sap__pages *pages, const void *at, const void *limit) {
  const char *place = at;
  if (place < pages->start || place >= pages->end) sap__pages_move(pages, place, limit);
}

/* At the end: gives back the last piece. */
static inline void sap__pages_done(sap__pages *pages) { sap__pages_move(pages, NULL, NULL); }

#endif
