/* Selection in one span on the calling thread: small, and without memory. */
#include "index/kernel.h"
#include "index/search.h"
#include "index/wide.h"

#define BINS 256

/* When so few keys are left they are looked at one by one. */
#define FEW 64

/* The keys in the interval, in any order; there are s->found. */
static size_t gather_few(const sap__search *s, const sap__span *span, uint32_t *few) {
  uint64_t words[SAP__BLOCK_WORDS], below[SAP__BLOCK_WORDS], inside[SAP__BLOCK_WORDS];
  float room[SAP__BLOCK];
  size_t count = 0;
  for (uint64_t start = 0; start < span->n && count < s->found; start += SAP__BLOCK) {
    uint64_t left = span->n - start;
    sap__span stored = sap__subspan(span, start, left < SAP__BLOCK ? left : SAP__BLOCK);
    sap__span block = sap__span_narrow(&stored, room);
    const uint64_t *keep = sap__span_keep(&block, words);
    sap__index_kernels_active()->compare(block.w, block.dtype, (size_t)block.n, s->low, s->high, below, inside);
    for (size_t i = 0; i < (block.n + 63) / 64; i++)
      for (uint64_t word = keep ? inside[i] & keep[i] : inside[i]; word; word &= word - 1)
        few[count++] = sap__key(block.w, block.dtype, 64 * i + (size_t)__builtin_ctzll(word));
  }
  return count;
}

/* Finds the rank-th of the few keys by counting, for each, those below and those equal. */
static void take_few(sap__search *s, const uint32_t *few, size_t count) {
  for (size_t i = 0; i < count; i++) {
    uint64_t below = 0, equal = 0;
    for (size_t j = 0; j < count; j++) {
      below += few[j] < few[i];
      equal += few[j] == few[i];
    }
    if (s->rank <= below || s->rank > below + equal) continue;
    s->low = s->high = few[i];
    s->rank -= below;
    s->found = equal;
    return;
  }
}

/* One pass over the whole span into total[BINS]. */
static void count_span(const sap__search *s, const sap__span *span, uint64_t *total) {
  for (uint64_t start = 0; start < span->n; start += SAP__BLOCK) {
    uint32_t bins[BINS] = {0};
    uint64_t left = span->n - start;
    sap__span block = sap__subspan(span, start, left < SAP__BLOCK ? left : SAP__BLOCK);
    (void)sap__search_count(s, &block, bins);
    for (size_t i = 0; i < BINS; i++) total[i] += bins[i];
  }
}

sap_selection sap__select_span(const sap__span *span, uint64_t c) {
  sap__search s = sap__search_all(c, 1);
  if (!c) return (sap_selection){0};
  if (span->dtype == SAP_F64) return sap__wide_select_span(span, c);
  while (!sap__search_done(&s)) {
    uint64_t total[BINS] = {0};
    sap__search_aim(&s, BINS);
    count_span(&s, span, total);
    if (!sap__search_narrow(&s, total, BINS)) break;
    if (s.found > FEW || sap__search_done(&s)) continue;
    uint32_t few[FEW];
    take_few(&s, few, gather_few(&s, span, few));
  }
  return sap__search_result(&s, c);
}
