/* One pruning step: each scope and method against a plain sort, the guard, threads, arguments. */
#include <stdlib.h>

#include "unit.h"
#include "weights.h"

#define LAYERS 4

typedef struct model {
  size_t count;
  sap_layer layers[LAYERS];
  float *w[LAYERS]; /* the weights as float */
  uint64_t *original[LAYERS], *expected[LAYERS];
} model;

static model make(const size_t (*shapes)[2], size_t count, weights_kind kind, int mixed, double density) {
  static const char *const names[] = {"conv1.weight", "conv2.weight", "fc1.weight", "fc2.weight"};
  static const sap_dtype dtypes[] = {SAP_F32, SAP_F16, SAP_BF16};
  model m = {.count = count};
  for (size_t l = 0; l < count; l++) {
    size_t n = shapes[l][0] * shapes[l][1], words = sap_mask_words(n) + 1;
    void *data = malloc(4 * n + 4);
    m.w[l] = malloc((n + 1) * sizeof(float));
    m.layers[l] = (sap_layer){names[l], data, mixed ? dtypes[l % 3] : SAP_F32, n, shapes[l][0], calloc(words, 8), 0};
    m.original[l] = calloc(words, 8);
    m.expected[l] = calloc(words, 8);
    assert_true(data && m.w[l] && m.layers[l].mask && m.original[l] && m.expected[l]);
    weights_fill(m.w[l], n, kind);
    weights_store(m.w[l], n, m.layers[l].dtype, data);
    weights_mask(m.original[l], 0, n, density);
  }
  return m;
}

static void reset(model *m) {
  for (size_t l = 0; l < m->count; l++) {
    memcpy(m->layers[l].mask, m->original[l], 8 * sap_mask_words(m->layers[l].count));
    memcpy(m->expected[l], m->original[l], 8 * sap_mask_words(m->layers[l].count));
  }
}

static void drop(model *m) {
  for (size_t l = 0; l < m->count; l++) {
    free((void *)m->layers[l].data);
    free(m->layers[l].mask);
    free(m->w[l]);
    free(m->original[l]);
    free(m->expected[l]);
  }
}

/* ---- the plain way ---- */

/* Prunes the group of weights [first, last) of the layers [layer, end) in m->expected; returns c. */
static uint64_t prune_group(model *m, size_t layer, size_t end, size_t first, size_t last, const sap_prune_options *o) {
  uint64_t kept = 0;
  size_t most = 0;
  sap_norms norms = sap_norms_empty(o->p, o->q);
  for (size_t l = layer; l < end; l++) most += m->layers[l].count;
  entry *entries = malloc((most + 1) * sizeof *entries);
  assert_non_null(entries);
  for (size_t l = layer; l < end; l++) {
    size_t stop = last < m->layers[l].count ? last : m->layers[l].count;
    for (size_t i = first; i < stop; i++)
      if (sap_mask_get(m->original[l], i)) entries[kept++] = (entry){fabsf(m->w[l][i]), l, i};
    if (first < stop)
      assert_int_equal(sap_norms_add(&norms, m->w[l] + first, SAP_F32, stop - first, m->original[l], first, NULL),
                       SAP_OK);
  }
  assert_int_equal(norms.count, kept);
  uint64_t c = 0;
  if (o->method == SAP_METHOD_SAP) c = sap_norms_prune_count(&norms, o->eta, o->gamma, o->beta);
  if (o->method == SAP_METHOD_LT || o->method == SAP_METHOD_OS)
    c = sap_norms_degenerate(&norms) ? 0 : (uint64_t)(o->ratio * (double)kept);
  qsort(entries, kept, sizeof *entries, by_definition);
  for (uint64_t i = 0; i < c; i++) sap_mask_clear(m->expected[entries[i].layer], entries[i].index);
  free(entries);
  return c;
}

