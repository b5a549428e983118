/* Copying with a mask, left to the compiler to vectorise; keep_<set>.c includes this and names the kernel.
 *
 * keep_word, where the set has instructions for it, does 64 elements.
 */
#include <string.h>

#include "tensor/keep.h"

extern const sap__keep_kernels sap__keep_scalar, sap__keep_avx2, sap__keep_avx512, sap__keep_neon;

#define KEEP_LOOP(type)                                         \
  for (size_t i = 0; i < n; i++) {                              \
    type x;                                                     \
    memcpy(&x, from + i * sizeof x, sizeof x);                  \
    x = (type)(x & (type)(0 - (unsigned long)(word >> i & 1))); \
    memcpy(to + i * sizeof x, &x, sizeof x);                    \
  }

/* n elements, at most 64. */
static inline void keep_some(char *to, const char *from, size_t size, uint64_t word, size_t n) {
  switch (size) {
    case 1: KEEP_LOOP(uint8_t) break;
    case 2: KEEP_LOOP(uint16_t) break;
    case 4: KEEP_LOOP(uint32_t) break;
    default: KEEP_LOOP(uint64_t) break;
  }
}

#ifndef KEEP_WORD
#define KEEP_WORD(to, from, size, word) keep_some(to, from, size, word, 64)
#endif

static inline void keep(void *to, const void *from, size_t size, const uint64_t *mask, uint64_t n) {
  char *out = to;
  const char *in = from;
  for (uint64_t start = 0; start < n; start += 64, out += 64 * size, in += 64 * size) {
    const uint64_t word = mask[start / 64];
    const size_t left = n - start < 64 ? (size_t)(n - start) : 64;
    if (left < 64)
      keep_some(out, in, size, word, left);
    else if (!word)
      memset(out, 0, 64 * size);
    else if (~word)
      KEEP_WORD(out, in, size, word);
    else if (out != in)
      memcpy(out, in, 64 * size);
  }
}

/* One body a size. */
static void keep_of_size(void *to, const void *from, size_t size, const uint64_t *mask, uint64_t n) {
  switch (size) {
    case 1: keep(to, from, 1, mask, n); break;
    case 2: keep(to, from, 2, mask, n); break;
    case 4: keep(to, from, 4, mask, n); break;
    default: keep(to, from, 8, mask, n); break;
  }
}
