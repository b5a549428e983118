/* What differs between oneDNN 2.6 and 3.x, and the few calls that the rest of the folder makes. */
#ifndef SAP_ENGINE_ONEDNN_COMPAT_H
#define SAP_ENGINE_ONEDNN_COMPAT_H

#include <assert.h>
#include <dnnl.h>
#ifdef _OPENMP
#include <omp.h>
#endif

/* C (m,n) = alpha · op(A) · op(B) + beta · C, row-major; op transposes where its letter is 'T'.
 * Both generations have the call, with the same meaning; it fails on senseless lengths alone.
 * Runs on the calling thread: the plan shares out the work, and sums must not depend on threads. */
static inline void sap__dnnl_gemm(char transpose_a, char transpose_b, int64_t m, int64_t n, int64_t k, float alpha,
                                  const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c,
                                  int64_t ldc) {
#ifdef _OPENMP
  /* Inside a parallel region oneDNN keeps to one thread by itself; a region of one thread is not one. */
  int threads = omp_get_max_threads(), alone = threads > 1 && !omp_in_parallel();
  if (alone) omp_set_num_threads(1);
#endif
  dnnl_status_t status = dnnl_sgemm(transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  assert(status == dnnl_success);
  (void)status;
#ifdef _OPENMP
  if (alone) omp_set_num_threads(threads);
#endif
}

#endif