/* Which group a decision's group is: all, layer g, or the g-th row counted through. Returns the sum of c. */
static uint64_t prune_plainly(model *m, const sap_prune_options *o, const sap_decision *decision) {
  uint64_t total = 0;
  size_t g = 0;
  if (o->scope == SAP_SCOPE_GLOBAL) {
    total = prune_group(m, 0, m->count, 0, SIZE_MAX, o);
    assert_int_equal(decision->groups[g++].selection.count, total);
  }
  for (size_t l = 0; l < m->count && o->scope != SAP_SCOPE_GLOBAL; l++) {
    size_t rows = o->scope == SAP_SCOPE_LAYER ? 1 : m->layers[l].rows;
    size_t length = rows ? m->layers[l].count / rows : 0;
    for (size_t row = 0; row < rows; row++) {
      uint64_t c = prune_group(m, l, l + 1, row * length, (row + 1) * length, o);
      assert_int_equal(decision->groups[g++].selection.count, c);
      total += c;
    }
  }
  assert_int_equal(decision->group_count, g);
  return total;
}

/* Puts back the last of the largest weights of each layer that lost all. */
static uint64_t guard_plainly(model *m, const sap_decision *decision) {
  uint64_t saved = 0;
  for (size_t l = 0; l < m->count; l++) {
    uint64_t n = m->layers[l].count;
    int lost = sap_mask_count(m->original[l], n) && !sap_mask_count(m->expected[l], n);
    assert_int_equal(decision->changes[l].guarded, lost);
    if (!lost) continue;
    uint64_t best = n;
    for (uint64_t i = 0; i < n; i++)
      if (sap_mask_get(m->original[l], i) && (best == n || fabsf(m->w[l][i]) >= fabsf(m->w[l][best]))) best = i;
    sap_mask_set(m->expected[l], best);
    saved++;
  }
  return saved;
}

static void check(model *m, const sap_prune_options *o) {
  sap_decision *decision = NULL;
  reset(m);
  assert_int_equal(sap_prune_decide(m->layers, m->count, o, &decision, NULL), SAP_OK);
  for (size_t l = 0; l < m->count; l++) /* nothing is changed yet */
    assert_memory_equal(m->layers[l].mask, m->original[l], 8 * sap_mask_words(m->layers[l].count));
  uint64_t pruned = prune_plainly(m, o, decision);
  sap_prune_apply(m->layers, m->count, decision);
  pruned -= guard_plainly(m, decision);
  assert_int_equal(decision->pruned, pruned);
  uint64_t total = 0, kept = 0;
  for (size_t l = 0; l < m->count; l++) {
    uint64_t n = m->layers[l].count, before = sap_mask_count(m->original[l], n);
    float largest = 0;
    for (uint64_t i = 0; i < n; i++)
      if (sap_mask_get(m->original[l], i)) largest = fmaxf(largest, fabsf(m->w[l][i]));
    assert_memory_equal(m->layers[l].mask, m->expected[l], 8 * sap_mask_words(n));
    assert_int_equal(decision->changes[l].kept_before, before);
    assert_int_equal(decision->changes[l].kept_after, sap_mask_count(m->expected[l], n));
    assert_int_equal(decision->changes[l].degenerate, largest == 0);
    total += n;
    kept += before;
  }
  assert_int_equal(decision->total, total);
  assert_int_equal(decision->kept_before, kept);
  assert_int_equal(decision->layer_count, m->count);
  sap_decision_free(decision);
}

static const size_t small_shapes[][4][2] = {{{8, 27}, {16, 72}, {10, 65}, {1, 300}},
                                            {{64, 9}, {3, 64}, {0, 0}, {7, 1}},
                                            {{5, 128}, {130, 3}, {33, 32}, {2, 0}}};

static void agrees_with_a_plain_sort(void **state) {
  (void)state;
  for (int trial = 0; trial < 500; trial++) {
    static const double densities[] = {1.1, 0.6, 0.05};
    model m = make(small_shapes[trial % 3], 1 + weights_below(4), (weights_kind)(trial % WEIGHTS_KINDS), trial % 2,
                   densities[trial / 2 % 3]);
    sap_prune_options o = sap_prune_options_default();
    o.scope = (sap_scope)weights_below(SAP_SCOPE_COUNT);
    o.method = (sap_method)weights_below(SAP_METHOD_COUNT);
    o.ratio = weights_uniform();
    if (trial % 4 == 0) o.p = 1, o.q = 2;
    if (trial % 4 == 1) o.gamma = 4, o.beta = 1;
    if (trial % 4 == 2) o.eta = 0.5;
    check(&m, &o);
    drop(&m);
  }
}

