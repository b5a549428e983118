/* Selection against a full stable sort: types, masks, ties, many layers, threads. */
#include <stdlib.h>

#include "index/span.h"
#include "unit.h"
#include "weights.h"

#define LAYERS_MOST 5

typedef struct model {
  size_t count;
  sap_layer layers[LAYERS_MOST];
  uint64_t *expected[LAYERS_MOST], *original[LAYERS_MOST];
  entry *entries; /* sorted */
  uint64_t kept;
} model;

/* Layers of the given sizes; dtype SAP_DTYPE_COUNT mixes the three. */
static model make(const size_t *sizes, size_t count, weights_kind kind, sap_dtype dtype, double density) {
  static const sap_dtype dtypes[] = {SAP_F32, SAP_BF16, SAP_F16};
  model m = {.count = count};
  size_t total = 0;
  for (size_t l = 0; l < count; l++) total += sizes[l];
  m.entries = malloc((total + 1) * sizeof *m.entries);
  assert_non_null(m.entries);
  for (size_t l = 0; l < count; l++) {
    size_t n = sizes[l], words = sap_mask_words(n) + 1;
    float *w = malloc((n + 1) * sizeof *w);
    sap_layer *layer = &m.layers[l];
    *layer = (sap_layer){"layer", malloc(4 * n + 4), dtype == SAP_DTYPE_COUNT ? dtypes[l % 3] : dtype, n, 1, NULL, 0};
    layer->mask = calloc(words, 8);
    m.expected[l] = calloc(words, 8);
    m.original[l] = calloc(words, 8);
    assert_true(w && layer->data && layer->mask && m.expected[l] && m.original[l]);
    weights_fill(w, n, kind);
    weights_store(w, n, layer->dtype, (void *)layer->data);
    weights_mask(m.original[l], 0, n, density);
    for (size_t i = 0; i < n; i++)
      if (sap_mask_get(m.original[l], i)) m.entries[m.kept++] = (entry){fabsf(w[i]), l, i};
    free(w);
  }
  qsort(m.entries, m.kept, sizeof *m.entries, by_definition);
  return m;
}

static void drop(model *m) {
  for (size_t l = 0; l < m->count; l++) {
    free((void *)m->layers[l].data);
    free(m->layers[l].mask);
    free(m->expected[l]);
    free(m->original[l]);
  }
  free(m->entries);
}

static void expect_masks(const model *m) {
  for (size_t l = 0; l < m->count; l++)
    assert_memory_equal(m->layers[l].mask, m->expected[l], 8 * sap_mask_words(m->layers[l].count));
}

/* The masks, and what they must be once the c smallest are gone. */
static void reset(model *m, uint64_t c) {
  for (size_t l = 0; l < m->count; l++) {
    size_t bytes = 8 * sap_mask_words(m->layers[l].count);
    memcpy(m->layers[l].mask, m->original[l], bytes);
    memcpy(m->expected[l], m->original[l], bytes);
  }
  for (uint64_t i = 0; i < c; i++) sap_mask_clear(m->expected[m->entries[i].layer], m->entries[i].index);
}

static void check(model *m, uint64_t c) {
  sap_selection s;
  reset(m, c);
  assert_int_equal(sap_select_smallest(m->layers, m->count, c, &s, NULL), SAP_OK);
  assert_int_equal(s.count, c);
  if (c) {
    float threshold = m->entries[c - 1].magnitude;
    uint64_t first = c - 1, end = c;
    while (first > 0 && m->entries[first - 1].magnitude == threshold) first--;
    while (end < m->kept && m->entries[end].magnitude == threshold) end++;
    uint32_t key;
    memcpy(&key, &threshold, sizeof key);
    assert_int_equal(s.key, key);
    assert_int_equal(s.ties, c - first);
    assert_int_equal(s.ties_total, end - first);
  } else {
    assert_true(s.key == 0 && s.ties == 0 && s.ties_total == 0);
  }
  sap_select_clear(m->layers, m->count, &s);
  expect_masks(m);
}

static int same(const sap_selection *a, const sap_selection *b) {
  return a->count == b->count && a->key == b->key && a->ties == b->ties && a->ties_total == b->ties_total;
}

