/* The difference of two runs of elements, one by one. */
#ifndef SAPWOOD_DIFFERENCE_H
#define SAPWOOD_DIFFERENCE_H

#include <stdint.h>

#include "sapwood/dtype.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sap_difference {
  uint64_t differing; /* elements that differ; equal bits, two NaNs, 0 and -0 do not */
  uint64_t beyond;    /* of these, those whose difference exceeds the tolerance */
  uint64_t pattern;   /* elements that are 0 in one and not 0 in the other */
  double largest;     /* the largest |a − b|; infinite where only one is a NaN; 1 for types without arithmetic */
  uint64_t index;     /* the first element where it is reached; 0 without a difference */
} sap_difference;

/* Compares a and b, n elements of one type each, aligned to nothing. tolerance >= 0. Types of fewer than 8 bits are
 * compared byte by byte, and the index is that of the byte. mapped: bit 0 for a, bit 1 for b: it lies in a read-only
 * mapping of a file, whose pages are given back once they are read.
 * One read of both, on sap_threads_get() threads; no memory. Cannot fail. */
SAP_API sap_difference sap_difference_find(sap_dtype dtype, const void *a, const void *b, uint64_t n, double tolerance,
                                           unsigned mapped);

#ifdef __cplusplus
}
#endif
#endif
