/* Copying weights with the pruned ones zero. */
#ifndef SAP_TENSOR_KEEP_H
#define SAP_TENSOR_KEEP_H

#include <stddef.h>
#include <stdint.h>

#include "sapwood/dtype.h"

typedef struct sap__keep_kernels {
  /* Copies n elements of `size` bytes (1, 2, 4 or 8), aligned to nothing; those whose bit of the mask is 0 become 0.
   * `to` is `from` or does not overlap it. */
  void (*copy)(void *to, const void *from, size_t size, const uint64_t *mask, uint64_t n);
} sap__keep_kernels;

/* The same by type, with the instruction set in use. */
void sap__mask_copy(void *to, const void *from, sap_dtype dtype, const uint64_t *mask, uint64_t n);

#endif
