#include "sapwood/dtype.h"

#include <string.h>

#include "base/kernels.h"
#include "tensor/widen.h"

#define SAP_DTYPE_ROW(constant, name, bits) {name, sizeof name - 1, bits},
static const struct {
  const char *name;
  size_t length;
  unsigned bits;
} dtypes[SAP_DTYPE_COUNT] = {SAP_DTYPE_LIST(SAP_DTYPE_ROW)};
#undef SAP_DTYPE_ROW

const char *sap_dtype_name(sap_dtype dtype) { return (unsigned)dtype < SAP_DTYPE_COUNT ? dtypes[dtype].name : "?"; }

unsigned sap_dtype_bits(sap_dtype dtype) { return (unsigned)dtype < SAP_DTYPE_COUNT ? dtypes[dtype].bits : 0; }

sap_dtype sap_dtype_from_name(const char *name, size_t length) {
  for (int i = 0; i < SAP_DTYPE_COUNT; i++)
    if (dtypes[i].length == length && !memcmp(dtypes[i].name, name, length)) return (sap_dtype)i;
  return SAP_DTYPE_COUNT;
}

int sap_dtype_prunable(sap_dtype dtype) {
  return dtype == SAP_F32 || dtype == SAP_F16 || dtype == SAP_BF16 || dtype == SAP_F64 || sap__dtype_f8(dtype);
}

/* Bytes as halves first: E5M2 is one cut off, and E4M3 moved under the exponent of a half is 2^-8 of its value, its
 * least numbers included. */
static void widen_f8(sap_dtype dtype, const uint8_t *source, float *destination, size_t n) {
  enum { PIECE = 1024 };
  uint16_t halves[PIECE];
  const int e4m3 = dtype == SAP_F8_E4M3;
  for (size_t start = 0; start < n; start += PIECE) {
    const size_t now = n - start < PIECE ? n - start : PIECE;
    const uint8_t *bytes = source + start;
    float *floats = destination + start;
    for (size_t i = 0; i < now; i++) {
      const unsigned b = bytes[i], moved = (b & 0x7f) == 0x7f ? 0x7e00u : (b & 0x7f) << 7;
      halves[i] = (uint16_t)(e4m3 ? (b & 0x80) << 8 | moved : b << 8);
    }
    SAP__KERNELS_ACTIVE(sap__widen)->f16(halves, floats, now);
    for (size_t i = 0; e4m3 && i < now; i++) floats[i] *= 0x1p8f;
  }
}

void sap_dtype_to_f32(sap_dtype dtype, const void *source, float *destination, size_t n) {
  if (dtype == SAP_F16)
    SAP__KERNELS_ACTIVE(sap__widen)->f16(source, destination, n);
  else if (dtype == SAP_BF16)
    SAP__KERNELS_ACTIVE(sap__widen)->bf16(source, destination, n);
  else if (dtype == SAP_F32 && n)
    memcpy(destination, source, n * sizeof *destination);
  else if (sap__dtype_f8(dtype))
    widen_f8(dtype, source, destination, n);
  else if (dtype == SAP_F64)
    for (size_t i = 0; i < n; i++) {
      double value;
      memcpy(&value, (const char *)source + 8 * i, sizeof value);
      destination[i] = (float)value;
    }
}

void sap_dtype_to_f64(sap_dtype dtype, const void *source, double *destination, size_t n) {
  enum { PIECE = 1024 };
  float floats[PIECE];
  if (dtype == SAP_F64) {
    if (n) memcpy(destination, source, n * sizeof *destination);
    return;
  }
  for (size_t start = 0; start < n; start += PIECE) {
    const size_t now = n - start < PIECE ? n - start : PIECE;
    sap_dtype_to_f32(dtype, (const char *)source + start * sap__dtype_size(dtype), floats, now);
    for (size_t i = 0; i < now; i++) destination[start + i] = (double)floats[i];
  }
}
