/* Norms and PQ Index: values, merging, types, masks at any bit, threads, extremes, errors. */
#include <float.h>
#include <stdlib.h>

#include "unit.h"
#include "weights.h"

#define MOST 20000
static float w[MOST];
static char stored[4 * MOST];
static uint64_t mask[MOST / 64 + 4];
static const sap_dtype dtypes[] = {SAP_F32, SAP_F16, SAP_BF16};
static const double pairs[][2] = {{0.5, 1}, {1, 2}, {0.1, 1}, {0.3, 1.7}, {0.9, 2}, {2, 3}, {0.5, 64}, {1e-7, 1}};
#define PAIRS (sizeof pairs / sizeof *pairs)

static sap_norms norms_of(const void *data, sap_dtype dtype, size_t n, const uint64_t *bits, uint64_t offset, double p,
                          double q) {
  sap_norms norms = sap_norms_empty(p, q);
  assert_int_equal(sap_norms_add(&norms, data, dtype, n, bits, offset, NULL), SAP_OK);
  return norms;
}

static void assert_near(double found, double expected, double relative, double absolute) {
  if (fabs(found - expected) <= relative * fabs(expected) + absolute) return;
  fail_msg("found %.17g, expected %.17g", found, expected);
}

static double sum_at(double sum, double power, double max, int32_t exponent) { /* Σ (|w| / max)^power */
  return sum * exp2(power * (exponent - log2(max)));
}

/* ---- values known without the library ---- */

static void known_values(void **state) {
  (void)state;
  double index;
  assert_int_equal(sap_pq_index((const float[]){3, 4}, 2, 1, 2, &index, NULL), SAP_OK);
  assert_near(index, 1 - 3.5 / sqrt(12.5), 1e-14, 0);
  assert_int_equal(sap_pq_index((const float[]){1, -4}, 2, 0.5, 1, &index, NULL), SAP_OK);
  assert_near(index, 1 - 2.25 / 2.5, 1e-14, 0);
  assert_int_equal(sap_pq_index((const float[]){0, 0, -7, 0}, 4, 0.5, 1, &index, NULL), SAP_OK);
  assert_near(index, 0.75, 1e-14, 0); /* 1 − d^(1/q − 1/p) */
  assert_int_equal(sap_pq_index((const float[]){5}, 1, 0.5, 1, &index, NULL), SAP_OK);
  assert_true(index == 0);
  assert_int_equal(sap_pq_index(NULL, 0, 0.5, 1, &index, NULL), SAP_OK);
  assert_true(index == 0);
  assert_int_equal(sap_pq_index((const float[]){0, -0.0f, 0}, 3, 0.5, 1, &index, NULL), SAP_OK);
  assert_true(index == 0);
}

/* ---- against long double ---- */

static void check_reference(size_t n, weights_kind kind, sap_dtype dtype, int masked, double p, double q) {
  uint64_t offset = masked ? weights_below(130) : 0;
  weights_fill(w, n, kind);
  weights_store(w, n, dtype, stored);
  weights_mask(mask, offset, n, 0.6);
  const uint64_t *bits = masked ? mask : NULL;
  sap_norms norms = norms_of(stored, dtype, n, bits, offset, p, q);
  weights_sums expected = weights_reference(w, n, bits, offset, p, q);
  assert_int_equal(norms.count, expected.count);
  assert_int_equal(norms.zeros, expected.zeros);
  assert_true(norms.max == expected.max);
  if (expected.max > 0) {
    assert_near(sum_at(norms.sum_p, p, norms.max, norms.exponent), (double)expected.p, 1e-9, 0);
    assert_near(sum_at(norms.sum_q, q, norms.max, norms.exponent), (double)expected.q, 1e-9, 0);
  }
  double index = sap_norms_pqi(&norms), d = (double)norms.count;
  if (p >= 0.1) assert_near(index, weights_pqi(&expected, p, q), 1e-6, 1e-12);
  assert_true(index >= 0);
  assert_true(index <= (d > 1 ? 1 - pow(d, 1 / q - 1 / p) : 0) + 1e-15);
}

