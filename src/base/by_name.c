#include "base/by_name.h"

#include <string.h>

#include "base/memory.h"

/* WHOLE: a longer name is hashed by its beginning and its end. STEPS: slots that are looked at for a name. */
enum { WHOLE = 128, STEPS = 32 };

struct sap__by_name_slot {
  uint32_t hash, element; /* its number plus 1; 0: free */
};

static const char *name_of(const sap__by_name *names, size_t element) {
  const char *name;
  memcpy(&name, (const char *)names->array + element * names->stride, sizeof name);
  return name;
}

/* ---- the hash ---- */

static inline uint64_t word_at(const char *text) {
  uint64_t word;
  memcpy(&word, text, sizeof word);
  return word;
}

static inline uint64_t mix(uint64_t hash, uint64_t word) {
  hash = (hash ^ word) * 0x9e3779b97f4a7c15;
  return hash ^ hash >> 32;
}

/* Of at most WHOLE bytes. */
static uint32_t hash_bytes(const char *text, size_t length) {
  const size_t all = length;
  uint64_t hash = all, last = 0;
  for (; length > 8; text += 8, length -= 8) hash = mix(hash, word_at(text));
  if (all >= 8)
    last = word_at(text + length - 8); /* again some of the word before */
  else
    for (size_t i = 0; i < length; i++) last |= (uint64_t)(unsigned char)text[i] << 8 * i;
  hash = mix(hash, last);
  return (uint32_t)(hash ^ hash >> 29);
}

/* Copies the bytes [from, to) of a name in two parts. */
static void copy_part(const char *stem, size_t length, const char *suffix, size_t from, size_t to, char *out) {
  const size_t middle = from > length ? from : to < length ? to : length;
  memcpy(out, stem + (from < middle ? from : 0), from < middle ? middle - from : 0);
  if (to > middle) memcpy(out + (middle - from), suffix + (middle - length), to - middle);
}

static uint32_t hash_joined(const char *stem, size_t length, const char *suffix, size_t tail) {
  char text[WHOLE];
  const size_t all = length + tail;
  if (all <= WHOLE) {
    copy_part(stem, length, suffix, 0, all, text);
    return hash_bytes(text, all);
  }
  copy_part(stem, length, suffix, 0, WHOLE / 2, text);
  copy_part(stem, length, suffix, all - WHOLE / 2, all, text + WHOLE / 2);
  return hash_bytes(text, WHOLE);
}

uint32_t sap__by_name_hash(const char *name) {
  const size_t length = strlen(name);
  return length <= WHOLE ? hash_bytes(name, length) : hash_joined(name, length, "", 0);
}

/* ---- names that hash alike: in order ---- */

/* Where the ascending run that starts at `from` ends. */
static size_t run_end(const sap__by_name *names, const uint32_t *order, size_t from) {
  size_t end = from + 1;
  while (end < names->count && strcmp(name_of(names, order[end - 1]), name_of(names, order[end])) <= 0) end++;
  return end;
}

/* Merges [from, middle) and [middle, end) into `to`, at the same place. */
static void merge(const sap__by_name *names, const uint32_t *order, size_t from, size_t middle, size_t end,
                  uint32_t *to) {
  size_t left = from, right = middle, at = from;
  while (left < middle && right < end)
    to[at++] = strcmp(name_of(names, order[left]), name_of(names, order[right])) <= 0 ? order[left++] : order[right++];
  memcpy(to + at, order + left, (middle - left) * sizeof *to);
  memcpy(to + at + (middle - left), order + right, (end - right) * sizeof *to);
}

