#include "sapwood/mask.h"

#include <string.h>

#include "base/kernels.h"
#include "base/memory.h"
#include "tensor/keep.h"
#include "tensor/mask_window.h"
#include "tensor/pack.h"

/* The bits of a last word that belong to weights: n % 64 of them, or all. */
static uint64_t last_bits(uint64_t n) { return n % 64 ? ((uint64_t)1 << (n % 64)) - 1 : ~(uint64_t)0; }

uint64_t *sap_mask_new(uint64_t n) {
  uint64_t *mask = sap__alloc(sap_mask_words(n), sizeof *mask);
  if (mask) sap_mask_fill(mask, n);
  return mask;
}

void sap_mask_free(uint64_t *mask) { sap__free(mask); }

void sap_mask_fill(uint64_t *mask, uint64_t n) {
  if (!n) return;
  size_t words = sap_mask_words(n);
  memset(mask, 0xff, words * sizeof *mask);
  mask[words - 1] = last_bits(n);
}

/* Set bits in every byte, by adding neighbours; left to the compiler to vectorise. */
static uint64_t byte_counts(uint64_t x) {
  x -= x >> 1 & 0x5555555555555555u;
  x = (x & 0x3333333333333333u) + (x >> 2 & 0x3333333333333333u);
  return (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fu;
}

static uint64_t count_words(const uint64_t *mask, size_t words) {
  uint64_t count = 0;
  for (size_t i = 0; i < words;) {
    uint64_t bytes = 0; /* eight counts, each at most 31 · 8 */
    for (size_t end = words - i > 31 ? i + 31 : words; i < end; i++) bytes += byte_counts(mask[i]);
    bytes = (bytes & 0x00ff00ff00ff00ffu) + (bytes >> 8 & 0x00ff00ff00ff00ffu);
    count += bytes * 0x0001000100010001u >> 48;
  }
  return count;
}

/* Words that a thread counts at a time; a second thread pays only from some of these on. */
#define STRETCH ((size_t)1 << 15)

uint64_t sap_mask_count(const uint64_t *mask, uint64_t n) {
  if (!n) return 0;
  const size_t whole = sap_mask_words(n) - 1;
  uint64_t count = byte_counts(mask[whole] & last_bits(n)) * 0x0101010101010101u >> 56;
#pragma omp parallel for schedule(static) reduction(+ : count) if (whole >= 4 * STRETCH)
  for (size_t i = 0; i < whole; i += STRETCH) count += count_words(mask + i, whole - i < STRETCH ? whole - i : STRETCH);
  return count;
}

SAP__KERNELS_DECLARE(const sap__keep_kernels, sap__keep);

void sap__mask_copy(void *to, const void *from, sap_dtype dtype, const uint64_t *mask, uint64_t n) {
  SAP__KERNELS_ACTIVE(sap__keep)->copy(to, from, sap_dtype_bits(dtype) / 8, mask, n);
}

void sap_mask_apply(void *w, sap_dtype dtype, const uint64_t *mask, uint64_t n) {
  sap__mask_copy(w, w, dtype, mask, n);
}

void sap_mask_to_bytes(const uint64_t *mask, uint64_t n, uint8_t *bytes) {
  for (uint64_t i = 0; i < n; i++) bytes[i] = (uint8_t)sap_mask_get(mask, i);
}

void sap_mask_from_bytes(const uint8_t *bytes, uint64_t n, uint64_t *mask) {
  for (uint64_t start = 0; start < n; start += 64) {
    uint64_t left = n - start < 64 ? n - start : 64, word = 0;
    for (uint64_t i = 0; i < left; i++) word |= (uint64_t)(bytes[start + i] != 0) << i;
    mask[start / 64] = word;
  }
}

/* The bits of one element (of 1, 2, 4 or 8 bytes) that say it is not zero: all but the sign of signed floats. */
static uint64_t value_bits(sap_dtype dtype) {
  switch (dtype) {
    case SAP_F8_E5M2:
    case SAP_F8_E4M3: return 0x7f;
    case SAP_F16:
    case SAP_BF16: return 0x7fff;
    case SAP_F32: return 0x7fffffff;
    case SAP_C64: return 0x7fffffff7fffffffu;
    case SAP_F64: return 0x7fffffffffffffffu;
    default: return ~(uint64_t)0;
  }
}

void sap_mask_from_nonzeros(const void *w, sap_dtype dtype, uint64_t n, uint64_t *mask) {
  if (dtype == SAP_F8_E8M0) { /* a power of two is never zero */
    sap_mask_fill(mask, n);
    return;
  }
  const unsigned width = sap_dtype_bits(dtype);
  if (width >= 8) sap__nonzeros(w, width / 8, value_bits(dtype), n, mask);
}

void sap__mask_read(const uint64_t *mask, uint64_t offset, size_t n, uint64_t *words) {
  if (!n) return;
  const uint64_t *from = mask + offset / 64;
  unsigned shift = (unsigned)(offset % 64);
  size_t count = (n + 63) / 64, last = (size_t)((shift + n - 1) / 64);
  for (size_t i = 0; i < count; i++) {
    words[i] = from[i] >> shift;
    if (shift && i < last) words[i] |= from[i + 1] << (64 - shift);
  }
  words[count - 1] &= last_bits(n);
}

void sap__mask_remove(uint64_t *mask, uint64_t offset, size_t n, const uint64_t *words) {
  uint64_t *to = mask + offset / 64;
  unsigned shift = (unsigned)(offset % 64);
  for (size_t i = 0; i < (n + 63) / 64; i++) {
    to[i] &= ~(words[i] << shift);
    if (shift && words[i] >> (64 - shift)) to[i + 1] &= ~(words[i] >> (64 - shift));
  }
}

uint64_t sap__lowest_bits(uint64_t word, uint64_t count) {
  uint64_t rest = word;
  if (count >= (uint64_t)__builtin_popcountll(word)) return word;
  while (rest && count--) rest &= rest - 1;
  return word & ~rest;
}