static void agrees_with_reference(void **state) {
  (void)state;
  static const size_t sizes[] = {1, 2, 3, 9, 27, 63, 64, 65, 100, 576, 4097, 16385, MOST};
  for (int kind = 0; kind < WEIGHTS_KINDS; kind++)
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
      for (size_t k = 0; k < PAIRS; k++) {
        if (sizes[s] > 1000 && (kind + k) % 7) continue;
        for (int d = 0; d < 3; d++)
          check_reference(sizes[s], (weights_kind)kind, dtypes[d], (d + (int)s) % 2, pairs[k][0], pairs[k][1]);
      }
}

static void constants_have_index_zero(void **state) {
  (void)state;
  static const float values[] = {1, 0.37f, 1.9999999f, 3e-5f, 1e-40f, 1.4e-45f, 3.4e38f, 65504, 7e9f};
  for (size_t v = 0; v < sizeof values / sizeof *values; v++)
    for (size_t n = 2; n < MOST; n = n * 5 / 2)
      for (size_t k = 0; k < PAIRS - 1; k++)
        for (int masked = 0; masked < 2; masked++) {
          for (size_t i = 0; i < n; i++) w[i] = i % 3 ? values[v] : -values[v];
          weights_mask(mask, 5, n, 0.5);
          for (size_t i = 0; i < n; i++)
            if (masked && !sap_mask_get(mask, 5 + i)) w[i] = 77;
          sap_norms norms = norms_of(w, SAP_F32, n, masked ? mask : NULL, 5, pairs[k][0], pairs[k][1]);
          assert_true(sap_norms_pqi(&norms) <= 1e-12);
        }
}

/* ---- merging ---- */

static void assert_same_norms(const sap_norms *a, const sap_norms *b) {
  assert_int_equal(a->count, b->count);
  assert_int_equal(a->zeros, b->zeros);
  assert_true(a->max == b->max);
  if (a->max == 0) return;
  assert_near(sum_at(a->sum_p, a->p, a->max, a->exponent), sum_at(b->sum_p, b->p, b->max, b->exponent), 2e-9, 0);
  assert_near(sum_at(a->sum_q, a->q, a->max, a->exponent), sum_at(b->sum_q, b->q, b->max, b->exponent), 2e-9, 0);
}

static void pieces_merge(void **state) {
  (void)state;
  for (int trial = 0; trial < 400; trial++) {
    size_t n = 1 + weights_below(trial % 20 ? 700 : MOST);
    sap_dtype dtype = dtypes[trial % 3];
    const double *pq = pairs[weights_below(PAIRS - 1)];
    uint64_t offset = weights_below(100);
    weights_fill(w, n, (weights_kind)(trial % WEIGHTS_KINDS));
    weights_store(w, n, dtype, stored);
    weights_mask(mask, offset, n, 0.8);
    const uint64_t *bits = trial % 4 ? mask : NULL;
    sap_norms whole = norms_of(stored, dtype, n, bits, offset, pq[0], pq[1]);
    sap_norms added = sap_norms_empty(pq[0], pq[1]), merged = added;
    for (size_t start = 0, length; start < n; start += length) {
      length = 1 + weights_below(n - start);
      const char *at = stored + start * sap_dtype_bits(dtype) / 8;
      sap_norms piece = norms_of(at, dtype, length, bits, offset + start, pq[0], pq[1]);
      assert_int_equal(sap_norms_add(&added, at, dtype, length, bits, offset + start, NULL), SAP_OK);
      sap_norms_merge(&merged, &piece);
    }
    assert_same_norms(&added, &whole);
    assert_same_norms(&merged, &whole);
  }
}

static void empty_is_neutral(void **state) {
  (void)state;
  w[0] = 3e30f;
  w[1] = 0;
  for (size_t k = 0; k < PAIRS; k++) {
    sap_norms one = norms_of(w, SAP_F32, 1, NULL, 0, pairs[k][0], pairs[k][1]), copy = one;
    sap_norms none = sap_norms_empty(pairs[k][0], pairs[k][1]);
    sap_norms zero = norms_of(w + 1, SAP_F32, 1, NULL, 0, pairs[k][0], pairs[k][1]);
    sap_norms_merge(&one, &none);
    assert_true(weights_same(&one, &copy));
    sap_norms_merge(&none, &copy);
    assert_same_norms(&none, &copy);
    sap_norms_merge(&zero, &copy); /* zeros take the other's scale */
    assert_int_equal(zero.count, 2);
    assert_int_equal(zero.zeros, 1);
    assert_int_equal(zero.exponent, copy.exponent);
    assert_true(zero.sum_p == copy.sum_p && zero.sum_q == copy.sum_q);
  }
}