static void agrees_with_a_stable_sort(void **state) {
  (void)state;
  static const sap_dtype dtypes[] = {SAP_F32, SAP_F16, SAP_BF16, SAP_DTYPE_COUNT};
  static const double densities[] = {1.1, 0.7, 0.03};
  for (int trial = 0; trial < 400; trial++) {
    size_t sizes[LAYERS_MOST], count = 1 + weights_below(LAYERS_MOST);
    for (size_t l = 0; l < count; l++) sizes[l] = weights_below(trial % 8 ? 300 : 20000);
    model m = make(sizes, count, (weights_kind)(trial % WEIGHTS_KINDS), dtypes[trial % 4], densities[trial / 4 % 3]);
    check(&m, 0);
    check(&m, m.kept);
    for (int i = 0; m.kept && i < 4; i++) check(&m, weights_below(m.kept + 1));
    sap_selection untouched = {1, 2, 3, 4, 0}, s = untouched;
    sap_error err = {0};
    assert_int_equal(sap_select_smallest(m.layers, m.count, m.kept + 1, &s, &err), SAP_ERROR_ARGUMENT);
    assert_true(same(&s, &untouched));
    drop(&m);
  }
}

static void without_masks(void **state) {
  (void)state;
  size_t size = 5000;
  model m = make(&size, 1, WEIGHTS_NORMAL, SAP_F32, 1.1);
  uint64_t *mask = m.layers[0].mask;
  sap_selection with, without;
  memcpy(mask, m.original[0], 8 * sap_mask_words(size));
  assert_int_equal(sap_select_smallest(m.layers, 1, 1234, &with, NULL), SAP_OK);
  m.layers[0].mask = NULL;
  assert_int_equal(sap_select_smallest(m.layers, 1, 1234, &without, NULL), SAP_OK);
  assert_true(same(&with, &without));
  m.layers[0].mask = mask;
  drop(&m);
}

static void threads_change_nothing(void **state) {
  (void)state;
  static const int counts[] = {1, 2, 3, 7};
  static const weights_kind kinds[] = {WEIGHTS_NORMAL, WEIGHTS_FEW, WEIGHTS_TERNARY};
  static const size_t sizes[] = {130001, 64, 0, 230000, 1};
  for (int k = 0; k < 6; k++) {
    model m = make(sizes, 5, kinds[k % 3], k < 3 ? SAP_F32 : SAP_DTYPE_COUNT, 0.8);
    for (int t = 0; t < 4; t++) {
      sap_threads_set(counts[t]);
      check(&m, m.kept / 2);
      check(&m, m.kept / 10);
    }
    drop(&m);
  }
  sap_threads_set(0);
}

/* From 2^20 weights on a sample says where to look. It must not matter what it says. */
static void samples_do_not_decide(void **state) {
  (void)state;
  static const size_t sizes[] = {700000, 333, 400000};
  for (int trial = 0; trial < 6; trial++) {
    model m = make(sizes, 3, (weights_kind)(trial % 4),
                   trial < 4    ? SAP_F32
                   : trial == 4 ? SAP_F16
                                : SAP_BF16,
                   trial % 3 ? 0.8 : 0.0001);
    check(&m, 1);
    check(&m, m.kept / 3);
    check(&m, m.kept - 1);
    check(&m, m.kept);
    drop(&m);
  }
  /* Every weight but those that are looked at is 1; all of these are larger, or all smaller. */
  size_t n = 1100000, stride = n / 16384;
  for (int larger = 0; larger < 2; larger++) {
    model m = make(&n, 1, WEIGHTS_ONE_HOT, SAP_F32, 1.1);
    float *w = (float *)m.layers[0].data;
    for (size_t i = 0; i < n; i++) w[i] = 1;
    for (size_t i = 0; i < 16384; i++) {
      uint64_t x = ((i + 1) ^ (i + 1) >> 31) * 0x9e3779b97f4a7c15u;
      w[i * stride + (x ^ x >> 29) % stride] = larger ? 2 : 0.5f;
    }
    for (size_t i = 0; i < n; i++) m.entries[i] = (entry){w[i], 0, i};
    qsort(m.entries, m.kept, sizeof *m.entries, by_definition);
    check(&m, 500000);
    drop(&m);
  }
}

static int by_magnitude(const void *left, const void *right) {
  const float a = *(const float *)left, b = *(const float *)right;
  return (a > b) - (a < b);
}

/* From 2^26 weights on, mostly in one pass: many layers, all with the same weights, in any order or in such that
 * neighbours are as alike as can be. */
