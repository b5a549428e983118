/* What the benchmarks share: a clock, minima and medians, random weights, and the limit that memory sets.
 *
 * Machines are shared and noisy: both sides of a comparison run in turn (A B A B …), times are quoted as minimum
 * and median, and beside each stands the time of a plain read of the same bytes in the same rounds.
 */
#ifndef SAP_BENCH_H
#define SAP_BENCH_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "sapwood/sapwood.h"

#define BENCH_ROUNDS_MAX 1000
#define BENCH_UNUSED __attribute__((unused))

typedef struct bench_options {
  uint64_t elements;
  int rounds, threads, json;
  const char *only; /* the one case to run; NULL: all */
} bench_options;

/* --elements N --rounds R --threads T --only CASE --json; exits with 2 on anything else. */
BENCH_UNUSED static bench_options bench_parse(int count, char **arguments, uint64_t elements, int rounds) {
  bench_options o = {elements, rounds, 0, 0, NULL};
  for (int i = 1; i < count; i++) {
    const char *name = arguments[i], *value = i + 1 < count ? arguments[i + 1] : "";
    if (!strcmp(name, "--json")) {
      o.json = 1;
      continue;
    }
    if (!strcmp(name, "--elements"))
      o.elements = strtoull(value, NULL, 10);
    else if (!strcmp(name, "--rounds"))
      o.rounds = atoi(value);
    else if (!strcmp(name, "--threads"))
      o.threads = atoi(value);
    else if (!strcmp(name, "--only"))
      o.only = value;
    else
      o.rounds = 0;
    i++;
  }
  if (o.rounds < 1 || o.rounds > BENCH_ROUNDS_MAX || o.elements < 1) {
    fprintf(stderr, "usage: %s [--elements N] [--rounds 1..%d] [--threads T] [--only CASE] [--json]\n", arguments[0],
            BENCH_ROUNDS_MAX);
    exit(2);
  }
  if (o.threads > 0) sap_threads_set(o.threads);
  return o;
}

static double bench_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct bench_times {
  double seconds[BENCH_ROUNDS_MAX];
  int count;
} bench_times;

BENCH_UNUSED static void bench_add(bench_times *times, double seconds) { times->seconds[times->count++] = seconds; }

static int bench_compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

BENCH_UNUSED static double bench_min(bench_times *times) {
  qsort(times->seconds, (size_t)times->count, sizeof(double), bench_compare);
  return times->seconds[0];
}

BENCH_UNUSED static double bench_median(bench_times *times) {
  qsort(times->seconds, (size_t)times->count, sizeof(double), bench_compare);
  return times->seconds[times->count / 2];
}

/* Memory in huge pages where there are any; stops the program when there is none. */
BENCH_UNUSED static void *bench_memory(size_t bytes) {
  void *block = NULL;
  if (posix_memalign(&block, (size_t)2 << 20, bytes ? bytes : 1)) {
    fprintf(stderr, "no memory for %zu bytes\n", bytes);
    exit(1);
  }
#ifdef MADV_HUGEPAGE
  (void)madvise(block, bytes, MADV_HUGEPAGE);
#endif
  return block;
}

static uint64_t bench_state = 0x9e3779b97f4a7c15u;
static uint64_t bench_random(void) { /* splitmix64 */
  uint64_t z = bench_state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

/* Nearly normal: the sum of four uniform numbers of 16 bits, with finer noise below. */
BENCH_UNUSED static void bench_fill(float *w, uint64_t n) {
  for (uint64_t i = 0; i < n; i++) {
    uint64_t r = bench_random(), noise = bench_random();
    double sum = (double)(r & 0xffff) + (double)(r >> 16 & 0xffff) + (double)(r >> 32 & 0xffff) + (double)(r >> 48);
    w[i] = (float)((sum - 131070 + 0x1p-64 * (double)noise) * 2e-6);
  }
}

/* ---- the limit: reading the bytes and doing nothing with them ---- */

typedef uint64_t bench_vector __attribute__((vector_size(64), aligned(64)));

#define BENCH_READ_BODY                              \
  bench_vector s[8] = {{0}};                         \
  for (size_t i = 0; i + 8 <= n; i += 8)             \
    for (size_t j = 0; j < 8; j++) s[j] ^= v[i + j]; \
  for (size_t j = 1; j < 8; j++) s[0] ^= s[j];       \
  return s[0][0] ^ s[0][1] ^ s[0][2] ^ s[0][3] ^ s[0][4] ^ s[0][5] ^ s[0][6] ^ s[0][7];

#if defined(__x86_64__)
__attribute__((target("avx512f"))) static uint64_t bench_read_avx512(const bench_vector *v, size_t n) {
  BENCH_READ_BODY
}
__attribute__((target("avx2"))) static uint64_t bench_read_avx2(const bench_vector *v, size_t n) { BENCH_READ_BODY }
#endif
static uint64_t bench_read_plain(const bench_vector *v, size_t n){BENCH_READ_BODY}

/* Reads whole multiples of 512 bytes from memory aligned to 64, with as many threads as the library uses. */
BENCH_UNUSED static uint64_t bench_read(const void *memory, size_t bytes) {
  uint64_t result = 0;
  int64_t pieces = (int64_t)(bytes / ((size_t)1 << 20)) + 1;
#pragma omp parallel for schedule(static) reduction(^ : result)
  for (int64_t i = 0; i < pieces; i++) {
    size_t start = (size_t)i << 20, length = bytes - start < (size_t)1 << 20 ? bytes - start : (size_t)1 << 20;
    const bench_vector *v = (const bench_vector *)((const char *)memory + start);
#if defined(__x86_64__)
    if (sap_cpu_active() == SAP_CPU_AVX512) {
      result ^= bench_read_avx512(v, length / 64);
      continue;
    }
    if (sap_cpu_active() == SAP_CPU_AVX2) {
      result ^= bench_read_avx2(v, length / 64);
      continue;
    }
#endif
    result ^= bench_read_plain(v, length / 64);
  }
  return result;
}

/* A result that the compiler must not throw away. */
BENCH_UNUSED static volatile uint64_t bench_sink;

BENCH_UNUSED static void bench_check(int right, const char *what) {
  if (right) return;
  fprintf(stderr, "wrong result: %s\n", what);
  exit(1);
}

/* One line, or one JSON object: time, rate, and the share of the plain read's speed that was reached.
 * bytes: what the measured call reads; read: times of one plain read of read_bytes. */
BENCH_UNUSED static void bench_report(const bench_options *o, const char *name, bench_times *times, double bytes,
                                      bench_times *read, double read_bytes) {
  double least = bench_min(times), median = bench_median(times);
  double limit = read_bytes / bench_min(read), middle = read_bytes / bench_median(read);
  if (o->json) {
    printf(
        "{\"case\":\"%s\",\"elements\":%llu,\"threads\":%d,\"cpu\":\"%s\",\"min_seconds\":%.6g,"
        "\"median_seconds\":%.6g,\"read_min_seconds\":%.6g,\"read_median_seconds\":%.6g}\n",
        name, (unsigned long long)o->elements, sap_threads_get(), sap_cpu_name(sap_cpu_active()), least, median,
        bench_min(read), bench_median(read));
    return;
  }
  printf("%-22s min %9.3f ms  median %9.3f ms  %6.2f GB/s  %6.3f G/s  read %6.2f GB/s  %5.1f %% (medians %5.1f %%)\n",
         name, 1e3 * least, 1e3 * median, 1e-9 * bytes / least, 1e-9 * (double)o->elements / least, 1e-9 * limit,
         100 * bytes / least / limit, 100 * bytes / median / middle);
}

#endif