/* All weights of one layer are smaller than those of the others. */
static void a_layer_is_never_emptied(void **state) {
  (void)state;
  static const size_t shapes[][2] = {{4, 25}, {2, 10}, {10, 50}};
  for (int ties = 0; ties < 3; ties++) {
    model m = make(shapes, 3, WEIGHTS_NORMAL, 0, 1.1);
    for (size_t i = 0; i < 20; i++) m.w[1][i] = ties == 0 ? 1e-9f * (float)(1 + i * 7 % 20) : ties == 1 ? 1e-9f : 0;
    memcpy((void *)m.layers[1].data, m.w[1], 20 * sizeof(float));
    sap_prune_options o = sap_prune_options_default();
    o.method = SAP_METHOD_LT;
    o.ratio = 0.5;
    sap_decision *decision = NULL;
    reset(&m);
    assert_int_equal(sap_prune_decide(m.layers, 3, &o, &decision, NULL), SAP_OK);
    assert_int_equal(decision->groups[0].selection.count, 310);
    sap_prune_apply(m.layers, 3, decision);
    assert_true(decision->changes[1].guarded && !decision->changes[0].guarded);
    assert_int_equal(decision->changes[1].degenerate, ties == 2);
    assert_int_equal(decision->changes[1].kept_after, 1);
    assert_int_equal(decision->pruned, 309);
    assert_true(sap_mask_get(m.layers[1].mask, ties ? 19 : 17)); /* 17 · 7 ≡ 19 mod 20; of equals the last */
    sap_decision_free(decision);
    check(&m, &o);
    drop(&m);
  }
}

static void threads_change_nothing(void **state) {
  (void)state;
  static const int counts[] = {1, 2, 3, 7};
  static const size_t shapes[][2] = {{700, 513}, {64, 9}, {300, 1024}, {10, 77}};
  for (int scope = 0; scope < SAP_SCOPE_COUNT; scope++)
    for (int kind = 0; kind < 2; kind++) {
      model m = make(shapes, 4, kind ? WEIGHTS_FEW : WEIGHTS_NORMAL, kind, 0.8);
      sap_prune_options o = sap_prune_options_default();
      o.scope = (sap_scope)scope;
      sap_group *first = NULL;
      for (int t = 0; t < 4; t++) {
        sap_threads_set(counts[t]);
        sap_decision *decision = NULL;
        reset(&m);
        assert_int_equal(sap_prune_decide(m.layers, 4, &o, &decision, NULL), SAP_OK);
        if (!t) {
          first = malloc(decision->group_count * sizeof *first);
          assert_non_null(first);
          memcpy(first, decision->groups, decision->group_count * sizeof *first);
        }
        for (size_t g = 0; g < decision->group_count; g++) {
          const sap_selection *a = &decision->groups[g].selection, *b = &first[g].selection;
          assert_true(weights_same(&decision->groups[g].norms, &first[g].norms));
          assert_true(a->count == b->count && a->key == b->key && a->ties == b->ties && a->ties_total == b->ties_total);
        }
        sap_decision_free(decision);
        check(&m, &o);
      }
      free(first);
      drop(&m);
    }
  sap_threads_set(0);
}

static void measuring(void **state) {
  (void)state;
  model m = make(small_shapes[0], 4, WEIGHTS_CAUCHY, 1, 0.7);
  sap_norms layers[4], global, alone, merged = sap_norms_empty(0.3, 1.2), rows[16];
  reset(&m);
  assert_int_equal(sap_measure(m.layers, 4, 0.3, 1.2, layers, &global, NULL), SAP_OK);
  for (size_t l = 0; l < 4; l++) {
    sap_norms one = sap_norms_empty(0.3, 1.2);
    assert_int_equal(sap_norms_add_layer(&one, &m.layers[l], NULL), SAP_OK);
    assert_true(weights_same(&one, &layers[l]));
    sap_norms_merge(&merged, &one);
  }
  assert_true(weights_same(&merged, &global));
  assert_int_equal(sap_measure(m.layers, 4, 0.3, 1.2, NULL, &alone, NULL), SAP_OK);
  assert_true(weights_same(&alone, &global));
  assert_int_equal(sap_measure_neurons(&m.layers[1], 0.3, 1.2, rows, NULL), SAP_OK);
  for (size_t row = 0; row < 16; row++) {
    sap_norms one = sap_norms_empty(0.3, 1.2);
    const char *at = (const char *)m.layers[1].data + row * 72 * 2;
    assert_int_equal(sap_norms_add(&one, at, SAP_F16, 72, m.layers[1].mask, row * 72, NULL), SAP_OK);
    assert_true(weights_same(&one, &rows[row]));
  }
  drop(&m);
}

