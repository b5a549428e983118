/* Instruction sets and threads.
 *
 * Each kernel exists as a plain scalar reference and as faster versions. The best one that the
 * processor has is chosen at run time; the environment variable SAP_CPU=scalar|neon|avx2|avx512 forces
 * one (a set the processor lacks is ignored: the best available below it is taken).
 */
#ifndef SAPWOOD_CPU_H
#define SAPWOOD_CPU_H

#include "sapwood/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum sap_cpu {
  SAP_CPU_SCALAR = 0,
  SAP_CPU_NEON = 1,   /* AArch64 Advanced SIMD */
  SAP_CPU_AVX2 = 2,   /* AVX2, FMA, F16C */
  SAP_CPU_AVX512 = 3, /* AVX-512 F, BW, DQ, VL */
  SAP_CPU_COUNT = 4
} sap_cpu;

/* The instruction set the kernels use in this process. Read once, at the first call. Thread-safe. */
SAP_API sap_cpu sap_cpu_active(void);

/* "scalar", "neon", "avx2", "avx512". Static storage. */
SAP_API const char *sap_cpu_name(sap_cpu cpu);

/* The number of threads that library calls made from this thread use, 1 … 1024; 0 means one a core
 * (the default). Without OpenMP in the build it is always 1. Results never depend on it. */
SAP_API void sap_threads_set(int threads);
SAP_API int sap_threads_get(void);

#ifdef __cplusplus
}
#endif
#endif
