/* Names and what they belong to: the index of whatever has many named parts. */
#ifndef SAP_BASE_BY_NAME_H
#define SAP_BASE_BY_NAME_H

#include <stddef.h>
#include <stdint.h>

/* Of `count` names, each the first member (const char *) of one of the `count` elements of an array. They are found by
 * a hash. As files are not trusted, and may have names that were made to hash alike, such names are sorted instead. */
typedef struct sap__by_name {
  const void *array;
  size_t stride, count;
  struct sap__by_name_slot *slots;
  uint32_t slot_mask;
  uint32_t *sorted; /* NULL: the slots serve */
} sap__by_name;

/* Indexes an array of elements of `stride` bytes, whose first member is the name and which then stays where it is.
 * *twice: the second one of a name that is there twice; `count` if all differ. 0 without memory, or if there are 2^31
 * or more. O(count), O(count · log count) at the worst. */
int sap__by_name_make(sap__by_name *names, const void *array, size_t stride, size_t count, size_t *twice);
void sap__by_name_free(sap__by_name *names);

/* The element of a name; `count` if there is none. And of a name in two parts: the first `length` bytes of `stem`, and
 * a suffix. O(1), O(log count) at the worst. */
size_t sap__by_name_find(const sap__by_name *names, const char *name);
size_t sap__by_name_find_joined(const sap__by_name *names, const char *stem, size_t length, const char *suffix);

/* What names of so many are found by. */
uint32_t sap__by_name_hash(const char *name);

#endif
