#include "index/kernel_bytes.h"
#include "index/kernel_power.h"

static void half_one_vnni(const void *w, sap_dtype dtype, size_t n, const uint64_t *keep, sap__sums *sums) {
  if (dtype == SAP_BF16 && !keep) {
    guess(w, dtype, n, sums);
    if (half_one_bytes(w, n, sums)) return;
  }
  half_one(w, dtype, n, keep, sums);
}

const sap__index_kernels sap__index_avx512 = {half_one, one_two, extent, power, compare};
const sap__index_kernels sap__index_avx512_vnni = {half_one_vnni, one_two, extent, power, compare};
