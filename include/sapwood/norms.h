/* The four numbers from which PQ Index, retain bound and prune count follow, and their merge.
 *
 * For a vector w and 0 < p < q they are d (the kept entries), max|w|, Σ|w|^p and Σ|w|^q. The numbers of
 * two pieces of a vector merge into those of the whole; so neurons, layers, whole models, threads and
 * files read piece by piece all use this one struct.
 *
 * Numerics: sums are carried in double and relative to 2^exponent, so neither p = 0.1 nor weights near
 * the limits of their type overflow or vanish. The relative error of each sum is below 1e-9 for any
 * length; it does not depend on the number of threads.
 */
#ifndef SAPWOOD_NORMS_H
#define SAPWOOD_NORMS_H

#include <stdint.h>

#include "sapwood/dtype.h"
#include "sapwood/layer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sap_norms {
  double p, q;      /* exponents, 0 < p < q */
  uint64_t count;   /* d: kept entries seen */
  uint64_t zeros;   /* of these, entries equal to 0 */
  double max;       /* max |w| over the kept entries; 0 if there are none */
  double sum_p;     /* Σ (|w| · 2^-exponent)^p */
  double sum_q;     /* Σ (|w| · 2^-exponent)^q */
  int32_t exponent; /* the common scale of both sums */
} sap_norms;

/* The norms of the empty vector. p and q are taken as they are: check them with sap_pq_check. */
SAP_API sap_norms sap_norms_empty(double p, double q);

/* SAP_ERROR_ARGUMENT unless p and q are finite and 0 < p < q <= 64. */
SAP_API sap_status sap_pq_check(double p, double q, sap_error *err) SAP_WARN_UNUSED;

/* Adds the kept entries of w[0 … n) to *norms: one read of w.
 *
 *   w            n elements of dtype (F32, F16, BF16)
 *   mask         bit mask_offset + i belongs to w[i]; NULL: all kept
 *   mask_offset  the bit of w[0]: rows of a matrix need not start on a word
 *
 * (p, q) = (0.5, 1) and (1, 2) have closed forms and run at the speed of memory; other pairs go through
 * a vectorised power. Uses sap_threads_get() threads when n is large.
 * Errors: SAP_ERROR_ARGUMENT for p, q or dtype; SAP_ERROR_NONFINITE naming the first kept index whose
 * value is NaN or infinite. *norms is unchanged on error. */
SAP_API sap_status sap_norms_add(sap_norms *norms, const void *w, sap_dtype dtype, uint64_t n, const uint64_t *mask,
                                 uint64_t mask_offset, sap_error *err) SAP_WARN_UNUSED;

/* The same for one layer; an error text starts with the layer's name. */
SAP_API sap_status sap_norms_add_layer(sap_norms *norms, const sap_layer *layer, sap_error *err) SAP_WARN_UNUSED;

/* Merges *other into *norms; both have the same p and q. Associative up to rounding. */
SAP_API void sap_norms_merge(sap_norms *norms, const sap_norms *other);

#ifdef __cplusplus
}
#endif
#endif
