/* The six properties of a sparsity measure (Hurley and Rickard 2009) and the retain bound (Theorem 2), over
 * random vectors. */
#include <stdlib.h>

#include "unit.h"
#include "weights.h"

#define MOST 512
static float w[2 * MOST], v[2 * MOST];

/* p <= 1 <= q: where all six hold. */
static const double pairs[][2] = {{0.5, 1}, {1, 2}, {0.1, 1}, {0.3, 1.7}, {0.9, 3}, {0.7, 1.1}};
#define PAIRS (sizeof pairs / sizeof *pairs)

static double index_of(const float *x, size_t n, const double *pq) {
  double index = -1;
  assert_int_equal(sap_pq_index(x, n, pq[0], pq[1], &index, NULL), SAP_OK);
  return index;
}

/* A random vector of positive magnitudes, 2 … MOST of them. */
static size_t fill(int trial) {
  static const weights_kind kinds[] = {WEIGHTS_NORMAL, WEIGHTS_CAUCHY, WEIGHTS_FEW};
  size_t n = 2 + weights_below(trial % 2 ? 10 : MOST - 2);
  weights_fill(w, n, kinds[trial % 3]);
  for (size_t i = 0; i < n; i++) w[i] = fabsf(w[i]);
  if (w[0] == 0) w[0] = 1;
  memcpy(v, w, n * sizeof *v);
  return n;
}

#define TRIALS 3000
#define NOISE 1e-9 /* of the sums, and of float where a vector is computed */

static void stays_in_its_range(void **state) {
  (void)state;
  for (int trial = 0; trial < TRIALS; trial++)
    for (size_t k = 0; k < PAIRS; k++) {
      size_t n = fill(trial);
      double index = index_of(w, n, pairs[k]);
      assert_true(index >= 0);
      assert_true(index <= 1 - pow((double)n, 1 / pairs[k][1] - 1 / pairs[k][0]) + 1e-15);
    }
}

/* Moving weight from a larger to a smaller entry, by less than their difference, lowers the index. */
static void robin_hood(void **state) {
  (void)state;
  for (int trial = 0; trial < TRIALS; trial++) {
    size_t n = fill(trial), rich = weights_below(n), poor = weights_below(n);
    if (w[rich] <= w[poor]) continue;
    float gift = (float)((double)(w[rich] - w[poor]) * (0.05 + 0.4 * weights_uniform()));
    v[rich] -= gift;
    v[poor] += gift;
    const double *pq = pairs[weights_below(PAIRS)];
    assert_true(index_of(v, n, pq) <= index_of(w, n, pq) + 1e-7); /* the gift is rounded to float */
    if (n <= 10 && gift > 0.1f * w[rich]) assert_true(index_of(v, n, pq) < index_of(w, n, pq) + NOISE);
  }
}

/* … but not for p > 1: the counterexample of the documentation. */
static void robin_hood_fails_above_one(void **state) {
  (void)state;
  const double pq[] = {2, 3};
  assert_true(index_of((const float[]){10, 4, 2}, 3, pq) > index_of((const float[]){10, 5, 1}, 3, pq) + 1e-3);
}

static void scaling(void **state) {
  (void)state;
  static const float factors[] = {0.5f, 1024, 0x1p-60f, -2, 0x1p60f};
  for (int trial = 0; trial < TRIALS; trial++) {
    size_t n = fill(trial);
    float factor = factors[trial % 5]; /* a power of two: nothing is rounded */
    for (size_t i = 0; i < n; i++) v[i] *= factor;
    const double *pq = pairs[weights_below(PAIRS)];
    assert_true(fabs(index_of(v, n, pq) - index_of(w, n, pq)) <= NOISE);
  }
}

/* Adding the same to every entry lowers the index, unless they are all equal. */
static void rising_tide(void **state) {
  (void)state;
  for (int trial = 0; trial < TRIALS; trial++) {
    size_t n = fill(trial);
    const double *pq = pairs[weights_below(PAIRS)];
    double before = index_of(w, n, pq);
    if (before < 1e-6) continue;
    float largest = 0;
    for (size_t i = 0; i < n; i++) largest = fmaxf(largest, w[i]);
    for (size_t i = 0; i < n; i++) v[i] += largest * 0.1f;
    assert_true(index_of(v, n, pq) < before);
  }
}

static void cloning(void **state) {
  (void)state;
  for (int trial = 0; trial < TRIALS; trial++) {
    size_t n = fill(trial);
    memcpy(v + n, w, n * sizeof *v);
    const double *pq = pairs[weights_below(PAIRS)];
    assert_true(fabs(index_of(v, 2 * n, pq) - index_of(w, n, pq)) <= NOISE);
  }
}

/* When one entry is large enough, growing it further raises the index. */
static void bill_gates(void **state) {
  (void)state;
  for (int trial = 0; trial < TRIALS; trial++) {
    size_t n = fill(trial), rich = weights_below(n);
    const double *pq = pairs[weights_below(PAIRS)];
    double sum = 0;
    for (size_t i = 0; i < n; i++)
      if (i != rich) sum += (double)w[i];
    if (sum == 0) continue; /* it has everything already */
    v[rich] = w[rich] = (float)(sum * 4);
    v[rich] *= 2;
    assert_true(index_of(v, n, pq) > index_of(w, n, pq));
  }
}

/* Adding zeros raises the index. */
static void babies(void **state) {
  (void)state;
  for (int trial = 0; trial < TRIALS; trial++) {
    size_t n = fill(trial), zeros = 1 + weights_below(n);
    memset(v + n, 0, zeros * sizeof *v);
    const double *pq = pairs[weights_below(PAIRS)];
    assert_true(index_of(v, n + zeros, pq) > index_of(w, n, pq));
  }
}

static int by_size(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

/* For every r: keep the r largest, let eta be the smallest number such that the pruned entries' Σ|w|^p is at most
 * eta times the kept entries'; then r is at least the bound for that eta. */
static void retain_bound_holds(void **state) {
  (void)state;
  for (int trial = 0; trial < 600; trial++) {
    size_t n = fill(trial);
    const double *pq = pairs[weights_below(PAIRS)];
    qsort(w, n, sizeof *w, by_size);
    sap_norms norms = sap_norms_empty(pq[0], pq[1]);
    assert_int_equal(sap_norms_add(&norms, w, SAP_F32, n, NULL, 0, NULL), SAP_OK);
    double total = 0, pruned = 0;
    for (size_t i = 0; i < n; i++) total += pow((double)w[i], pq[0]);
    for (size_t r = n; r >= 1; r--) {
      double eta = fmax(pruned / (total - pruned), 0);
      if (!isfinite(eta)) break;
      assert_true((double)r >= sap_norms_retain(&norms, eta) * (1 - 1e-9));
      assert_true((double)r >= sap_norms_retain(&norms, eta * 1.5) * (1 - 1e-9));
      pruned += pow((double)w[n - r], pq[0]);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(stays_in_its_range),
      cmocka_unit_test(robin_hood),
      cmocka_unit_test(robin_hood_fails_above_one),
      cmocka_unit_test(scaling),
      cmocka_unit_test(rising_tide),
      cmocka_unit_test(cloning),
      cmocka_unit_test(bill_gates),
      cmocka_unit_test(babies),
      cmocka_unit_test(retain_bound_holds),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
