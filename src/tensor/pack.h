/* Kept weights side by side, and back in their places; and which weights are not zero. */
#ifndef SAP_TENSOR_PACK_H
#define SAP_TENSOR_PACK_H

#include <stddef.h>
#include <stdint.h>

/* Copies the kept ones of n elements of `size` bytes (1, 2, 4 or 8) to `values`, one behind the other; returns how
 * many. Bits of the mask past n are 0. The two do not overlap; both are aligned to nothing. */
uint64_t sap__pack(const void *elements, size_t size, const uint64_t *mask, uint64_t n, void *values);

/* The reverse: n elements, the pruned ones 0; returns how many values were taken. Reads no other value. */
uint64_t sap__unpack(const void *values, size_t size, const uint64_t *mask, uint64_t n, void *elements);

/* The mask of the elements that have one of `bits` set; bits past n become 0. */
void sap__nonzeros(const void *elements, size_t size, uint64_t bits, uint64_t n, uint64_t *mask);

/* The same for one instruction set. */
typedef struct sap__pack_kernels {
  uint64_t (*pack)(const void *elements, size_t size, const uint64_t *mask, uint64_t n, void *values);
  uint64_t (*unpack)(const void *values, size_t size, const uint64_t *mask, uint64_t n, void *elements);
  void (*nonzeros)(const void *elements, size_t size, uint64_t bits, uint64_t n, uint64_t *mask);
} sap__pack_kernels;

#endif
