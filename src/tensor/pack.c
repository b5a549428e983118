#include "tensor/pack.h"

#include <string.h>

/* Elements of a fixed size: the copies become single moves. */
#define PACK(bytes)                                                                    \
  case bytes:                                                                          \
    for (uint64_t start = 0; start < n; start += 64)                                   \
      for (uint64_t rest = mask[start / 64]; rest; rest &= rest - 1, to += (bytes))    \
        memcpy(to, from + (start + (uint64_t)__builtin_ctzll(rest)) * (bytes), bytes); \
    break

#define UNPACK(bytes)                                                                  \
  case bytes:                                                                          \
    for (uint64_t start = 0; start < n; start += 64)                                   \
      for (uint64_t rest = mask[start / 64]; rest; rest &= rest - 1, from += (bytes))  \
        memcpy(to + (start + (uint64_t)__builtin_ctzll(rest)) * (bytes), from, bytes); \
    break

uint64_t sap__pack(const void *elements, size_t size, const uint64_t *mask, uint64_t n, void *values) {
  const char *from = elements;
  char *to = values;
  switch (size) {
    PACK(1);
    PACK(2);
    PACK(4);
    PACK(8);
  }
  return (uint64_t)(to - (char *)values) / size;
}

uint64_t sap__unpack(const void *values, size_t size, const uint64_t *mask, uint64_t n, void *elements) {
  const char *from = values;
  char *to = elements;
  memset(elements, 0, n * size);
  switch (size) {
    UNPACK(1);
    UNPACK(2);
    UNPACK(4);
    UNPACK(8);
  }
  return (uint64_t)(from - (const char *)values) / size;
}
