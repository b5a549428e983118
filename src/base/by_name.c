#include "base/by_name.h"

#include <string.h>

#include "base/memory.h"

/* Where the ascending run that starts at `from` ends. */
static size_t run_end(const sap__name *names, size_t from, size_t count) {
  size_t end = from + 1;
  while (end < count && strcmp(names[end - 1].name, names[end].name) <= 0) end++;
  return end;
}

/* Merges [from, middle) and [middle, end) into `to`, at the same place. */
static void merge(const sap__name *names, size_t from, size_t middle, size_t end, sap__name *to) {
  size_t left = from, right = middle, at = from;
  while (left < middle && right < end)
    to[at++] = strcmp(names[left].name, names[right].name) <= 0 ? names[left++] : names[right++];
  memcpy(to + at, names + left, (middle - left) * sizeof *to);
  memcpy(to + at + (middle - left), names + right, (end - right) * sizeof *to);
}

int sap__by_name_sort(sap__name *names, size_t count) {
  if (!count || run_end(names, 0, count) == count) return 1;
  sap__name *room = sap__alloc(count, sizeof *room), *from = names, *to = room;
  if (!room) return 0;
  for (size_t runs = 2; runs > 1; from = to, to = to == room ? names : room) { /* each turn joins runs in pairs */
    runs = 0;
    for (size_t start = 0, end; start < count; start = end, runs++) {
      const size_t middle = run_end(from, start, count);
      end = middle < count ? run_end(from, middle, count) : middle;
      merge(from, start, middle, end, to);
    }
  }
  if (from == room) memcpy(names, room, count * sizeof *names);
  sap__free(room);
  return 1;
}

const char *sap__by_name_twice(const sap__name *names, size_t count) {
  for (size_t i = 1; i < count; i++)
    if (!strcmp(names[i - 1].name, names[i].name)) return names[i].name;
  return NULL;
}

const sap__name *sap__by_name_find_joined(const sap__name *names, size_t count, const char *stem, size_t length,
                                          const char *suffix) {
  size_t low = 0, high = count;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    const char *name = names[middle].name;
    int order = strncmp(stem, name, length);
    if (!order) order = strcmp(suffix, name + length);
    if (!order) return &names[middle];
    if (order < 0)
      high = middle;
    else
      low = middle + 1;
  }
  return NULL;
}

const sap__name *sap__by_name_find(const sap__name *names, size_t count, const char *name) {
  return sap__by_name_find_joined(names, count, name, 0, name);
}