/* The mean over the groups of each scope by their kept weights. */
static void measuring_at_a_scope(void **state) {
  (void)state;
  model m = make(small_shapes[0], 4, WEIGHTS_CAUCHY, 1, 0.7);
  reset(&m);
  sap_norms layers[4], global;
  assert_int_equal(sap_measure(m.layers, 4, 0.3, 1.2, layers, &global, NULL), SAP_OK);
  double by_layer = 0, by_neuron = 0, found;
  for (size_t l = 0; l < 4; l++) {
    sap_norms *rows = malloc(m.layers[l].rows * sizeof *rows);
    assert_non_null(rows);
    assert_int_equal(sap_measure_neurons(&m.layers[l], 0.3, 1.2, rows, NULL), SAP_OK);
    for (uint64_t r = 0; r < m.layers[l].rows; r++) by_neuron += (double)rows[r].count * sap_norms_pqi(&rows[r]);
    by_layer += (double)layers[l].count * sap_norms_pqi(&layers[l]);
    free(rows);
  }
  const double expected[SAP_SCOPE_COUNT] = {[SAP_SCOPE_GLOBAL] = sap_norms_pqi(&global),
                                            [SAP_SCOPE_LAYER] = by_layer / (double)global.count,
                                            [SAP_SCOPE_NEURON] = by_neuron / (double)global.count};
  for (int scope = 0; scope < SAP_SCOPE_COUNT; scope++) {
    const sap_scope at = (sap_scope)scope;
    sap_norms each[4], all;
    double alone;
    assert_int_equal(sap_measure_scope(m.layers, 4, at, 0.3, 1.2, each, &all, &found, NULL), SAP_OK);
    assert_true(fabs(found - expected[scope]) < 1e-12);
    for (size_t l = 0; l < 4; l++) assert_true(weights_same(&each[l], &layers[l]));
    assert_true(weights_same(&all, &global));
    assert_int_equal(sap_measure_scope(m.layers, 4, at, 0.3, 1.2, NULL, NULL, &alone, NULL), SAP_OK);
    assert_true(alone == found);
    assert_int_equal(sap_measure_scope(m.layers, 0, at, 0.3, 1.2, NULL, NULL, &found, NULL), SAP_OK);
    assert_true(found == 0);
    found = each[0].p = all.p = 7;
    assert_int_equal(sap_measure_scope(m.layers, 4, at, 2, 1, each, &all, &found, NULL), SAP_ERROR_ARGUMENT);
    assert_true(found == 7 && each[0].p == 7 && all.p == 7);
  }
  drop(&m);
}

