/* The loops of pooling: one table an element type and instruction set. */
#ifndef SAP_ENGINE_ONEDNN_POOL_H
#define SAP_ENGINE_ONEDNN_POOL_H

#include "engine/format.h"

/* All functions go over `count` pictures; x and dx have format `in`, y and dy format `out`, of one block.
 * `which` holds for each output the place in its window, row · kernel width + column, of the largest input.
 * Gradients are added to dx. */
typedef struct sap__pool_table {
  void (*max)(const sap__pool *pool, const sap__format *in, const sap__format *out, int64_t count, const void *x,
              void *y, uint16_t *which);
  void (*max_backward)(const sap__pool *pool, const sap__format *in, const sap__format *out, int64_t count,
                       const uint16_t *which, const void *dy, void *dx);
  void (*mean)(const sap__pool *pool, const sap__format *in, const sap__format *out, int64_t count, const void *x,
               void *y);
  void (*mean_backward)(const sap__pool *pool, const sap__format *in, const sap__format *out, int64_t count,
                        const void *dy, void *dx);
} sap__pool_table;

/* Of floats, and of bf16. */
typedef sap__pool_table sap__pool_pair[2];

/* The table for elements of `bytes` (4: float, 2: bf16) and the instruction set in use. */
const sap__pool_table *sap__pool_active(int bytes);

#endif
