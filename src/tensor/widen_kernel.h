/* Widening, written once over base/simd.h; widen_<set>.c includes this and names the table. */
#include "base/simd.h"
#include "tensor/widen.h"

static void f16(const void *source, float *destination, size_t n) {
  size_t i = 0;
  for (; i + SIMD_LANES <= n; i += SIMD_LANES) {
    vuint x = simd_load_f16((const char *)source + 2 * i);
    memcpy(destination + i, &x, sizeof x);
  }
  for (; i < n; i++) destination[i] = sap__float_from_bits(sap__float_bits(source, SAP_F16, i));
}

static void bf16(const void *source, float *destination, size_t n) {
  size_t i = 0;
  for (; i + SIMD_LANES <= n; i += SIMD_LANES) {
    vuint x = simd_load_bf16((const char *)source + 2 * i);
    memcpy(destination + i, &x, sizeof x);
  }
  for (; i < n; i++) destination[i] = sap__float_from_bits(sap__float_bits(source, SAP_BF16, i));
}
