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

static double power_of(double x, double power) {
  return power == 1 ? x : power == 2 ? x * x : power == 0.5 ? sqrt(x) : pow(x, power);
}

/* Σ(|w| / scale)^power, in runs of 64, so that rounding does not grow with the length. */
static double sum_of(const void *w, sap_dtype dtype, size_t n, const uint64_t *keep, double scale, double power) {
  double sum = 0;
  for (size_t start = 0; start < n; start += 64) {
    double run = 0;
    for (size_t i = start; i < n && i < start + 64; i++)
      if (kept(keep, i)) run += power_of(magnitude(w, dtype, i) / scale, power);
    sum += run;
  }
  return sum;
}

static void half_one(const void *w, sap_dtype dtype, size_t n, const uint64_t *keep, sap__sums *sums) {
  extent(w, dtype, n, keep, sums);
  sums->sum_p = sum_of(w, dtype, n, keep, 1, 0.5);
  sums->sum_q = sum_of(w, dtype, n, keep, 1, 1);
}

static void one_two(const void *w, sap_dtype dtype, size_t n, const uint64_t *keep, sap__sums *sums) {
  extent(w, dtype, n, keep, sums);
  sums->sum_p = sum_of(w, dtype, n, keep, 1, 1);
  sums->sum_q = sum_of(w, dtype, n, keep, 1, 2);
}

static void power(const void *w, sap_dtype dtype, size_t n, const uint64_t *keep, double p, double q, sap__sums *sums) {
  double largest = (double)sap__float_from_bits(sums->largest);
  sums->sum_p = sum_of(w, dtype, n, keep, largest, p);
  sums->sum_q = sum_of(w, dtype, n, keep, largest, q);
}

static void compare(const void *w, sap_dtype dtype, size_t n, uint32_t low, uint32_t high, uint64_t *below,
                    uint64_t *inside) {
  memset(below, 0, (n + 63) / 64 * sizeof *below);
  memset(inside, 0, (n + 63) / 64 * sizeof *inside);
  for (size_t i = 0; i < n; i++) {
    uint32_t key = sap__key(w, dtype, i);
    below[i / 64] |= (uint64_t)(key < low) << (i % 64);
    inside[i / 64] |= (uint64_t)(key >= low && key <= high) << (i % 64);
  }
}

const sap__index_kernels sap__index_scalar = {half_one, one_two, extent, power, compare};