/* Layers of which some are shared by threads: the same bits as one by one, and the first layer that is not finite. */
static void many_layers_at_once(void **state) {
  (void)state;
  enum { MANY = 40, LONGEST = 400000 };
  static const uint64_t counts[] = {LONGEST, 0, 1, 16384, 300001, 70000};
  sap_layer layers[MANY];
  sap_norms each[MANY], global;
  sap_error err;
  float *w = malloc(LONGEST * sizeof *w);
  assert_non_null(w);
  weights_fill(w, LONGEST, WEIGHTS_NORMAL);
  for (size_t i = 0; i < MANY; i++)
    layers[i] = (sap_layer){.name = i == 30 ? "late" : NULL, .data = w, .count = counts[i % 6], .rows = 1};
  for (size_t i = 0; i < MANY; i++) layers[i].dtype = SAP_F32;
  for (int threads = 1; threads <= 3; threads++) {
    sap_threads_set(threads);
    sap_norms merged = sap_norms_empty(0.5, 1);
    assert_int_equal(sap_measure(layers, MANY, 0.5, 1, each, &global, NULL), SAP_OK);
    for (size_t i = 0; i < MANY; i++) {
      sap_norms one = sap_norms_empty(0.5, 1);
      assert_int_equal(sap_norms_add_layer(&one, &layers[i], NULL), SAP_OK);
      assert_true(weights_same(&one, &each[i]));
      sap_norms_merge(&merged, &one);
    }
    assert_true(weights_same(&merged, &global));
  }
  float *bad = malloc(LONGEST * sizeof *bad);
  assert_non_null(bad);
  memcpy(bad, w, LONGEST * sizeof *bad);
  bad[300000] = INFINITY;
  layers[28].data = layers[30].data = bad; /* 300001 weights, and the longest */
  assert_int_equal(sap_measure(layers, MANY, 0.5, 1, each, &global, &err), SAP_ERROR_NONFINITE);
  assert_string_equal(err.text, "layer 28: index 300000 is infinite, expected a finite weight");
  layers[28].data = w;
  assert_int_equal(sap_measure(layers, MANY, 0.5, 1, each, &global, &err), SAP_ERROR_NONFINITE);
  assert_string_equal(err.text, "late: index 300000 is infinite, expected a finite weight");
  sap_threads_set(0);
  free(bad);
  free(w);
}

static void errors_name_the_layer(void **state) {
  (void)state;
  model m = make(small_shapes[0], 4, WEIGHTS_NORMAL, 0, 1.1);
  sap_prune_options o = sap_prune_options_default();
  sap_decision *decision = NULL;
  sap_norms global = {.p = 7}, layers[4] = {{.p = 7}}, rows[16] = {{.p = 7}};
  sap_error err;
  reset(&m);
  ((float *)m.layers[1].data)[100] = NAN;
  const char *nan = "conv2.weight: index 100 is nan, expected a finite weight";
  for (int scope = 0; scope < SAP_SCOPE_COUNT; scope++) {
    o.scope = (sap_scope)scope;
    assert_int_equal(sap_prune_decide(m.layers, 4, &o, &decision, &err), SAP_ERROR_NONFINITE);
    assert_string_equal(err.text, nan);
  }
  assert_int_equal(sap_measure(m.layers, 4, 0.5, 1, layers, &global, &err), SAP_ERROR_NONFINITE);
  assert_string_equal(err.text, nan);
  assert_true(global.p == 7 && layers[0].p == 7); /* only written on success */
  assert_int_equal(sap_measure_neurons(&m.layers[1], 0.5, 1, rows, &err), SAP_ERROR_NONFINITE);
  assert_string_equal(err.text, nan);
  assert_true(rows[0].p == 7);
  sap_mask_clear(m.layers[1].mask, 100);
  assert_int_equal(sap_measure_neurons(&m.layers[1], 0.5, 1, rows, &err), SAP_OK);
  uint64_t *mask = m.layers[2].mask;
  m.layers[2].mask = NULL;
  assert_int_equal(sap_prune_decide(m.layers, 4, &o, &decision, &err), SAP_ERROR_ARGUMENT);
  assert_string_equal(err.text, "fc1.weight: no mask, expected one to prune");
  m.layers[2].mask = mask;
  m.layers[3].rows = 7;
  m.layers[3].name = NULL;
  assert_int_equal(sap_prune_decide(m.layers, 4, &o, &decision, &err), SAP_ERROR_ARGUMENT);
  assert_string_equal(err.text, "layer 3: 300 weights in 7 rows, expected a multiple");
  m.layers[3].rows = 0;
  assert_int_equal(sap_measure_neurons(&m.layers[3], 0.5, 1, rows, &err), SAP_ERROR_ARGUMENT);
  m.layers[3].dtype = SAP_I64;
  assert_int_equal(sap_measure(m.layers, 4, 0.5, 1, layers, &global, &err), SAP_ERROR_ARGUMENT);
  assert_string_equal(err.text, "layer 3: dtype I64, expected F64, F32, F16, BF16, F8_E4M3 or F8_E5M2");
  assert_null(decision);
  m.layers[3].dtype = SAP_F32;
  drop(&m);
}

