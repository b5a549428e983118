/* Widening 16-bit floats: the scalar conversions, and one row kernel an instruction set. */
#ifndef SAP_TENSOR_WIDEN_H
#define SAP_TENSOR_WIDEN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "sapwood/dtype.h"

typedef struct sap__widen_kernels {
  void (*f16)(const void *source, float *destination, size_t n);
  void (*bf16)(const void *source, float *destination, size_t n);
} sap__widen_kernels;

extern const sap__widen_kernels sap__widen_scalar, sap__widen_avx2, sap__widen_avx512, sap__widen_neon;

/* The float bits of an IEEE half: 1 sign, 5 exponent, 10 fraction bits. Subnormals become normal floats. */
static inline uint32_t sap__f16_bits(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000) << 16, magnitude = half & 0x7fff;
  if (magnitude >= 0x7c00) return sign | 0x7f800000 | (magnitude & 0x3ff) << 13;
  if (magnitude >= 0x0400) return sign | ((magnitude << 13) + 0x38000000);
  float value = (float)magnitude * 0x1p-24f;
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return sign | bits;
}

static inline uint32_t sap__bf16_bits(uint16_t half) { return (uint32_t)half << 16; }

/* The float bits of element i of w, of a prunable type. */
static inline uint32_t sap__float_bits(const void *w, sap_dtype dtype, size_t i) {
  uint32_t bits;
  if (dtype == SAP_F32) {
    memcpy(&bits, (const char *)w + 4 * i, sizeof bits);
    return bits;
  }
  uint16_t half;
  memcpy(&half, (const char *)w + 2 * i, sizeof half);
  return dtype == SAP_F16 ? sap__f16_bits(half) : sap__bf16_bits(half);
}

/* The key: the bits of |w|. Keys are ordered as magnitudes are; from SAP__KEY_INFINITY on they are not finite. */
#define SAP__KEY_MASK 0x7fffffffu
#define SAP__KEY_INFINITY 0x7f800000u
static inline uint32_t sap__key(const void *w, sap_dtype dtype, size_t i) {
  return sap__float_bits(w, dtype, i) & SAP__KEY_MASK;
}

static inline float sap__float_from_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

#endif
