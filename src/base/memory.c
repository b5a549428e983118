#define _GNU_SOURCE /* madvise */
#include "base/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_PAGE ((size_t)2 << 20)

enum {
  PIECES_BLOCK = 8192, /* bytes that they are asked for at a time, */
  PIECES_LARGE = 2048, /* but for pieces of more than these */
  PIECES_ALIGNMENT = 16
};

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

/* A block of `larger` elements for *array, with its first `count`. */
static char *replace(void *array, size_t count, size_t larger, size_t size) {
  char *block = sap__alloc(larger, size), *old;
  if (!block) return NULL;
  memcpy(&old, array, sizeof old);
  if (count) memcpy(block, old, count * size);
  sap__free(old);
  memcpy(array, &block, sizeof block);
  return block;
}

int sap__grow(void *array, size_t count, size_t size) {
  if (count & (count - 1)) return 1; /* full only at powers of two, and at 0 */
  const size_t room = count ? count * 2 : 1;
  char *block = replace(array, count, room, size);
  if (block) memset(block + count * size, 0, (room - count) * size);
  return block != NULL;
}

int sap__make_room(void *array, size_t *room, size_t count, size_t size) {
  if (count <= *room) return 1;
  const size_t larger = count > 2 * *room ? count : 2 * *room;
  if (!replace(array, *room, larger, size)) return 0;
  *room = larger;
  return 1;
}

void sap__free(void *block) { free(block); }

/* Before the pieces of a block. */
typedef struct sap__piece_block {
  struct sap__piece_block *before;
  char alignment[PIECES_ALIGNMENT - sizeof(void *)];
} sap__piece_block;

/* Where the pieces of a new block begin. */
static char *new_block(sap__pieces *pieces, size_t bytes) {
  if (bytes > SIZE_MAX - sizeof(sap__piece_block)) return NULL;
  sap__piece_block *block = sap__alloc(sizeof *block + bytes, 1);
  if (!block) return NULL;
  block->before = pieces->blocks;
  pieces->blocks = block;
  return (char *)(block + 1);
}

void *sap__pieces_take(sap__pieces *pieces, size_t bytes) {
  if (bytes > PIECES_LARGE) return new_block(pieces, bytes);
  bytes = (bytes + PIECES_ALIGNMENT - 1) / PIECES_ALIGNMENT * PIECES_ALIGNMENT;
  if (bytes > pieces->left) {
    char *first = new_block(pieces, PIECES_BLOCK);
    if (!first) return NULL;
    pieces->next = first;
    pieces->left = PIECES_BLOCK;
  }
  void *piece = pieces->next;
  pieces->next += bytes;
  pieces->left -= bytes;
  return piece;
}

char *sap__pieces_text(sap__pieces *pieces, const char *text, size_t length) {
  char *copy = sap__pieces_take(pieces, length + 1);
  if (!copy) return NULL;
  memcpy(copy, text, length);
  copy[length] = 0;
  return copy;
}

void sap__pieces_free(sap__pieces *pieces) {
  while (pieces->blocks) {
    sap__piece_block *before = pieces->blocks->before;
    sap__free(pieces->blocks);
    pieces->blocks = before;
  }
  *pieces = (sap__pieces){0};
}

void sap__pieces_move(sap__pieces *from, sap__pieces *to) {
  sap__piece_block **end = &to->blocks;
  while (*end) end = &(*end)->before;
  *end = from->blocks;
  *from = (sap__pieces){0};
}
