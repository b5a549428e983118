#include "engine/onednn/loops.h"

#include "sapwood/cpu.h"

extern const sap__loops sap__loops_scalar;
#if defined(__x86_64__)
extern const sap__loops sap__loops_avx2, sap__loops_avx512;
#elif defined(__aarch64__)
extern const sap__loops sap__loops_neon;
#endif

const sap__loops *sap__loops_active(void) {
  switch (sap_cpu_active()) {
#if defined(__x86_64__)
    case SAP_CPU_AVX2: return &sap__loops_avx2;
    case SAP_CPU_AVX512: return &sap__loops_avx512;
#elif defined(__aarch64__)
    case SAP_CPU_NEON: return &sap__loops_neon;
#endif
    default: return &sap__loops_scalar;
  }
}
