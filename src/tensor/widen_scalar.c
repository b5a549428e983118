#include "tensor/widen.h"

static void f16(const void *source, float *destination, size_t n) {
  for (size_t i = 0; i < n; i++) destination[i] = sap__float_from_bits(sap__float_bits(source, SAP_F16, i));
}

static void bf16(const void *source, float *destination, size_t n) {
  for (size_t i = 0; i < n; i++) destination[i] = sap__float_from_bits(sap__float_bits(source, SAP_BF16, i));
}

const sap__widen_kernels sap__widen_scalar = {f16, bf16};
