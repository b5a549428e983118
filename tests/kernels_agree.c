/* The vector kernels in use against the scalar reference, block by block. A plain program, so that it also runs
 * for another processor under an emulator. Says what differs and ends with 1. */
#include <stdio.h>
#include <stdlib.h>

#include "index/kernel.h"
#include "tensor/widen.h"
#include "weights.h"

static char memory[4 * SAP__BLOCK + 64];
static float w[SAP__BLOCK];
static uint64_t keep[SAP__BLOCK_WORDS];
static int failures;
static const sap__index_kernels *active; /* under test */

static void expect(int right, const char *what, size_t n, sap_dtype dtype, int kind, int masked) {
  if (right) return;
  failures++;
  printf("%s differs: n %zu, %s, kind %d, masked %d\n", what, n, sap_dtype_name(dtype), kind, masked);
}

static int near(double found, double reference, double tolerance) {
  return found == reference || fabs(found - reference) <= tolerance * fabs(reference);
}

static void compare_sums(const char *what, const sap__sums *found, const sap__sums *reference, double tolerance,
                         size_t n, sap_dtype dtype, int kind, int masked) {
  expect(found->count == reference->count && found->zeros == reference->zeros && found->largest == reference->largest,
         what, n, dtype, kind, masked);
  expect(near(found->sum_p, reference->sum_p, tolerance) && near(found->sum_q, reference->sum_q, tolerance), what, n,
         dtype, kind, masked);
}

/* All kernels over n weights that start at an odd address. */
static void check(size_t n, sap_dtype dtype, int kind, int masked) {
  const sap__index_kernels *plain = &sap__index_scalar;
  static uint64_t below[2][SAP__BLOCK_WORDS], inside[2][SAP__BLOCK_WORDS];
  static const double pairs[][2] = {{0.1, 1}, {0.3, 1.7}, {1, 3}, {0.5, 2}, {1, 2}, {2, 64}, {0.5, 1}};
  void *at = memory + 2 * (1 + n % 7) + (n & 1);
  weights_fill(w, n, (weights_kind)kind);
  weights_store(w, n, dtype, memory + 64);
  memmove(at, memory + 64, n * sap_dtype_bits(dtype) / 8);
  memset(keep, 0, sizeof keep);
  weights_mask(keep, 0, n, masked == 2 ? 0.05 : 0.7);
  const uint64_t *mask = masked ? keep : NULL;
  sap__sums found, reference;
  active->extent(at, dtype, n, mask, &found);
  plain->extent(at, dtype, n, mask, &reference);
  found.sum_p = found.sum_q = reference.sum_p = reference.sum_q = 0;
  compare_sums("extent", &found, &reference, 0, n, dtype, kind, masked);
  int in_range = reference.largest >= 0x1f800000 && reference.largest <= 0x7b800000;
  active->one_two(at, dtype, n, mask, &found);
  plain->one_two(at, dtype, n, mask, &reference);
  compare_sums("one_two", &found, &reference, 1e-12, n, dtype, kind, masked);
  /* some kernels take a guess at the largest: none, right, and wrong in both directions */
  const uint32_t guesses[] = {0, reference.largest, reference.largest / 2, 0x20000000, 0x7b000000};
  plain->half_one(at, dtype, n, mask, &reference);
  for (size_t i = 0; i < sizeof guesses / sizeof *guesses; i++) {
    found = (sap__sums){.largest = guesses[i]};
    active->half_one(at, dtype, n, mask, &found);
    if (!in_range) found.sum_p = reference.sum_p, found.sum_q = reference.sum_q;
    compare_sums("half_one", &found, &reference, 1e-10, n, dtype, kind, masked);
  }
  for (size_t i = 0; reference.largest && i < sizeof pairs / sizeof *pairs; i++) {
    active->power(at, dtype, n, mask, pairs[i][0], pairs[i][1], &found);
    plain->power(at, dtype, n, mask, pairs[i][0], pairs[i][1], &reference);
    compare_sums("power", &found, &reference, 1e-10, n, dtype, kind, masked);
  }
  uint32_t low = n ? sap__key(at, dtype, weights_below(n)) : 1;
  uint32_t high = n % 3 == 0 ? low : n % 3 == 1 ? low | 0x7fff : 0x7fffffff;
  active->compare(at, dtype, n, low, high, below[0], inside[0]);
  plain->compare(at, dtype, n, low, high, below[1], inside[1]);
  size_t bytes = (n + 63) / 64 * 8;
  expect(!memcmp(below[0], below[1], bytes) && !memcmp(inside[0], inside[1], bytes), "compare", n, dtype, kind, masked);
}

