/* The neurons of a layer, and how threads share them. */
#ifndef SAP_PRUNE_ROWS_H
#define SAP_PRUNE_ROWS_H

#include "index/span.h"

/* Rows that threads take together: the fewest after which a row starts on a mask word again, so that no two
 * threads write the same word. A power of two up to 64. */
static inline uint64_t sap__row_step(const sap_layer *layer) {
  uint64_t length = layer->rows ? layer->count / layer->rows : 0, step = 64;
  while (step > 1 && length % 2 == 0) {
    length /= 2;
    step /= 2;
  }
  return step;
}

static inline sap__span sap__row_span(const sap_layer *layer, uint64_t row) {
  uint64_t length = layer->count / layer->rows;
  sap__span whole = sap__layer_span(layer);
  return sap__subspan(&whole, row * length, length);
}

/* SAP_ERROR_ARGUMENT unless each layer's count is a multiple of its rows. */
sap_status sap__rows_check(const sap_layer *layers, size_t count, sap_error *err);

#endif
