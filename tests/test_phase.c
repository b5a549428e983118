/* Where the PQ Index no longer falls: exact on smooth series, within bounds on noisy ones, the same as a series grows.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "sapwood/phase.h"
#include "sapwood/status.h"
#include "unit.h"

enum { COUNT = 31 };

/* A run: each iteration keeps the same share. */
typedef struct run {
  double pqi[COUNT], density[COUNT];
} run;

/* Lines of one halving, whose gains a reader can calculate. */
static const sap_phase_options plain = {.confirm = 2, .span = 1, .least = 0.05};

static sap_phases find_by(const run *r, size_t count, const sap_phase_options *options) {
  sap_phases phases;
  sap_error err = {.text = ""};
  if (sap_phases_find(r->pqi, r->density, count, options, &phases, &err)) fail_msg("%s", err.text);
  return phases;
}

static sap_phases find_part(const run *r, size_t count) { return find_by(r, count, &plain); }

static sap_phases find(const run *r) { return find_by(r, COUNT, &plain); }

/* A normal deviate. */
static double normal(sap__random *random) {
  const double u = 1 - sap__random_unit(random), v = sap__random_unit(random);
  return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

/* By halvings h of the density: I / I(0) falls by `down` a halving to the valley, rises by `up` to the peak, falls. */
typedef struct shape {
  double valley, peak, down, up;
} shape;

static double value(const shape *s, double h) {
  if (h <= s->valley) return 1 - s->down * h;
  const double bottom = 1 - s->down * s->valley;
  if (h <= s->peak) return bottom + s->up * (h - s->valley);
  return bottom + s->up * (s->peak - s->valley) - s->down * (h - s->peak);
}

/* `keep` is what an iteration keeps, sigma the noise relative to the index. */
static run make(const shape *s, double keep, double sigma, sap__random *random) {
  run made;
  for (int t = 0; t < COUNT; t++) {
    made.density[t] = pow(keep, t);
    const double noise = sigma > 0 ? exp(sigma * normal(random)) : 1;
    made.pqi[t] = fmin(1, fmax(0, 0.2 * value(s, -log2(keep) * t) * noise));
  }
  return made;
}

static void test_names(void **state) {
  (void)state;
  assert_string_equal(sap_phase_name(SAP_PHASE_REGULARIZATION), "regularization");
  assert_string_equal(sap_phase_name(SAP_PHASE_COMPRESSION), "compression");
  assert_string_equal(sap_phase_name(SAP_PHASE_COLLAPSE), "collapse");
  assert_string_equal(sap_phase_name(SAP_PHASE_COUNT), "unknown");
}

/* Two iterations a halving: three points a line. */
static void test_smooth(void **state) {
  (void)state;
  const shape s = {5, 9, 0.15, 0.1};
  const run r = make(&s, sqrt(0.5), 0, NULL);
  const sap_phases p = find(&r);
  /* Lines from 8 to 10 (gain 0.15), 9 to 11 (0.025), 10 to 12 (−0.1). */
  assert_int_equal(p.passed, 12);
  assert_int_equal(p.recommended, 10);
  assert_int_equal(p.valley, 10);
  assert_true(fabs(p.gain + 0.1) < 1e-9);
  /* Again −0.1 up to 18, 0.025 up to 19, 0.15 up to 20 and 21. */
  assert_int_equal(p.peak, 18);
  assert_int_equal(p.fallen, 21);
  for (int t = 0; t < COUNT; t++)
    assert_int_equal(sap_phases_at(&p, t), t <= 10   ? SAP_PHASE_REGULARIZATION
                                           : t <= 18 ? SAP_PHASE_COMPRESSION
                                                     : SAP_PHASE_COLLAPSE);
}

/* Not to rise is enough. */
static void test_flat_bottom(void **state) {
  (void)state;
  const shape s = {5, 20, 0.15, -0.03};
  const run r = make(&s, sqrt(0.5), 0, NULL);
  const sap_phases p = find(&r);
  assert_int_equal(p.passed, 13); /* from 10 to 12: 0.03; the line from 9 to 11 has 0.09 */
  assert_int_equal(p.recommended, 11);
  assert_int_equal(p.valley, 13);
  assert_true(fabs(p.gain - 0.03) < 1e-9);
  assert_int_equal(p.fallen, -1);
}

/* The place is found by density: the same curve in steps of any size. */
static void test_steps_of_any_size(void **state) {
  (void)state;
  const shape s = {3, 20, 0.2, 0.1};
  const double keeps[] = {0.5, 0.6, 0.7, 0.8, 0.87};
  for (size_t i = 0; i < sizeof keeps / sizeof *keeps; i++) {
    const run r = make(&s, keeps[i], 0, NULL);
    const sap_phases p = find(&r);
    const double at = p.passed * -log2(keeps[i]), step = -log2(keeps[i]);
    assert_true(p.passed > 0 && at > 3 && at <= 3.5 + 2.5 * step);
    assert_true(fabs(p.valley * step - 3) <= step / 2 + 1e-9);
  }
}

static void test_options(void **state) {
  (void)state;
  const shape s = {5, 20, 0.15, 0.1};
  const run r = make(&s, sqrt(0.5), 0, NULL);
  sap_phase_options o = sap_phase_options_default();
  assert_true(o.confirm == 2 && o.span == 1.75 && o.least == 0.11);
  sap_phases p = find_by(&r, COUNT, &o);
  /* Four points a line: from 7 to 10 it has 0.15, from 8 to 11 0.075, from 9 to 12 −0.025. */
  assert_int_equal(p.passed, 12);
  assert_true(fabs(p.gain + 0.025) < 1e-9);
  p = find_by(&r, COUNT, NULL);
  assert_int_equal(p.passed, 12);
  o = plain;
  for (o.confirm = 1; o.confirm <= 5; o.confirm++) {
    assert_int_equal(sap_phases_find(r.pqi, r.density, COUNT, &o, &p, NULL), SAP_OK);
    assert_int_equal(p.passed, 10 + o.confirm);
    assert_int_equal(p.recommended, 10);
  }
  o = (sap_phase_options){1, 1, 0.01}; /* the line from 9 to 11 has 0.025 */
  assert_int_equal(sap_phases_find(r.pqi, r.density, COUNT, &o, &p, NULL), SAP_OK);
  assert_int_equal(p.passed, 12);
  o = (sap_phase_options){1, 3, 0.05}; /* lines over seven points turn later */
  assert_int_equal(sap_phases_find(r.pqi, r.density, COUNT, &o, &p, NULL), SAP_OK);
  assert_true(p.passed > 11 && p.passed <= 14);
}

static void test_nothing_turns(void **state) {
  (void)state;
  const shape falls = {20, 20, 0.06, 0};
  run r = make(&falls, 0.7, 0, NULL);
  const sap_phases falling = find(&r);
  assert_int_equal(falling.valley, -1);
  assert_int_equal(falling.passed, -1);
  assert_int_equal(falling.recommended, COUNT - 1);
  assert_int_equal(sap_phases_at(&falling, COUNT - 1), SAP_PHASE_REGULARIZATION);
  assert_true(fabs(falling.gain - 0.06) < 1e-9);
  assert_int_equal(find_part(&r, 1).recommended, 0);
  assert_true(isnan(find_part(&r, 1).gain));
  const sap_phases none = find_part(&r, 0);
  assert_int_equal(none.recommended, -1);
  assert_int_equal(none.valley, -1);
}

/* Nothing is decided before the density has halved, nor where it stands still, nor of an index that is 0. */
static void test_what_has_no_gain(void **state) {
  (void)state;
  const shape rises = {0, 20, 0, 0.1};
  run r = make(&rises, 0.98, 0, NULL); /* 0.545 in the end */
  assert_int_equal(find(&r).passed, -1);
  r = make(&rises, 0.97, 0, NULL); /* 0.5 between 22 and 23 */
  assert_int_equal(find(&r).passed, 24);
  assert_int_equal(find(&r).valley, 0);
  for (int t = 0; t < COUNT; t++) r.density[t] = t ? 0.3 : 1;
  assert_int_equal(find(&r).passed, -1); /* only the line of iteration 2 has iteration 0 in it */
  for (int t = 0; t < COUNT; t++) r.density[t] = 1;
  assert_int_equal(find(&r).passed, -1);
  r = make(&rises, 0.8, 0, NULL);
  for (int t = 0; t < COUNT; t++) r.pqi[t] = 0;
  assert_int_equal(find(&r).passed, -1);
}

/* One spike of any size does not end a run that goes in small steps. */
static void test_a_single_outlier(void **state) {
  (void)state;
  const shape falls = {20, 20, 0.25, 0};
  for (int at = 1; at < COUNT; at++) {
    run r = make(&falls, 0.92, 0, NULL);
    r.pqi[at] *= 1.2;
    assert_int_equal(find(&r).passed, -1);
  }
}

/* A part of a series says what the whole says of it. */
static void test_growing_series(void **state) {
  (void)state;
  sap__random random = sap__random_stream(7, 0, 0, 0);
  const shape s = {3, 6, 0.2, 0.15};
  for (int round = 0; round < 200; round++) {
    const run r = make(&s, 0.8, 0.04, &random);
    const sap_phases whole = find(&r);
    for (int count = 1; count <= COUNT; count++) {
      const sap_phases part = find_part(&r, (size_t)count);
      assert_int_equal(part.passed, whole.passed >= 0 && whole.passed < count ? whole.passed : -1);
      assert_int_equal(part.fallen, whole.fallen >= 0 && whole.fallen < count ? whole.fallen : -1);
      if (part.passed >= 0) {
        assert_int_equal(part.valley, whole.valley);
        assert_int_equal(part.recommended, whole.recommended);
        assert_true(part.gain == whole.gain);
      } else {
        assert_int_equal(part.recommended, count - 1);
      }
    }
  }
}

/* The unit of the index does not matter. */
static void test_scaling(void **state) {
  (void)state;
  sap__random random = sap__random_stream(8, 0, 0, 0);
  const shape s = {3, 6, 0.2, 0.15};
  for (int round = 0; round < 50; round++) {
    const run r = make(&s, 0.8, 0.03, &random);
    run scaled = r;
    for (int t = 0; t < COUNT; t++) scaled.pqi[t] /= 16;
    const sap_phases a = find(&r), b = find(&scaled);
    assert_int_equal(a.valley, b.valley);
    assert_int_equal(a.passed, b.passed);
    assert_int_equal(a.peak, b.peak);
  }
}

typedef struct tally {
  int missed, early, late, near;
} tally;

/* 1000 noisy series as the lottery ticket makes them, falling 20 % of the dense index a halving for 3.2 halvings (10
 * iterations), then flat: where is the run stopped? */
static tally count_decisions(double sigma, const sap_phase_options *options) {
  sap__random random = sap__random_stream(9, (uint64_t)(1000 * sigma), 0, 0);
  tally t = {0, 0, 0, 0};
  const shape s = {3.22, 20, 0.2, 0};
  for (int round = 0; round < 1000; round++) {
    const run r = make(&s, 0.8, sigma, &random);
    const int passed = find_by(&r, COUNT, options).passed;
    if (passed < 0)
      t.missed++;
    else if (passed < 10)
      t.early++;
    else if (passed > 10 + 4)
      t.late++;
    else
      t.near++;
  }
  return t;
}

static void test_noisy_turns_are_found(void **state) {
  (void)state;
  const struct {
    const sap_phase_options *options;
    double sigma;
    int least_near;
  } cases[] = {{&plain, 0.02, 1000}, {&plain, 0.05, 950}, {&plain, 0.1, 750},
               {NULL, 0.02, 1000},   {NULL, 0.05, 980},   {NULL, 0.1, 820}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const tally t = count_decisions(cases[i].sigma, cases[i].options);
    print_message("%s, noise %.2f: %d within 4, %d early, %d late, %d missed\n", cases[i].options ? "plain" : "default",
                  cases[i].sigma, t.near, t.early, t.late, t.missed);
    assert_true(t.near >= cases[i].least_near);
    assert_int_equal(t.missed, 0);
  }
}

static void test_noise_is_no_turn(void **state) {
  (void)state;
  const struct {
    const sap_phase_options *options;
    double keep, down, sigma;
    int most; /* false alarms in 1000 */
  } cases[] = {{&plain, 0.8, 0.2, 0.02, 0},   {&plain, 0.8, 0.2, 0.05, 20}, {&plain, 0.8, 0.1, 0.02, 20},
               {&plain, 0.8, 0.1, 0.05, 450}, {&plain, 0.9, 0.2, 0.02, 0},  {&plain, 0.9, 0.2, 0.05, 20},
               {NULL, 0.8, 0.2, 0.02, 0},     {NULL, 0.8, 0.2, 0.05, 20},   {NULL, 0.8, 0.16, 0.02, 20},
               {NULL, 0.9, 0.2, 0.02, 0},     {NULL, 0.9, 0.2, 0.05, 20},   {NULL, 0.9, 0.16, 0.02, 20}};
  sap__random random = sap__random_stream(10, 0, 0, 0);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int alarms = 0;
    const shape s = {20, 20, cases[i].down, 0};
    for (int round = 0; round < 1000; round++) {
      const run r = make(&s, cases[i].keep, cases[i].sigma, &random);
      /* Up to where the index is a fifth of what it was. */
      const int passed = find_by(&r, COUNT, cases[i].options).passed;
      alarms += passed >= 0 && value(&s, -log2(cases[i].keep) * passed) > 0.2;
    }
    print_message("%s, keep %.1f, falling %.2f a halving, noise %.2f: %d false alarms\n",
                  cases[i].options ? "plain" : "default", cases[i].keep, cases[i].down, cases[i].sigma, alarms);
    assert_true(alarms <= cases[i].most);
  }
}

