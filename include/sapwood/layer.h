/* One prunable tensor, as measuring and pruning see it: a borrowed view. */
#ifndef SAPWOOD_LAYER_H
#define SAPWOOD_LAYER_H

#include <stdint.h>

#include "sapwood/dtype.h"
#include "sapwood/mask.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sap_layer {
  const char *name; /* used in error texts; NULL: the layer's position is used instead */
  const void *data; /* count elements of dtype, row-major; pruned entries may hold anything */
  sap_dtype dtype;  /* a prunable one */
  uint64_t count;   /* elements; may be 0 */
  uint64_t rows;    /* neurons: the length of the first axis; count is a multiple of it; 1 if unknown */
  uint64_t *mask;   /* sap_mask_words(count) words; NULL: all are kept (then it cannot be pruned) */
  int mapped;       /* 1: data lies in a read-only mapping of a file: its pages are given back after each read of it,
                     * so that the memory in use does not grow with the file; 0: anything else */
} sap_layer;

/* Of a mapped layer: gives back the memory of its pages, which come back when they are read. For who reads some of the
 * weights directly; all functions that take layers do so themselves. */
SAP_API void sap_layer_release(const sap_layer *layer);

/* Clears the mask bits of kept weights that are 0 or -0; returns how many. The layer has a mask. One read of the
 * weights. */
SAP_API uint64_t sap_layer_drop_zeros(const sap_layer *layer);

/* The same for kept weights that are NaN or infinite. */
SAP_API uint64_t sap_layer_drop_nonfinite(const sap_layer *layer);

#ifdef __cplusplus
}
#endif
#endif