/* ---- threads ---- */

static void threads_change_nothing(void **state) {
  (void)state;
  static const int counts[] = {1, 2, 3, 7};
  size_t n = 1300001;
  float *large = malloc(n * sizeof *large);
  uint64_t *bits = malloc(sap_mask_words(n) * sizeof *bits);
  assert_true(large && bits);
  weights_fill(large, n, WEIGHTS_CAUCHY);
  weights_mask(bits, 0, n, 0.7);
  bits[sap_mask_words(n) - 1] &= ((uint64_t)1 << n % 64) - 1;
  for (size_t k = 0; k < 4; k++)
    for (int masked = 0; masked < 2; masked++) {
      sap_norms first = {0};
      for (int t = 0; t < 4; t++) {
        sap_threads_set(counts[t]);
        sap_norms norms = norms_of(large, SAP_F32, n, masked ? bits : NULL, 0, pairs[k][0], pairs[k][1]);
        if (t) assert_true(weights_same(&norms, &first));
        first = norms;
      }
      weights_sums expected = weights_reference(large, n, masked ? bits : NULL, 0, pairs[k][0], pairs[k][1]);
      assert_near(sap_norms_pqi(&first), weights_pqi(&expected, pairs[k][0], pairs[k][1]), 1e-6, 0);
    }
  sap_threads_set(0);
  free(large);
  free(bits);
}

/* ---- errors ---- */

static void nonfinite_is_named(void **state) {
  (void)state;
  static const struct {
    float value;
    const char *text;
  } bad[] = {{NAN, "index 17 is nan, expected a finite weight"},
             {INFINITY, "index 17 is infinite, expected a finite weight"},
             {-INFINITY, "index 17 is infinite, expected a finite weight"}};
  for (int d = 0; d < 3; d++)
    for (size_t b = 0; b < 3; b++)
      for (size_t k = 0; k < PAIRS; k++) {
        weights_fill(w, 300, WEIGHTS_NORMAL);
        weights_store(w, 300, dtypes[d], stored);
        uint32_t bits;
        memcpy(&bits, &bad[b].value, sizeof bits);
        for (size_t i = 17; i < 300; i += 100) {
          if (dtypes[d] == SAP_F32) {
            memcpy(stored + 4 * i, &bits, 4);
          } else {
            uint16_t half = (uint16_t)(bits >> 16);
            if (dtypes[d] == SAP_F16) half = (uint16_t)((half & 0x8000) | (b ? 0x7c00 : 0x7e01));
            memcpy(stored + 2 * i, &half, 2);
          }
        }
        sap_error err = {0};
        sap_norms norms = norms_of(stored, dtypes[d], 10, NULL, 0, pairs[k][0], pairs[k][1]), before = norms;
        assert_int_equal(sap_norms_add(&norms, stored, dtypes[d], 300, NULL, 0, &err), SAP_ERROR_NONFINITE);
        assert_int_equal(err.code, SAP_ERROR_NONFINITE);
        assert_string_equal(err.text, bad[b].text);
        assert_true(weights_same(&norms, &before));
        sap_layer layer = {"fc1.weight", stored, dtypes[d], 300, 1, NULL, 0};
        assert_int_equal(sap_norms_add_layer(&norms, &layer, &err), SAP_ERROR_NONFINITE);
        assert_memory_equal(err.text, "fc1.weight: index 17 is ", 24);
        sap_mask_fill(mask, 300);
        sap_mask_clear(mask, 17);
        assert_int_equal(sap_norms_add(&norms, stored, dtypes[d], 300, mask, 0, &err), SAP_ERROR_NONFINITE);
        assert_memory_equal(err.text, "index 117 is ", 13);
        for (uint64_t i = 117; i < 300; i += 100) sap_mask_clear(mask, i);
        assert_int_equal(sap_norms_add(&norms, stored, dtypes[d], 300, mask, 0, &err), SAP_OK);
        assert_int_equal(norms.count, 10 + 297);
      }
}

