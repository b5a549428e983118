/* Packing without vector instructions: a step for each kept element. */
#ifndef SAP_TENSOR_PACK_PLAIN_H
#define SAP_TENSOR_PACK_PLAIN_H

#include <string.h>

#include "tensor/pack.h"

/* CASE(bytes, type) for each size of an element, a constant: the copies become single moves. */
#define SAP__EACH_SIZE(size, CASE) \
  switch (size) {                  \
    CASE(1, uint8_t);              \
    CASE(2, uint16_t);             \
    CASE(4, uint32_t);             \
    CASE(8, uint64_t);             \
  }

#define SAP__PACK_CASE(bytes, type)                                                    \
  case bytes:                                                                          \
    for (uint64_t start = 0; start < n; start += 64)                                   \
      for (uint64_t rest = mask[start / 64]; rest; rest &= rest - 1, to += (bytes))    \
        memcpy(to, from + (start + (uint64_t)__builtin_ctzll(rest)) * (bytes), bytes); \
    break

#define SAP__UNPACK_CASE(bytes, type)                                                  \
  case bytes:                                                                          \
    for (uint64_t start = 0; start < n; start += 64)                                   \
      for (uint64_t rest = mask[start / 64]; rest; rest &= rest - 1, from += (bytes))  \
        memcpy(to + (start + (uint64_t)__builtin_ctzll(rest)) * (bytes), from, bytes); \
    break

#define SAP__NONZEROS_CASE(bytes, type)                                    \
  case bytes:                                                              \
    for (uint64_t start = 0; start < n; start += 64) {                     \
      const uint64_t left = n - start < 64 ? n - start : 64;               \
      uint64_t word = 0;                                                   \
      for (uint64_t i = 0; i < left; i++) {                                \
        type x;                                                            \
        memcpy(&x, (const char *)elements + (start + i) * (bytes), bytes); \
        word |= (uint64_t)((x & (type)bits) != 0) << i;                    \
      }                                                                    \
      mask[start / 64] = word;                                             \
    }                                                                      \
    break

static inline uint64_t sap__pack_plain(const void *elements, size_t size, const uint64_t *mask, uint64_t n,
                                       void *values) {
  const char *from = elements;
  char *to = values;
  SAP__EACH_SIZE(size, SAP__PACK_CASE)
  return (uint64_t)(to - (char *)values) / size;
}

static inline uint64_t sap__unpack_plain(const void *values, size_t size, const uint64_t *mask, uint64_t n,
                                         void *elements) {
  const char *from = values;
  char *to = elements;
  memset(elements, 0, n * size);
  SAP__EACH_SIZE(size, SAP__UNPACK_CASE)
  return (uint64_t)(from - (const char *)values) / size;
}

static inline void sap__nonzeros_plain(const void *elements, size_t size, uint64_t bits, uint64_t n, uint64_t *mask) {
  SAP__EACH_SIZE(size, SAP__NONZEROS_CASE)
}

#endif
