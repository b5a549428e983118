/* Reading mapped files without keeping them: pages are given back behind the reader, a piece at a time. */
#ifndef SAP_BASE_PAGES_H
#define SAP_BASE_PAGES_H

#include <stddef.h>

/* Gives back the pages of [start, start + bytes), from the one that holds the first byte to the one before the last
 * byte's. The mapping is of a file and only read, so that what is still needed comes back. */
void sap__pages_drop(const void *start, size_t bytes);

/* Bytes of a piece: long enough that asking the system costs little, short enough for every thread to hold one. */
size_t sap__pages_piece(void);

/* A reader that goes through a mapping. Starts as SAP__PAGES_NONE. */
typedef struct sap__pages {
  const char *start, *end; /* what it has read and not given back */
  size_t piece;
} sap__pages;

#define SAP__PAGES_NONE ((sap__pages){NULL, NULL, 0})

/* Gives back what was read; goes on at `from`. */
void sap__pages_move(sap__pages *pages, const void *from);

/* Before reading [from, to). */
static inline void sap__pages_read(sap__pages *pages, const void *from, const void *to) {
  if (from != pages->end || (size_t)(pages->end - pages->start) >= pages->piece) sap__pages_move(pages, from);
  pages->end = to;
}

/* At the end: gives back the rest. */
static inline void sap__pages_done(sap__pages *pages) { sap__pages_move(pages, NULL); }

#endif
