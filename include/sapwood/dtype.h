/* Element types of tensors. Names are those of the safetensors format. */
#ifndef SAPWOOD_DTYPE_H
#define SAPWOOD_DTYPE_H

#include <stddef.h>
#include <stdint.h>

#include "sapwood/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* X(constant, safetensors name, bits an element). Order: safetensors' alignment order. */
#define SAP_DTYPE_LIST(X)              \
  X(SAP_BOOL, "BOOL", 8)               \
  X(SAP_F4, "F4", 4)                   \
  X(SAP_F6_E2M3, "F6_E2M3", 6)         \
  X(SAP_F6_E3M2, "F6_E3M2", 6)         \
  X(SAP_U8, "U8", 8)                   \
  X(SAP_I8, "I8", 8)                   \
  X(SAP_F8_E5M2, "F8_E5M2", 8)         \
  X(SAP_F8_E4M3, "F8_E4M3", 8)         \
  X(SAP_F8_E8M0, "F8_E8M0", 8)         \
  X(SAP_F8_E4M3FNUZ, "F8_E4M3FNUZ", 8) \
  X(SAP_F8_E5M2FNUZ, "F8_E5M2FNUZ", 8) \
  X(SAP_I16, "I16", 16)                \
  X(SAP_U16, "U16", 16)                \
  X(SAP_F16, "F16", 16)                \
  X(SAP_BF16, "BF16", 16)              \
  X(SAP_I32, "I32", 32)                \
  X(SAP_U32, "U32", 32)                \
  X(SAP_F32, "F32", 32)                \
  X(SAP_C64, "C64", 64)                \
  X(SAP_F64, "F64", 64)                \
  X(SAP_I64, "I64", 64)                \
  X(SAP_U64, "U64", 64)

typedef enum sap_dtype {
#define SAP_DTYPE_ENUM(constant, name, bits) constant,
  SAP_DTYPE_LIST(SAP_DTYPE_ENUM)
#undef SAP_DTYPE_ENUM
      SAP_DTYPE_COUNT
} sap_dtype;

/* "F32" and so on; "?" outside the list. Static storage. */
SAP_API const char *sap_dtype_name(sap_dtype dtype);

/* Bits an element takes; 0 outside the list. */
SAP_API unsigned sap_dtype_bits(sap_dtype dtype);

/* The type with this safetensors name; SAP_DTYPE_COUNT if there is none. */
SAP_API sap_dtype sap_dtype_from_name(const char *name, size_t length);

/* 1 if the index, selection and pruning take weights of this type: F64, F32, F16, BF16, F8_E4M3, F8_E5M2. */
SAP_API int sap_dtype_prunable(sap_dtype dtype);

/* Widens n elements of a prunable type to float, exactly; F64 is rounded to nearest. Source and destination do not
 * overlap. Any NaN of F8_E4M3 becomes one NaN. */
SAP_API void sap_dtype_to_f32(sap_dtype dtype, const void *source, float *destination, size_t n);

/* The same to double: exact for every prunable type. */
SAP_API void sap_dtype_to_f64(sap_dtype dtype, const void *source, double *destination, size_t n);

#ifdef __cplusplus
}
#endif
#endif
