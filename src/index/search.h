/* The search for the c-th smallest key: an interval of keys that one pass over the weights narrows to a bin. */
#ifndef SAP_INDEX_SEARCH_H
#define SAP_INDEX_SEARCH_H

#include "index/span.h"
#include "tensor/widen.h"

/* The key looked for is the rank-th smallest of the kept keys in [low, high]. */
typedef struct sap__search {
  uint32_t low, high;
  uint32_t unit;  /* all keys are multiples of this, a power of two, and so is low: 2^16 for BF16, 2^13 for F16 */
  unsigned shift; /* of this pass: a key's bin is (key − low) >> shift */
  uint64_t rank;
  uint64_t found; /* kept keys in [low, high]; 0 until a pass has counted them */
} sap__search;

/* The interval of all keys. */
static inline sap__search sap__search_all(uint64_t rank, uint32_t unit) {
  return (sap__search){.low = 0, .high = SAP__KEY_MASK, .unit = unit, .rank = rank};
}

/* 1 when a single key is left: low. */
static inline int sap__search_done(const sap__search *s) { return s->high - s->low < s->unit; }

/* Chooses the narrowest bins of which `bins` cover the interval. */
static inline void sap__search_aim(sap__search *s, uint32_t bins) {
  s->shift = (unsigned)__builtin_ctz(s->unit);
  while ((s->high - s->low) >> s->shift >= bins) s->shift++;
}

/* Adds the kept keys of a span of at most SAP__BLOCK weights to the bins; returns how many lie below the interval, if
 * that is not known yet. */
uint64_t sap__search_count(const sap__search *s, const sap__span *span, uint32_t *bins);

/* Narrows the interval to the bin that holds the key. 0, and nothing changed, if the interval holds fewer than rank
 * keys. */
int sap__search_narrow(sap__search *s, const uint64_t *bins, uint32_t count);

static inline sap_selection sap__search_result(const sap__search *s, uint64_t c) {
  return (sap_selection){c, s->low, s->rank, s->found, 0};
}

#endif