static void options_are_checked(void **state) {
  (void)state;
  static const struct {
    size_t field;
    double value;
    const char *text;
  } wrong[] = {
      {offsetof(sap_prune_options, p), 0, "p 0, q 1: expected 0 < p < q <= 64"},
      {offsetof(sap_prune_options, q), 0.25, "p 0.5, q 0.25: expected 0 < p < q <= 64"},
      {offsetof(sap_prune_options, eta), -1, "eta -1: expected eta > -1"},
      {offsetof(sap_prune_options, eta), INFINITY, "eta inf: expected eta > -1"},
      {offsetof(sap_prune_options, gamma), -0.5, "gamma -0.5: expected gamma >= 0"},
      {offsetof(sap_prune_options, gamma), NAN, NULL},
      {offsetof(sap_prune_options, beta), 1.5, "beta 1.5: expected 0 <= beta <= 1"},
      {offsetof(sap_prune_options, beta), NAN, NULL},
      {offsetof(sap_prune_options, ratio), 1, "ratio 1: expected 0 <= ratio < 1"},
      {offsetof(sap_prune_options, ratio), -0.1, "ratio -0.1: expected 0 <= ratio < 1"},
  };
  sap_error err;
  sap_prune_options o = sap_prune_options_default();
  assert_int_equal(sap_prune_options_check(&o, &err), SAP_OK);
  assert_true(o.p == 0.5 && o.q == 1 && o.eta == 0 && o.gamma == 1 && o.beta == 0.9 && o.ratio == 0.2);
  assert_true(o.method == SAP_METHOD_SAP && o.scope == SAP_SCOPE_GLOBAL);
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    sap_decision *decision = NULL;
    o = sap_prune_options_default();
    memcpy((char *)&o + wrong[i].field, &wrong[i].value, sizeof(double));
    assert_int_equal(sap_prune_options_check(&o, &err), SAP_ERROR_ARGUMENT);
    if (wrong[i].text) assert_string_equal(err.text, wrong[i].text);
    assert_int_equal(sap_prune_decide(NULL, 0, &o, &decision, &err), SAP_ERROR_ARGUMENT);
    assert_null(decision);
  }
  o = sap_prune_options_default();
  o.scope = SAP_SCOPE_COUNT;
  assert_int_equal(sap_prune_options_check(&o, &err), SAP_ERROR_ARGUMENT);
  o = sap_prune_options_default();
  o.method = SAP_METHOD_COUNT;
  assert_int_equal(sap_prune_options_check(&o, &err), SAP_ERROR_ARGUMENT);
  assert_string_equal(sap_scope_name(SAP_SCOPE_NEURON), "neuron");
  assert_string_equal(sap_method_name(SAP_METHOD_DENSE), "dense");
  assert_string_equal(sap_scope_name(SAP_SCOPE_COUNT), "?");
  assert_string_equal(sap_method_name(SAP_METHOD_COUNT), "?");
}

static void nothing_to_prune(void **state) {
  (void)state;
  sap_decision *decision = NULL;
  sap_prune_options o = sap_prune_options_default();
  for (int scope = 0; scope < SAP_SCOPE_COUNT; scope++) {
    o.scope = (sap_scope)scope;
    assert_int_equal(sap_prune_decide(NULL, 0, &o, &decision, NULL), SAP_OK);
    sap_prune_apply(NULL, 0, decision);
    assert_int_equal(decision->pruned, 0);
    assert_int_equal(decision->group_count, scope == SAP_SCOPE_GLOBAL);
    sap_decision_free(decision);
  }
  sap_decision_free(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(agrees_with_a_plain_sort), cmocka_unit_test(a_layer_is_never_emptied),
      cmocka_unit_test(threads_change_nothing),   cmocka_unit_test(measuring),
      cmocka_unit_test(measuring_at_a_scope),     cmocka_unit_test(many_layers_at_once),
      cmocka_unit_test(errors_name_the_layer),    cmocka_unit_test(options_are_checked),
      cmocka_unit_test(nothing_to_prune),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
