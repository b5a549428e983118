/* The Gini index of the kept magnitudes, the classic sparsity measure reported beside the PQ Index.
 *
 *   G = Σ(2i − d − 1) · w(i) / (d · Σ w(i)),  w(1) <= … <= w(d) the kept magnitudes in rising order
 *
 * in [0, 1 − 1/d]; 0 for d = 0 and for an all-zero vector. Hurley and Rickard, "Comparing Measures of
 * Sparsity", IEEE Trans. Information Theory 55 (2009).
 */
#ifndef SAPWOOD_GINI_H
#define SAPWOOD_GINI_H

#include <stddef.h>

#include "sapwood/layer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The Gini index of all kept weights of `count` layers taken as one vector. Layers of different types
 * may be mixed. Cost: a radix sort, O(kept), with scratch memory of 8 bytes a kept weight and up to
 * 4 MiB; sums in double. Errors: SAP_ERROR_MEMORY, SAP_ERROR_NONFINITE, SAP_ERROR_ARGUMENT. */
SAP_API sap_status sap_gini(const sap_layer *layers, size_t count, double *gini, sap_error *err) SAP_WARN_UNUSED;

#ifdef __cplusplus
}
#endif
#endif
