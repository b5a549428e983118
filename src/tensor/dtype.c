#include "sapwood/dtype.h"

#include <string.h>

#include "sapwood/cpu.h"
#include "tensor/widen.h"

#define SAP_DTYPE_ROW(constant, name, bits) {name, bits},
static const struct {
  const char *name;
  unsigned bits;
} dtypes[SAP_DTYPE_COUNT] = {SAP_DTYPE_LIST(SAP_DTYPE_ROW)};
#undef SAP_DTYPE_ROW

const char *sap_dtype_name(sap_dtype dtype) { return (unsigned)dtype < SAP_DTYPE_COUNT ? dtypes[dtype].name : "?"; }

unsigned sap_dtype_bits(sap_dtype dtype) { return (unsigned)dtype < SAP_DTYPE_COUNT ? dtypes[dtype].bits : 0; }

sap_dtype sap_dtype_from_name(const char *name, size_t length) {
  for (int i = 0; i < SAP_DTYPE_COUNT; i++)
    if (strlen(dtypes[i].name) == length && !memcmp(dtypes[i].name, name, length)) return (sap_dtype)i;
  return SAP_DTYPE_COUNT;
}

int sap_dtype_prunable(sap_dtype dtype) { return dtype == SAP_F32 || dtype == SAP_F16 || dtype == SAP_BF16; }

static const sap__widen_kernels *kernels(void) {
  switch (sap_cpu_active()) {
#if defined(__x86_64__)
    case SAP_CPU_AVX512: return &sap__widen_avx512;
    case SAP_CPU_AVX2: return &sap__widen_avx2;
#elif defined(__aarch64__)
    case SAP_CPU_NEON: return &sap__widen_neon;
#endif
    default: return &sap__widen_scalar;
  }
}

void sap_dtype_to_f32(sap_dtype dtype, const void *source, float *destination, size_t n) {
  if (dtype == SAP_F16)
    kernels()->f16(source, destination, n);
  else if (dtype == SAP_BF16)
    kernels()->bf16(source, destination, n);
  else if (dtype == SAP_F32 && n)
    memcpy(destination, source, n * sizeof *destination);
}