/* Every half, with whole vectors and without. */
static void check_widening(void) {
  static uint16_t halves[65536];
  static float wide[65536];
  for (size_t i = 0; i < 65536; i++) halves[i] = (uint16_t)i;
  for (int bf16 = 0; bf16 < 2; bf16++) {
    sap_dtype dtype = bf16 ? SAP_BF16 : SAP_F16;
    sap_dtype_to_f32(dtype, halves, wide, 65536);
    for (size_t i = 0; i < 65536; i++) {
      uint32_t bits, expected = sap__float_bits(halves, dtype, i);
      memcpy(&bits, &wide[i], sizeof bits);
      int nan = (expected & 0x7fffffff) > 0x7f800000; /* a signalling NaN may come out quiet */
      expect(nan ? isnan(wide[i]) : bits == expected, "widening", i, dtype, 0, 0);
    }
    float one;
    sap_dtype_to_f32(dtype, halves + 0x3c01, &one, 1);
    expect(one == wide[0x3c01], "widening of one", 1, dtype, 0, 0);
  }
}

/* A NaN or an infinity must show in the largest key, unless it is pruned. */
static void check_nonfinite(void) {
  static const uint32_t bad[] = {0x7f800000, 0xff800000, 0x7fc00000, 0xff800001, 0x7fffffff};
  void (*const kernels[])(const void *, sap_dtype, size_t, const uint64_t *, sap__sums *) = {
      active->extent, active->half_one, active->one_two};
  for (size_t trial = 0; trial < 600; trial++) {
    size_t n = 1 + weights_below(trial % 2 ? 300 : 64), place = weights_below(n);
    weights_fill(w, n, trial % 3 ? WEIGHTS_NORMAL : WEIGHTS_TERNARY);
    memcpy(&w[place], &bad[trial % 5], 4);
    memset(keep, 0, sizeof keep);
    weights_mask(keep, 0, n, 0.9);
    sap__sums sums;
    for (int k = 0; k < 3; k++) {
      kernels[k](w, SAP_F32, n, NULL, &sums);
      expect(sums.largest >= 0x7f800000, "non-finite", n, SAP_F32, k, 0);
      kernels[k](w, SAP_F32, n, keep, &sums);
      expect((sums.largest >= 0x7f800000) == sap_mask_get(keep, place), "non-finite", n, SAP_F32, k, 1);
    }
  }
}

static void check_all(void) {
  static const size_t sizes[] = {255, 256, 257, 1000, 4095, 4097, SAP__BLOCK - 1, SAP__BLOCK};
  static const sap_dtype dtypes[] = {SAP_F32, SAP_F16, SAP_BF16};
  for (int kind = 0; kind < WEIGHTS_KINDS; kind++)
    for (int d = 0; d < 3; d++)
      for (int masked = 0; masked < 3; masked++) {
        for (size_t n = 0; n < 200; n += n < 70 ? 1 : 13) check(n, dtypes[d], kind, masked);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
          if (sizes[i] < 2000 || (kind + d + (int)i) % 4 == masked) check(sizes[i], dtypes[d], kind, masked);
      }
  check_nonfinite();
}

int main(void) {
  active = sap__index_kernels_active();
  check_all();
#if defined(__x86_64__)
  if (active == &sap__index_avx512_vnni) { /* what a processor without it uses */
    active = &sap__index_avx512;
    check_all();
  }
#endif
  check_widening();
  printf("%s against scalar: %s\n", sap_cpu_name(sap_cpu_active()), failures ? "differs" : "agrees");
  return failures != 0;
}
