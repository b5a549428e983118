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
  sap_dtype dtype;  /* F32, F16 or BF16 */
  uint64_t count;   /* elements; may be 0 */
  uint64_t rows;    /* neurons: the length of the first axis; count is a multiple of it; 1 if unknown */
  uint64_t *mask;   /* sap_mask_words(count) words; NULL: all are kept (then it cannot be pruned) */
} sap_layer;

#ifdef __cplusplus
}
#endif
#endif