/* Each turn joins runs in pairs. */
static int sort(sap__by_name *names, size_t *twice) {
  const size_t count = names->count;
  uint32_t *from = sap__alloc(count, sizeof *from), *to = sap__alloc(count, sizeof *to);
  if (!from || !to) {
    sap__free(from);
    sap__free(to);
    return 0;
  }
  for (size_t i = 0; i < count; i++) from[i] = (uint32_t)i;
  for (size_t runs = 2; runs > 1;) {
    runs = 0;
    for (size_t start = 0, end; start < count; start = end, runs++) {
      const size_t middle = run_end(names, from, start);
      end = middle < count ? run_end(names, from, middle) : middle;
      merge(names, from, start, middle, end, to);
    }
    uint32_t *other = from;
    from = to;
    to = other;
  }
  sap__free(to);
  names->sorted = from;
  for (size_t i = 1; i < count && *twice == count; i++)
    if (!strcmp(name_of(names, from[i - 1]), name_of(names, from[i]))) *twice = from[i];
  return 1;
}

static size_t find_sorted(const sap__by_name *names, const char *stem, size_t length, const char *suffix) {
  size_t low = 0, high = names->count;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    const char *name = name_of(names, names->sorted[middle]);
    int order = strncmp(stem, name, length);
    if (!order) order = strcmp(suffix, name + length);
    if (!order) return names->sorted[middle];
    if (order < 0)
      high = middle;
    else
      low = middle + 1;
  }
  return names->count;
}

/* ---- the index ---- */

/* Puts all into the slots; 0 if too many hash alike. */
static int fill_slots(sap__by_name *names, size_t *twice) {
  for (size_t i = 0; i < names->count; i++) {
    const char *name = name_of(names, i);
    const uint32_t hash = sap__by_name_hash(name);
    struct sap__by_name_slot *slot;
    int step = 0;
    for (; step < STEPS; step++) {
      slot = &names->slots[(hash + (uint32_t)step) & names->slot_mask];
      if (!slot->element) break;
      if (slot->hash == hash && *twice == names->count && !strcmp(name_of(names, slot->element - 1), name)) *twice = i;
    }
    if (step == STEPS) return 0;
    *slot = (struct sap__by_name_slot){hash, (uint32_t)i + 1};
  }
  return 1;
}

int sap__by_name_make(sap__by_name *names, const void *array, size_t stride, size_t count, size_t *twice) {
  *names = (sap__by_name){.array = array, .stride = stride, .count = count};
  *twice = count;
  if (count >= (size_t)1 << 31) return 0;
  size_t room = 8;
  while (room < 2 * count) room *= 2;
  names->slots = sap__calloc(room, sizeof *names->slots);
  names->slot_mask = (uint32_t)(room - 1);
  if (!names->slots) return 0;
  if (fill_slots(names, twice)) return 1;
  sap__free(names->slots);
  names->slots = NULL;
  *twice = count;
  return sort(names, twice);
}

void sap__by_name_free(sap__by_name *names) {
  sap__free(names->slots);
  sap__free(names->sorted);
  *names = (sap__by_name){0};
}

static size_t find_slot(const sap__by_name *names, uint32_t hash, const char *stem, size_t length, const char *suffix) {
  for (uint32_t step = 0; step < STEPS; step++) {
    const struct sap__by_name_slot *slot = &names->slots[(hash + step) & names->slot_mask];
    if (!slot->element) break;
    if (slot->hash != hash) continue;
    const char *name = name_of(names, slot->element - 1);
    if ((!length || !strncmp(stem, name, length)) && !strcmp(suffix, name + length)) return slot->element - 1;
  }
  return names->count;
}

size_t sap__by_name_find_joined(const sap__by_name *names, const char *stem, size_t length, const char *suffix) {
  if (!names->count) return 0;
  if (names->sorted) return find_sorted(names, stem, length, suffix);
  return find_slot(names, hash_joined(stem, length, suffix, strlen(suffix)), stem, length, suffix);
}

size_t sap__by_name_find(const sap__by_name *names, const char *name) {
  if (!names->count) return 0;
  if (names->sorted) return find_sorted(names, name, 0, name);
  return find_slot(names, sap__by_name_hash(name), name, 0, name);
}
