#include "sapwood/cpu.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef _OPENMP
#include <omp.h>
#endif
#if defined(__x86_64__)
#include <cpuid.h>
#endif

static const char *const names[SAP_CPU_COUNT] = {"scalar", "neon", "avx2", "avx512"};

#if defined(__x86_64__)
/* By hand: clang 14 does not know the name for __builtin_cpu_supports. */
static int has_f16c(void) {
  unsigned a, b, c, d;
  return __get_cpuid(1, &a, &b, &c, &d) && c & bit_F16C;
}
#endif

static int available(sap_cpu cpu) {
  if (cpu == SAP_CPU_SCALAR) return 1;
#if defined(__x86_64__)
  if (cpu == SAP_CPU_AVX2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
  if (cpu == SAP_CPU_AVX512)
    return available(SAP_CPU_AVX2) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#elif defined(__aarch64__)
  if (cpu == SAP_CPU_NEON) return 1;
#endif
  return 0;
}

static sap_cpu active = SAP_CPU_SCALAR;

static void detect(void) {
  sap_cpu limit = SAP_CPU_AVX512;
  const char *forced = getenv("SAP_CPU");
  for (int i = 0; forced && i < SAP_CPU_COUNT; i++)
    if (!strcmp(forced, names[i])) limit = (sap_cpu)i;
  for (int i = 0; i <= (int)limit; i++)
    if (available((sap_cpu)i)) active = (sap_cpu)i;
}

sap_cpu sap_cpu_active(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, detect);
  return active;
}

const char *sap_cpu_name(sap_cpu cpu) { return (unsigned)cpu < SAP_CPU_COUNT ? names[cpu] : "?"; }

void sap_threads_set(int threads) {
#ifdef _OPENMP
  if (threads <= 0) threads = omp_get_num_procs();
  omp_set_num_threads(threads > 1024 ? 1024 : threads);
#else
  (void)threads;
#endif
}

int sap_threads_get(void) {
#ifdef _OPENMP
  return omp_get_max_threads();
#else
  return 1;
#endif
}
