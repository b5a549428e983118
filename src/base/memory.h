/* Memory: the one place the library allocates through. */
#ifndef SAP_BASE_MEMORY_H
#define SAP_BASE_MEMORY_H

#include <stddef.h>

/* Alignment of every block: a cache line, and the widest vector. */
#define SAP_ALIGNMENT 64

/* `count` zeroed elements of `size` bytes, aligned to SAP_ALIGNMENT; NULL when the product overflows or
 * there is no memory. Never NULL for a product of 0. Large blocks ask for huge pages. */
void *sap__calloc(size_t count, size_t size);

/* The same without zeroing. */
void *sap__alloc(size_t count, size_t size);

/* A NUL-terminated copy; NULL without memory. */
char *sap__strdup(const char *text);

/* Makes room for one more element in a growing array. `array` is the address of the pointer, `count` the elements
 * it has, `size` the bytes of one. The capacity is the next power of two and is not stored. New elements are zero.
 * 0 without memory; the array is then as it was. */
int sap__grow(void *array, size_t count, size_t size);

/* The same where it is known how many come: room for `count` elements in all, at least twice *room when that is not
 * enough. *room: the elements that there is room for, 0 at first. What is new is not zeroed. */
int sap__make_room(void *array, size_t *room, size_t count, size_t size);

/* NULL is fine. */
void sap__free(void *block);

/* Small pieces by the hundred that are freed together: names, and records of what a file holds. {0}: none yet. */
typedef struct sap__pieces {
  struct sap__piece_block *blocks;
  char *next; /* of the newest block, and the bytes left in it */
  size_t left;
} sap__pieces;

/* `bytes` bytes, aligned for any number, not zeroed; NULL without memory. */
void *sap__pieces_take(sap__pieces *pieces, size_t bytes);

/* A NUL-terminated copy of `length` bytes; NULL without memory. */
char *sap__pieces_text(sap__pieces *pieces, const char *text, size_t length);
void sap__pieces_free(sap__pieces *pieces);

/* From now on all pieces of `from`, which then has none, are freed with those of `to`. */
void sap__pieces_move(sap__pieces *from, sap__pieces *to);

#endif
