#include "index/kernel.h"

#include "sapwood/cpu.h"

const sap__index_kernels *sap__index_kernels_active(void) {
  switch (sap_cpu_active()) {
#if defined(__x86_64__)
    case SAP_CPU_AVX512: return &sap__index_avx512;
    case SAP_CPU_AVX2: return &sap__index_avx2;
#elif defined(__aarch64__)
    case SAP_CPU_NEON: return &sap__index_neon;
#endif
    default: return &sap__index_scalar;
  }
}
