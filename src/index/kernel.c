#include "index/kernel.h"

#include "base/kernels.h"

const sap__index_kernels *sap__index_kernels_active(void) {
#if defined(__x86_64__)
  if (sap_cpu_active() == SAP_CPU_AVX512 && __builtin_cpu_supports("avx512vbmi") &&
      __builtin_cpu_supports("avx512vnni"))
    return &sap__index_avx512_vnni;
#endif
  return SAP__KERNELS_ACTIVE(sap__index);
}