static void very_many_weights(void **state) {
  (void)state;
  enum { MANY = 64, EACH = 1 << 20 };
  static const weights_kind kinds[] = {WEIGHTS_NORMAL, WEIGHTS_CAUCHY, WEIGHTS_FEW};
  float *w = malloc(EACH * sizeof *w), *sorted = malloc(EACH * sizeof *sorted), *stored = malloc(EACH * sizeof *stored);
  sap_layer layers[MANY];
  assert_true(w && sorted && stored);
  for (int trial = 0; trial < 4; trial++) {
    const sap_dtype dtype = trial == 1 ? SAP_BF16 : SAP_F32;
    weights_fill(w, EACH, kinds[trial % 3]);
    if (trial == 3) qsort(w, EACH, sizeof *w, by_magnitude);
    weights_store(w, EACH, dtype, stored);
    for (size_t i = 0; i < EACH; i++) sorted[i] = fabsf(w[i]);
    qsort(sorted, EACH, sizeof *sorted, by_magnitude);
    for (size_t l = 0; l < MANY; l++) layers[l] = (sap_layer){NULL, stored, dtype, EACH, 1, NULL, 0};
    const uint64_t ranks[] = {1, (uint64_t)MANY * EACH / 6 + 5, (uint64_t)MANY * EACH};
    for (size_t r = 0; r < 3; r++) {
      sap_selection s;
      assert_int_equal(sap_select_smallest(layers, MANY, ranks[r], &s, NULL), SAP_OK);
      const float found = sorted[(ranks[r] - 1) / MANY];
      uint64_t below = 0, equal = 0;
      for (size_t i = 0; i < EACH; i++) {
        below += sorted[i] < found;
        equal += sorted[i] == found;
      }
      const sap_selection expected = {ranks[r], sap__key(&found, SAP_F32, 0), ranks[r] - MANY * below, MANY * equal, 0};
      assert_true(same(&s, &expected));
    }
  }
  free(w);
  free(sorted);
  free(stored);
}

/* A row of a matrix: mask bits from any place on, neighbours untouched. */
static void spans_inside_a_mask(void **state) {
  (void)state;
  for (int trial = 0; trial < 300; trial++) {
    size_t size = 1 + weights_below(trial % 30 ? 2000 : 40000);
    model m = make(&size, 1, (weights_kind)(trial % WEIGHTS_KINDS), trial % 2 ? SAP_F32 : SAP_F16, 0.8);
    uint64_t offset = weights_below(200), c = weights_below(m.kept + 1), words = (offset + size) / 64 + 2;
    uint64_t *mask = malloc(8 * words), *expected = malloc(8 * words);
    assert_true(mask && expected);
    reset(&m, c);
    for (uint64_t i = 0; i < words; i++) mask[i] = expected[i] = weights_random();
    for (uint64_t i = 0; i < size; i++) {
      sap_mask_clear(mask, offset + i);
      sap_mask_clear(expected, offset + i);
      if (sap_mask_get(m.original[0], i)) sap_mask_set(mask, offset + i);
      if (sap_mask_get(m.expected[0], i)) sap_mask_set(expected, offset + i);
    }
    sap__span span = {m.layers[0].data, m.layers[0].dtype, size, mask, offset, 0};
    sap_selection s = sap__select_span(&span, c);
    assert_int_equal(s.count, c);
    sap__select_clear_span(&span, &s);
    assert_memory_equal(mask, expected, 8 * words);
    free(mask);
    free(expected);
    drop(&m);
  }
}

static void arguments_are_checked(void **state) {
  (void)state;
  sap_selection s;
  sap_error err = {0};
  float w[4] = {1, 2, 3, 4};
  sap_layer layers[] = {{"a", w, SAP_F32, 4, 1, NULL, 0}, {NULL, w, SAP_I32, 4, 1, NULL, 0}};
  assert_int_equal(sap_select_smallest(layers, 2, 1, &s, &err), SAP_ERROR_ARGUMENT);
  assert_string_equal(err.text, "layer 1: dtype I32, expected F64, F32, F16, BF16, F8_E4M3 or F8_E5M2");
  layers[1].dtype = SAP_F32;
  layers[1].data = NULL;
  assert_int_equal(sap_select_smallest(layers, 2, 1, &s, &err), SAP_ERROR_ARGUMENT);
  assert_string_equal(err.text, "layer 1: data is NULL, expected 4 elements");
  assert_int_equal(sap_select_smallest(layers, 1, 5, &s, &err), SAP_ERROR_ARGUMENT);
  assert_int_equal(sap_select_smallest(NULL, 0, 0, &s, &err), SAP_OK);
  assert_int_equal(sap_select_smallest(NULL, 0, 1, &s, &err), SAP_ERROR_ARGUMENT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(agrees_with_a_stable_sort), cmocka_unit_test(without_masks),
      cmocka_unit_test(threads_change_nothing),    cmocka_unit_test(spans_inside_a_mask),
      cmocka_unit_test(very_many_weights),         cmocka_unit_test(samples_do_not_decide),
      cmocka_unit_test(arguments_are_checked),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
