/* The weights of a network between a file and a session: where the kept ones lie and how to find their places, but
 * neither floats nor places. Both are made a layer at a time, when they are packed. */
#ifndef SAP_RUNTIME_WEIGHTS_H
#define SAP_RUNTIME_WEIGHTS_H

#include "graph/graph.h"
#include "io/sparse_tensor.h"

/* One parameter. Without mask and code all are kept. */
typedef struct sap__kept_weights {
  uint64_t total, count;   /* entries; kept ones */
  sap_dtype dtype;         /* F32, F16, BF16 or I8 */
  const void *values;      /* (count), aligned to nothing; in a mapped file, or own_values */
  const void *scales;      /* (rows) F32, aligned to nothing: of I8; else NULL */
  uint64_t rows;           /* equal shares of the entries */
  uint64_t *mask;          /* owned */
  sap__sparse_tensor code; /* view NULL: none */
  void *own_values;
} sap__kept_weights;

/* Copies the entries of w (n floats) whose bit in mask is 1; mask NULL: all. SAP_ERROR_MEMORY. */
sap_status sap__kept_weights_make(const float *w, const uint64_t *mask, uint64_t n, sap__kept_weights *weights,
                                  sap_error *err) SAP_WARN_UNUSED;

/* The same of n elements of a type, under a mask that it takes over, also on an error. */
sap_status sap__kept_weights_take(const void *elements, sap_dtype dtype, uint64_t *mask, uint64_t n,
                                  sap__kept_weights *weights, sap_error *err) SAP_WARN_UNUSED;
void sap__kept_weights_free(sap__kept_weights *weights);

/* The kept weights as numbers: for as long as somebody packs them. */
typedef struct sap__kept_list {
  uint64_t count;
  const uint32_t *positions; /* (count) flat indices, rising; NULL: all are kept */
  const float *values;       /* (count) in the file where they are aligned floats */
  uint32_t *own_positions;
  float *own_values;
} sap__kept_list;

/* About 2 ns a kept weight and thread. Errors: SAP_ERROR_MEMORY; SAP_ERROR_IO: the file has changed since it was
 * opened. On an error the list is empty. */
sap_status sap__kept_list_make(const sap__kept_weights *weights, sap__kept_list *list, sap_error *err) SAP_WARN_UNUSED;
void sap__kept_list_free(sap__kept_list *list);

/* Which entry i of the kept ones is in the whole parameter. */
static inline uint64_t sap__kept_position(const sap__kept_list *list, uint64_t i) {
  return list->positions ? list->positions[i] : i;
}

#endif
