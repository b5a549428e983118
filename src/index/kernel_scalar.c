/* The reference: every number in double, one entry after the other. */
#include <math.h>
#include <string.h>

#include "index/kernel.h"
#include "tensor/widen.h"

static int kept(const uint64_t *keep, size_t i) { return !keep || (keep[i / 64] >> (i % 64) & 1); }

static double magnitude(const void *w, sap_dtype dtype, size_t i) {
  return (double)sap__float_from_bits(sap__key(w, dtype, i));
}

static void extent(const void *w, sap_dtype dtype, size_t n, const uint64_t *keep, sap__sums *sums) {
  memset(sums, 0, sizeof *sums);
  for (size_t i = 0; i < n; i++) {
    if (!kept(keep, i)) continue;
    uint32_t key = sap__key(w, dtype, i);
    sums->count++;
    sums->zeros += key == 0;
    if (key > sums->largest) sums->largest = key;
  }
}

static void half_one(const void *w, sap_dtype dtype, size_t n, const uint64_t *keep, sap__sums *sums) {
  extent(w, dtype, n, keep, sums);
  for (size_t i = 0; i < n; i++) {
    if (!kept(keep, i)) continue;
    double x = magnitude(w, dtype, i);
    sums->sum_p += sqrt(x);
    sums->sum_q += x;
  }
}

static void one_two(const void *w, sap_dtype dtype, size_t n, const uint64_t *keep, sap__sums *sums) {
  extent(w, dtype, n, keep, sums);
  for (size_t i = 0; i < n; i++) {
    if (!kept(keep, i)) continue;
    double x = magnitude(w, dtype, i);
    sums->sum_p += x;
    sums->sum_q += x * x;
  }
}

static void power(const void *w, sap_dtype dtype, size_t n, const uint64_t *keep, double p, double q, sap__sums *sums) {
  double largest = (double)sap__float_from_bits(sums->largest);
  sums->sum_p = sums->sum_q = 0;
  for (size_t i = 0; i < n; i++) {
    if (!kept(keep, i)) continue;
    double x = magnitude(w, dtype, i) / largest;
    sums->sum_p += pow(x, p);
    sums->sum_q += pow(x, q);
  }
}

static void compare(const void *w, sap_dtype dtype, size_t n, uint32_t key_bits, uint32_t key, uint64_t *below,
                    uint64_t *equal) {
  memset(below, 0, (n + 63) / 64 * sizeof *below);
  memset(equal, 0, (n + 63) / 64 * sizeof *equal);
  for (size_t i = 0; i < n; i++) {
    uint32_t x = sap__key(w, dtype, i) & key_bits;
    below[i / 64] |= (uint64_t)(x < key) << (i % 64);
    equal[i / 64] |= (uint64_t)(x == key) << (i % 64);
  }
}

const sap__index_kernels sap__index_scalar = {half_one, one_two, extent, power, compare};
