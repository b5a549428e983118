#include "index/search.h"

#include <string.h>

#include "index/kernel.h"

/* Counts the weights of one word one by one. */
static void count_bits(const sap__search *s, const sap__span *span, size_t i, uint64_t word, uint32_t *bins) {
  const void *w = span->w;
  unsigned shift = s->shift;
  uint32_t low = s->low;
  if (span->dtype == SAP_F32)
    for (; word; word &= word - 1) bins[(sap__key(w, SAP_F32, i + (size_t)__builtin_ctzll(word)) - low) >> shift]++;
  else if (span->dtype == SAP_BF16)
    for (; word; word &= word - 1) bins[(sap__key(w, SAP_BF16, i + (size_t)__builtin_ctzll(word)) - low) >> shift]++;
  else
    for (; word; word &= word - 1) bins[(sap__key(w, SAP_F16, i + (size_t)__builtin_ctzll(word)) - low) >> shift]++;
}

/* Counts 64 weights straight from their bits, two floats or four halves at a time: `bits` bits from `shift` on. */
static inline __attribute__((always_inline)) void count_64(const void *w, unsigned lanes, unsigned shift, unsigned bits,
                                                           unsigned up, uint32_t *bins) {
  for (unsigned i = 0; i < 64 / lanes; i++) {
    uint64_t pack, mask = ((uint64_t)1 << bits) - 1;
    memcpy(&pack, (const char *)w + 8 * i, sizeof pack);
    for (unsigned j = 0; j < lanes; j++) bins[(pack >> (shift + 64 / lanes * j) & mask) << up]++;
  }
}

/* 1 if the weights could be counted 64 at a time. BF16 has its bits 16 places lower than when it is widened. */
static int count_whole(unsigned shift, const sap__span *span, size_t i, uint32_t *bins) {
  const char *w = span->w;
  float wide[64];
  if (span->dtype == SAP_BF16 && shift == 16) {
    count_64(w + 2 * i, 4, 0, 15, 0, bins);
  } else if (shift != 15 && shift != 23) {
    return 0;
  } else if (span->dtype == SAP_BF16 && shift == 15) {
    count_64(w + 2 * i, 4, 0, 15, 1, bins);
  } else if (span->dtype == SAP_BF16) {
    count_64(w + 2 * i, 4, 7, 8, 0, bins);
  } else {
    if (span->dtype == SAP_F16) sap_dtype_to_f32(SAP_F16, w + 2 * i, wide, 64);
    const void *floats = span->dtype == SAP_F16 ? (const void *)wide : w + 4 * i;
    if (shift == 15)
      count_64(floats, 2, 15, 16, 0, bins);
    else
      count_64(floats, 2, 23, 8, 0, bins);
  }
  return 1;
}

/* Counts all kept keys. */
static void count_all(const sap__search *s, const sap__span *span, const uint64_t *keep, uint32_t *bins) {
  for (size_t i = 0; i < span->n; i += 64) {
    uint64_t word = keep ? keep[i / 64] : ~(uint64_t)0;
    if (span->n - i < 64) word &= ((uint64_t)1 << (span->n - i)) - 1;
    if (word == ~(uint64_t)0 && count_whole(s->shift, span, i, bins)) continue;
    count_bits(s, span, i, word, bins);
  }
}

/* Counts only the keys in the interval: few, so a vector compare looks for them. */
static uint64_t count_inside(const sap__search *s, const sap__span *span, const uint64_t *keep, uint32_t *bins) {
  uint64_t below[SAP__BLOCK_WORDS], inside[SAP__BLOCK_WORDS];
  size_t words = (size_t)(span->n + 63) / 64;
  sap__index_kernels_active()->compare(span->w, span->dtype, (size_t)span->n, s->low, s->high, below, inside);
  for (size_t i = 0; keep && i < words; i++) {
    below[i] &= keep[i];
    inside[i] &= keep[i];
  }
  if (s->low == s->high) {
    bins[0] += (uint32_t)sap_mask_count(inside, 64 * words);
  } else {
    for (size_t i = 0; i < words; i++)
      if (inside[i]) count_bits(s, span, 64 * i, inside[i], bins);
  }
  return s->found ? 0 : sap_mask_count(below, 64 * words);
}

uint64_t sap__search_count(const sap__search *s, const sap__span *stored, uint32_t *bins) {
  uint64_t words[SAP__BLOCK_WORDS];
  float room[SAP__BLOCK];
  const sap__span narrow = sap__span_narrow(stored, room), *span = &narrow;
  const uint64_t *keep = sap__span_keep(span, words);
  if (s->low > 0 || s->high < SAP__KEY_MASK) return count_inside(s, span, keep, bins);
  count_all(s, span, keep, bins);
  return 0;
}

int sap__search_narrow(sap__search *s, const uint64_t *bins, uint32_t count) {
  uint64_t below = 0;
  for (uint32_t bin = 0; bin < count; bin++) {
    if (below + bins[bin] >= s->rank) {
      uint32_t low = s->low + (bin << s->shift), width = (1u << s->shift) - 1;
      s->high = s->high - low < width ? s->high : low + width;
      s->low = (low + s->unit - 1) & ~(s->unit - 1);
      s->rank -= below;
      s->found = bins[bin];
      return 1;
    }
    below += bins[bin];
  }
  return 0;
}
