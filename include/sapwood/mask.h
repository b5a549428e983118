/* Masks: one bit a weight, 1 = kept, 0 = pruned.
 *
 * Bit i is bit i % 64 of word i / 64 (on a little-endian machine: bit i % 8 of byte i / 8, the order of
 * NumPy's bitorder="little"). Bits past the last weight are 0. The mask belongs to the weight: a kept
 * weight may be 0, and a pruned weight's value is ignored everywhere.
 */
#ifndef SAPWOOD_MASK_H
#define SAPWOOD_MASK_H

#include <stddef.h>
#include <stdint.h>

#include "sapwood/dtype.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Words of 64 bits that a mask of n weights takes. */
static inline size_t sap_mask_words(uint64_t n) { return (size_t)((n + 63) / 64); }

static inline int sap_mask_get(const uint64_t *mask, uint64_t i) { return (int)(mask[i >> 6] >> (i & 63) & 1); }

static inline void sap_mask_set(uint64_t *mask, uint64_t i) { mask[i >> 6] |= (uint64_t)1 << (i & 63); }

static inline void sap_mask_clear(uint64_t *mask, uint64_t i) { mask[i >> 6] &= ~((uint64_t)1 << (i & 63)); }

/* A mask that keeps all n weights, to be freed with sap_mask_free; NULL without memory. Masks may lie anywhere; large
 * ones are made and read faster here, in huge pages. */
SAP_API uint64_t *sap_mask_new(uint64_t n);

/* NULL is fine. */
SAP_API void sap_mask_free(uint64_t *mask);

/* Keeps all n weights; the last word's unused bits become 0. */
SAP_API void sap_mask_fill(uint64_t *mask, uint64_t n);

/* How many of the n weights are kept. One read of the mask. */
SAP_API uint64_t sap_mask_count(const uint64_t *mask, uint64_t n);

/* Sets every pruned weight of w (n elements of any type of 8, 16, 32 or 64 bits) to zero. */
SAP_API void sap_mask_apply(void *w, sap_dtype dtype, const uint64_t *mask, uint64_t n);

/* Between the bits and one byte a weight (0 or 1; on the way in, any nonzero byte is kept). */
SAP_API void sap_mask_to_bytes(const uint64_t *mask, uint64_t n, uint8_t *bytes);
SAP_API void sap_mask_from_bytes(const uint8_t *bytes, uint64_t n, uint64_t *mask);

/* Keeps what is not zero: the mask of a checkpoint pruned by another tool. -0 counts as zero. */
SAP_API void sap_mask_from_nonzeros(const void *w, sap_dtype dtype, uint64_t n, uint64_t *mask);

#ifdef __cplusplus
}
#endif
#endif
