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

/* Bytes from which on a row of a mapped file is read as a span of its own. */
#define SAP__ROW_LONG ((size_t)1 << 20)

/* The same for a thread that goes through rows in order: it holds pages of a mapped layer, *pages, for many of them.
 * When all threads have ended, sap_layer_release gives back the rest. */
static inline sap__span sap__row_span_at(const sap_layer *layer, uint64_t row, sap__pages *pages) {
  sap__span span = sap__row_span(layer, row);
  if (!layer->mapped || span.n * sap__dtype_size(span.dtype) >= SAP__ROW_LONG) return span;
  sap__pages_read(pages, span.w, sap__span_end(&span));
  span.mapped = 0;
  return span;
}

/* SAP_ERROR_ARGUMENT unless each layer's count is a multiple of its rows. */
sap_status sap__rows_check(const sap_layer *layers, size_t count, sap_error *err);

#endif
