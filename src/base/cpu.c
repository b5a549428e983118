#include "base/cpu.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef _OPENMP
#include <omp.h>
#endif
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "sapwood/cpu.h"

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

void sap__cpu_brand(char *text, size_t size) {
#if defined(__x86_64__)
  unsigned words[13] = {0}, a = 0, b, c, d;
  for (unsigned leaf = 0; leaf < 3; leaf++)
    __get_cpuid(0x80000002u + leaf, &words[4 * leaf], &words[4 * leaf + 1], &words[4 * leaf + 2], &words[4 * leaf + 3]);
  __get_cpuid(1, &a, &b, &c, &d);
  const char *name = (const char *)words;
  const unsigned family = (a >> 8 & 15) + (a >> 20 & 255), model = (a >> 4 & 15) | (a >> 12 & 240);
  snprintf(text, size, "%s %u/%u/%u", name + strspn(name, " "), family, model, a & 15);
#else
  snprintf(text, size, "%s", sap_cpu_name(sap_cpu_active()));
#endif
}

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
