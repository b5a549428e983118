/* Stretches of a mask that start at any bit, seen as whole words. */
#ifndef SAP_TENSOR_MASK_WINDOW_H
#define SAP_TENSOR_MASK_WINDOW_H

#include <stddef.h>
#include <stdint.h>

/* Bits [offset, offset + n) of the mask into words[(n + 63) / 64]; unused bits of the last word become 0.
 * Never reads past the word that holds the last bit. */
void sap__mask_read(const uint64_t *mask, uint64_t offset, size_t n, uint64_t *words);

/* Clears those bits of the mask whose bit in words is 1. Other bits of shared words are left as they are. */
void sap__mask_remove(uint64_t *mask, uint64_t offset, size_t n, const uint64_t *words);

/* The lowest `count` bits of `word` that are 1; all of them if there are no more. */
uint64_t sap__lowest_bits(uint64_t word, uint64_t count);

#endif