static void test_errors(void **state) {
  (void)state;
  const double bad[] = {NAN, INFINITY, -0.1, 1.5}, good[] = {0.2, 0.1, 0.1};
  sap_phases phases;
  sap_error err;
  for (size_t i = 0; i < 4; i++) {
    const double series[] = {0.2, 0.1, bad[i]};
    assert_int_equal(sap_phases_find(series, good, 3, NULL, &phases, &err), SAP_ERROR_NONFINITE);
    assert_non_null(strstr(err.text, "iteration 2: PQ Index"));
    assert_int_equal(sap_phases_find(good, series, 3, NULL, &phases, &err), SAP_ERROR_NONFINITE);
    assert_non_null(strstr(err.text, "iteration 2: density"));
  }
  const sap_phase_options options[] = {{0, 1, 0}, {1, 0, 0}, {1, -1, 0}, {1, NAN, 0}, {1, 1, NAN}, {1, INFINITY, 0}};
  for (size_t i = 0; i < sizeof options / sizeof *options; i++)
    assert_int_equal(sap_phases_find(good, good, 1, &options[i], &phases, &err), SAP_ERROR_ARGUMENT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_names),
      cmocka_unit_test(test_smooth),
      cmocka_unit_test(test_flat_bottom),
      cmocka_unit_test(test_steps_of_any_size),
      cmocka_unit_test(test_options),
      cmocka_unit_test(test_nothing_turns),
      cmocka_unit_test(test_what_has_no_gain),
      cmocka_unit_test(test_a_single_outlier),
      cmocka_unit_test(test_growing_series),
      cmocka_unit_test(test_scaling),
      cmocka_unit_test(test_noisy_turns_are_found),
      cmocka_unit_test(test_noise_is_no_turn),
      cmocka_unit_test(test_errors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