static void arguments_are_checked(void **state) {
  (void)state;
  static const double wrong[][2] = {{0, 1}, {-1, 1}, {1, 1}, {2, 1}, {0.5, 64.5}, {NAN, 1}, {0.5, NAN}, {1, INFINITY}};
  sap_error err = {0};
  double index = 7;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    assert_int_equal(sap_pq_check(wrong[i][0], wrong[i][1], &err), SAP_ERROR_ARGUMENT);
    assert_int_equal(sap_pq_index(w, 3, wrong[i][0], wrong[i][1], &index, &err), SAP_ERROR_ARGUMENT);
    assert_true(index == 7);
  }
  assert_int_equal(sap_pq_check(2, 1, &err), SAP_ERROR_ARGUMENT);
  assert_string_equal(err.text, "p 2, q 1: expected 0 < p < q <= 64");
  assert_int_equal(sap_pq_check(0.5, 64, &err), SAP_OK);
  sap_norms norms = sap_norms_empty(0.5, 1);
  assert_int_equal(sap_norms_add(&norms, w, SAP_I64, 3, NULL, 0, &err), SAP_ERROR_ARGUMENT);
  assert_string_equal(err.text, "dtype I64, expected F64, F32, F16, BF16, F8_E4M3 or F8_E5M2");
}

/* ---- retain bound and prune count ---- */

static void retain_and_count(void **state) {
  (void)state;
  static const double etas[] = {0, 0.001, 0.1, 1, -0.5}, gammas[] = {0, 0.5, 1, 3}, betas[] = {0, 0.2, 0.9, 1};
  for (int trial = 0; trial < 300; trial++) {
    const double *pq = pairs[weights_below(6)];
    double p = pq[0], q = pq[1];
    size_t n = 2 + weights_below(2000);
    weights_fill(w, n, (weights_kind)(trial % 5));
    sap_norms norms = norms_of(w, SAP_F32, n, NULL, 0, p, q);
    if (norms.max == 0) continue;
    for (size_t e = 0; e < 5; e++) {
      double d = (double)n, retain = sap_norms_retain(&norms, etas[e]), rest = 1 - sap_norms_pqi(&norms);
      assert_near(retain, d * pow(1 + etas[e], -q / (q - p)) * pow(rest, q * p / (q - p)), 1e-9 + 1e-14 / rest, 0);
      if (etas[e] >= 0) assert_true(retain > 0 && retain <= d);
      for (size_t g = 0; g < 4; g++)
        for (size_t b = 0; b < 4; b++) {
          double count = (double)sap_norms_prune_count(&norms, etas[e], gammas[g], betas[b]);
          double share = fmax(fmin(gammas[g] * (1 - retain / d), betas[b]), 0);
          assert_true(count <= d * share + 1e-6 && count > d * share - 1 - 1e-6);
          assert_true(count <= d * betas[b] && count <= d);
        }
    }
  }
}

static void degenerate_groups_prune_nothing(void **state) {
  (void)state;
  sap_norms none = sap_norms_empty(0.5, 1);
  assert_true(sap_norms_degenerate(&none));
  assert_true(sap_norms_retain(&none, 0) == 0);
  memset(w, 0, 100 * sizeof *w);
  sap_norms zeros = norms_of(w, SAP_F32, 100, NULL, 0, 0.5, 1);
  assert_true(sap_norms_degenerate(&zeros));
  assert_true(sap_norms_pqi(&zeros) == 0);
  assert_true(sap_norms_retain(&zeros, 0.5) == 100);
  assert_int_equal(sap_norms_prune_count(&zeros, 0, 1, 0.9), 0);
  w[3] = 1;
  sap_norms some = norms_of(w, SAP_F32, 100, NULL, 0, 0.5, 1);
  assert_false(sap_norms_degenerate(&some));
  assert_int_equal(sap_norms_prune_count(&some, 0, 1, 0.9), 90);
  sap_norms one = norms_of(w + 3, SAP_F32, 1, NULL, 0, 0.5, 1);
  assert_int_equal(sap_norms_prune_count(&one, 0, 1, 1), 0);
}

