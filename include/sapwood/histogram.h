/* How the magnitudes of weights are spread, power of two by power of two. */
#ifndef SAPWOOD_HISTOGRAM_H
#define SAPWOOD_HISTOGRAM_H

#include <stdint.h>

#include "sapwood/layer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* bins[SAP_HISTOGRAM_ZERO + e] counts 2^e <= |w| < 2^(e+1); e is -1074 … 1023, which holds the least double. */
#define SAP_HISTOGRAM_ZERO 1074
#define SAP_HISTOGRAM_BINS (SAP_HISTOGRAM_ZERO + 1024)

typedef struct sap_histogram {
  uint64_t zeros, nonfinite;
  uint64_t bins[SAP_HISTOGRAM_BINS];
} sap_histogram;

/* Of the kept weights of one layer. One read of the weights. Errors: SAP_ERROR_ARGUMENT. */
SAP_API sap_status sap_layer_histogram(const sap_layer *layer, sap_histogram *histogram,
                                       sap_error *err) SAP_WARN_UNUSED;

#ifdef __cplusplus
}
#endif
#endif
