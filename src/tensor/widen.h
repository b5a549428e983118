/* Widening narrow floats: the scalar conversions, and one row kernel an instruction set. */
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

/* E5M2 is the upper half of an IEEE half. */
static inline uint32_t sap__f8_e5m2_bits(uint8_t byte) { return sap__f16_bits((uint16_t)(byte << 8)); }

/* E4M3 (the variant without infinities): 1 sign, 4 exponent, 3 fraction bits, bias 7; all ones is the one NaN. */
static inline uint32_t sap__f8_e4m3_bits(uint8_t byte) {
  uint32_t sign = (uint32_t)(byte & 0x80) << 24, magnitude = byte & 0x7f;
  if (magnitude == 0x7f) return sign | 0x7fc00000;
  if (magnitude >= 8) return sign | ((magnitude << 20) + 0x3c000000);
  float value = (float)magnitude * 0x1p-9f;
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return sign | bits;
}

/* The types that sap_dtype_prunable knows, for error texts. */
#define SAP__PRUNABLE_TYPES "F64, F32, F16, BF16, F8_E4M3 or F8_E5M2"

/* 1 for the types of one byte. */
static inline int sap__dtype_f8(sap_dtype dtype) { return dtype == SAP_F8_E4M3 || dtype == SAP_F8_E5M2; }

/* Bytes an element of a prunable type. */
static inline size_t sap__dtype_size(sap_dtype dtype) {
  return dtype == SAP_F64 ? 8 : dtype == SAP_F32 ? 4 : sap__dtype_f8(dtype) ? 1 : 2;
}

/* The float bits of element i of w, of a prunable type other than F64. */
static inline uint32_t sap__float_bits(const void *w, sap_dtype dtype, size_t i) {
  uint32_t bits;
  if (dtype == SAP_F32) {
    memcpy(&bits, (const char *)w + 4 * i, sizeof bits);
    return bits;
  }
  if (dtype == SAP_F8_E4M3) return sap__f8_e4m3_bits(((const uint8_t *)w)[i]);
  if (dtype == SAP_F8_E5M2) return sap__f8_e5m2_bits(((const uint8_t *)w)[i]);
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

/* The wide key: the bits of |w| as a double, for any prunable type. The same order, 63 bits. */
#define SAP__WIDE_MASK 0x7fffffffffffffffu
#define SAP__WIDE_INFINITY 0x7ff0000000000000u
static inline uint64_t sap__wide_key(const void *w, sap_dtype dtype, size_t i) {
  uint64_t bits;
  if (dtype == SAP_F64) {
    memcpy(&bits, (const char *)w + 8 * i, sizeof bits);
  } else {
    double value = (double)sap__float_from_bits(sap__key(w, dtype, i));
    memcpy(&bits, &value, sizeof bits);
  }
  return bits & SAP__WIDE_MASK;
}

static inline double sap__double_from_bits(uint64_t bits) {
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* |w| of element i, of any prunable type; exact. */
static inline double sap__magnitude(const void *w, sap_dtype dtype, size_t i) {
  return sap__double_from_bits(sap__wide_key(w, dtype, i));
}

#endif