/* ---- Gini ---- */

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void gini_is_its_formula(void **state) {
  (void)state;
  static double sorted[MOST];
  for (int trial = 0; trial < 120; trial++) {
    size_t n = trial < 20 ? (size_t)trial : weights_below(trial % 10 ? 3000 : MOST), cut = n / 3, kept = 0;
    sap_dtype dtype = dtypes[trial % 3];
    weights_fill(w, n, (weights_kind)(trial % WEIGHTS_KINDS));
    weights_store(w, n, dtype, stored);
    memset(mask, 0, sizeof mask);
    weights_mask(mask, 0, n - cut, 0.7);
    sap_layer layers[] = {{"a", stored, dtype, cut, 1, NULL, 0},
                          {"b", stored + cut * sap_dtype_bits(dtype) / 8, dtype, n - cut, 1, mask, 0}};
    for (size_t i = 0; i < n; i++)
      if (i < cut || sap_mask_get(mask, i - cut)) sorted[kept++] = fabs((double)w[i]);
    qsort(sorted, kept, sizeof *sorted, by_size);
    long double ranked = 0, sum = 0;
    for (size_t i = 0; i < kept; i++) {
      ranked += (2 * (long double)i + 1 - (long double)kept) * (long double)sorted[i];
      sum += (long double)sorted[i];
    }
    double gini = -1;
    assert_int_equal(sap_gini(layers, 2, &gini, NULL), SAP_OK);
    assert_near(gini, sum > 0 ? (double)(ranked / ((long double)kept * sum)) : 0, 1e-12, 1e-14);
  }
}

static void gini_errors(void **state) {
  (void)state;
  sap_error err = {0};
  double gini = 7;
  weights_fill(w, 100, WEIGHTS_NORMAL);
  w[31] = NAN;
  sap_mask_fill(mask, 100);
  sap_layer layer = {"conv.weight", w, SAP_F32, 100, 1, mask, 0};
  assert_int_equal(sap_gini(&layer, 1, &gini, &err), SAP_ERROR_NONFINITE);
  assert_string_equal(err.text, "conv.weight: index 31 is nan, expected a finite weight");
  layer.name = NULL;
  assert_int_equal(sap_gini(&layer, 1, &gini, &err), SAP_ERROR_NONFINITE);
  assert_string_equal(err.text, "layer 0: index 31 is nan, expected a finite weight");
  layer.dtype = SAP_I8;
  assert_int_equal(sap_gini(&layer, 1, &gini, &err), SAP_ERROR_ARGUMENT);
  assert_true(gini == 7);
  layer.dtype = SAP_F32;
  sap_mask_clear(mask, 31);
  assert_int_equal(sap_gini(&layer, 1, &gini, &err), SAP_OK);
  assert_true(gini > 0 && gini < 1);
}

static void gini_threads_change_nothing(void **state) {
  (void)state;
  static const int counts[] = {1, 2, 3, 7};
  size_t n = 700001;
  float *large = malloc(n * sizeof *large);
  assert_non_null(large);
  weights_fill(large, n, WEIGHTS_NORMAL);
  sap_layer layers[] = {{"a", large, SAP_F32, 300000, 1, NULL, 0},
                        {"b", large + 300000, SAP_F32, n - 300000, 1, NULL, 0}};
  double first = 0, gini;
  for (int t = 0; t < 4; t++) {
    sap_threads_set(counts[t]);
    assert_int_equal(sap_gini(layers, 2, &gini, NULL), SAP_OK);
    if (t) assert_true(gini == first);
    first = gini;
  }
  assert_near(first, 0.4142, 0.01, 0); /* of a normal vector: √2 − 1 */
  sap_threads_set(0);
  free(large);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(known_values),
      cmocka_unit_test(agrees_with_reference),
      cmocka_unit_test(constants_have_index_zero),
      cmocka_unit_test(pieces_merge),
      cmocka_unit_test(empty_is_neutral),
      cmocka_unit_test(threads_change_nothing),
      cmocka_unit_test(nonfinite_is_named),
      cmocka_unit_test(arguments_are_checked),
      cmocka_unit_test(retain_and_count),
      cmocka_unit_test(degenerate_groups_prune_nothing),
      cmocka_unit_test(gini_is_its_formula),
      cmocka_unit_test(gini_errors),
      cmocka_unit_test(gini_threads_change_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
