/* Names and what they belong to, in order: the index of whatever has many named parts. */
#ifndef SAP_BASE_BY_NAME_H
#define SAP_BASE_BY_NAME_H

#include <stddef.h>

typedef struct sap__name {
  const char *name;
  size_t index;
} sap__name;

/* Sorts by name, names alike by their order. Names in ascending runs, as files tend to have them, take one comparison
 * each and one more for every halving of the number of runs. 0 without memory. */
int sap__by_name_sort(sap__name *names, size_t count);

/* Of sorted names the first that is there twice; NULL if all differ. */
const char *sap__by_name_twice(const sap__name *names, size_t count);

/* The entry of a name among sorted ones; NULL if there is none. O(log count). And of a name in two parts: the first
 * `length` bytes of `stem`, and a suffix. */
const sap__name *sap__by_name_find(const sap__name *names, size_t count, const char *name);
const sap__name *sap__by_name_find_joined(const sap__name *names, size_t count, const char *stem, size_t length,
                                          const char *suffix);

#endif
