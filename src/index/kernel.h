/* The vector kernels of the index and of selection: one table an instruction set.
 *
 * A kernel works on one block: w holds n elements of dtype (F32, F16, BF16), aligned to nothing, n at most
 * SAP__BLOCK. Bit i of keep (whole words, unused bits 0) belongs to w[i]; keep NULL: all are kept.
 * Pruned entries are ignored whatever they hold. kernel_scalar.c is the reference: plain loops in double.
 */
#ifndef SAP_INDEX_KERNEL_H
#define SAP_INDEX_KERNEL_H

#include <stddef.h>
#include <stdint.h>

#include "sapwood/dtype.h"

/* Elements of a block: a float block stays in a 64 KiB piece of the cache while it is looked at twice. */
#define SAP__BLOCK 16384
#define SAP__BLOCK_WORDS (SAP__BLOCK / 64)

/* Below this the vector kernels do not tell the power of the least float from that of 0. */
#define SAP__POWER_MIN 1e-6

/* What one block contributes. */
typedef struct sap__sums {
  uint64_t count;   /* kept entries */
  uint64_t zeros;   /* of these, equal to 0 */
  uint32_t largest; /* largest key of the kept; from SAP__KEY_INFINITY on, the sums mean nothing */
  double sum_p, sum_q;
} sap__sums;

typedef struct sap__index_kernels {
  /* Σ|w|^0.5 and Σ|w|, relative error below 1e-10 where the largest magnitude is 2^-64 … 2^120. sums->largest is a
   * guess at the largest key, 0 for none, and sums->zeros at whether there are zeros: they decide the time, not the
   * result. */
  void (*half_one)(const void *w, sap_dtype dtype, size_t n, const uint64_t *keep, sap__sums *sums);

  /* Σ|w| and Σw². */
  void (*one_two)(const void *w, sap_dtype dtype, size_t n, const uint64_t *keep, sap__sums *sums);

  /* Counts and keys alone. */
  void (*extent)(const void *w, sap_dtype dtype, size_t n, const uint64_t *keep, sap__sums *sums);

  /* Σ(|w|/m)^p and Σ(|w|/m)^q with m the magnitude of sums->largest, which is not 0 and which extent found.
   * Entries equal to m contribute exactly 1. p is at least SAP__POWER_MIN, except in the scalar table. */
  void (*power)(const void *w, sap_dtype dtype, size_t n, const uint64_t *keep, double p, double q, sap__sums *sums);

  /* Bit i of below: the key of w[i] is below low; of inside: it is in [low, high]. (n + 63) / 64 words each,
   * unused bits 0. */
  void (*compare)(const void *w, sap_dtype dtype, size_t n, uint32_t low, uint32_t high, uint64_t *below,
                  uint64_t *inside);
} sap__index_kernels;

extern const sap__index_kernels sap__index_scalar, sap__index_avx2, sap__index_avx512, sap__index_neon;
extern const sap__index_kernels sap__index_avx512_vnni; /* of AVX-512 with VBMI and VNNI */

/* The table for sap_cpu_active(). */
const sap__index_kernels *sap__index_kernels_active(void);

#endif
