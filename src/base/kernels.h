/* Choosing the instance of a kernel, or of a table of kernels, for the instruction set in use.
 *
 * SAP__KERNELS_DECLARE(const table, sap__x) declares sap__x_scalar and the instances of this processor family;
 * SAP__KERNELS_ACTIVE(sap__x) is the address of the one that sap_cpu_active() asks for.
 */
#ifndef SAP_BASE_KERNELS_H
#define SAP_BASE_KERNELS_H

#include "sapwood/cpu.h"

#if defined(__x86_64__)
#define SAP__KERNELS_DECLARE(type, name) extern type name##_scalar, name##_avx2, name##_avx512
#define SAP__KERNELS_ACTIVE(name)                      \
  (sap_cpu_active() == SAP_CPU_AVX512 ? &name##_avx512 \
   : sap_cpu_active() == SAP_CPU_AVX2 ? &name##_avx2   \
                                      : &name##_scalar)
#elif defined(__aarch64__)
#define SAP__KERNELS_DECLARE(type, name) extern type name##_scalar, name##_neon
#define SAP__KERNELS_ACTIVE(name) (sap_cpu_active() == SAP_CPU_NEON ? &name##_neon : &name##_scalar)
#else
#define SAP__KERNELS_DECLARE(type, name) extern type name##_scalar
#define SAP__KERNELS_ACTIVE(name) (&name##_scalar)
#endif

#endif
