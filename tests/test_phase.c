/* Turning points of the PQ Index: exact on smooth series, within bounds on noisy ones, the same as a series grows. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "alloc_fault.h"
#include "base/random.h"
#include "sapwood/phase.h"
#include "unit.h"

enum { COUNT = 31 };

static sap_phases find(const double *pqi, size_t count) {
  sap_phases phases;
  sap_error err = {.text = ""};
  if (sap_phases_find(pqi, count, NULL, &phases, &err)) fail_msg("%s", err.text);
  return phases;
}

/* A normal deviate. */
static double normal(sap__random *random) {
  const double u = 1 - sap__random_unit(random), v = sap__random_unit(random);
  return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

/* ln I falls with slope `down` to the valley, rises with slope `up` to the peak and falls with slope `down` again. */
static double shape(int t, int valley, int peak, double down, double up) {
  if (t <= valley) return -down * t;
  if (t <= peak) return -down * valley + up * (t - valley);
  return -down * valley + up * (peak - valley) - down * (t - peak);
}

static void make(double *pqi, int valley, int peak, double down, double up, double sigma, sap__random *random) {
  for (int t = 0; t < COUNT; t++) {
    const double noise = sigma > 0 ? sigma * normal(random) : 0;
    pqi[t] = fmin(1, 0.2 * exp(shape(t, valley, peak, down, up) + noise));
  }
}

static void test_names(void **state) {
  (void)state;
  assert_string_equal(sap_phase_name(SAP_PHASE_REGULARIZATION), "regularization");
  assert_string_equal(sap_phase_name(SAP_PHASE_COMPRESSION), "compression");
  assert_string_equal(sap_phase_name(SAP_PHASE_COLLAPSE), "collapse");
  assert_string_equal(sap_phase_name(SAP_PHASE_COUNT), "unknown");
}

static void test_smooth(void **state) {
  (void)state;
  double pqi[COUNT];
  make(pqi, 10, 20, 0.1, 0.1, 0, NULL);
  const sap_phases p = find(pqi, COUNT);
  assert_int_equal(p.valley, 10);
  assert_int_equal(p.passed, 12); /* 0.1 and 0.2 above: the second of two beyond 0.08 */
  assert_int_equal(p.recommended, 10);
  assert_int_equal(p.peak, 20);
  assert_int_equal(p.fallen, 22);
  assert_true(p.noise < 1e-9 && p.threshold == 0.08);
  for (int t = 0; t < COUNT; t++)
    assert_int_equal(sap_phases_at(&p, t), t <= 10   ? SAP_PHASE_REGULARIZATION
                                           : t <= 20 ? SAP_PHASE_COMPRESSION
                                                     : SAP_PHASE_COLLAPSE);
}

/* A slow rise counts once it is large enough: the iterations before it are still the bottom. */
static void test_flat_bottom(void **state) {
  (void)state;
  double pqi[COUNT];
  make(pqi, 10, COUNT, 0.1, 0.03, 0, NULL);
  const sap_phases p = find(pqi, COUNT);
  assert_int_equal(p.valley, 10);
  assert_int_equal(p.passed, 14); /* 0.09 and 0.12 above */
  assert_int_equal(p.recommended, 12);
  assert_int_equal(p.peak, -1);
}

static void test_options(void **state) {
  (void)state;
  double pqi[COUNT];
  make(pqi, 10, COUNT, 0.1, 0.1, 0, NULL);
  sap_phase_options o = sap_phase_options_default();
  sap_phases p;
  for (int confirm = 1; confirm <= 5; confirm++) {
    o.confirm = confirm;
    assert_int_equal(sap_phases_find(pqi, COUNT, &o, &p, NULL), SAP_OK);
    assert_int_equal(p.passed, 10 + confirm);
    assert_int_equal(p.recommended, 10);
  }
  o = (sap_phase_options){1, 0.25, 0};
  assert_int_equal(sap_phases_find(pqi, COUNT, &o, &p, NULL), SAP_OK);
  assert_int_equal(p.passed, 13);
  assert_int_equal(p.recommended, 12);
}

static void test_nothing_turns(void **state) {
  (void)state;
  double pqi[COUNT];
  make(pqi, COUNT, COUNT, 0.05, 0, 0, NULL);
  const sap_phases falling = find(pqi, COUNT);
  assert_int_equal(falling.valley, -1);
  assert_int_equal(falling.passed, -1);
  assert_int_equal(falling.recommended, COUNT - 1);
  assert_int_equal(sap_phases_at(&falling, COUNT - 1), SAP_PHASE_REGULARIZATION);
  for (int t = 0; t < COUNT; t++) pqi[t] = 0;
  assert_int_equal(find(pqi, COUNT).passed, -1);
  assert_int_equal(find(pqi, 1).recommended, 0);
  const sap_phases none = find(pqi, 0);
  assert_int_equal(none.recommended, -1);
  assert_int_equal(none.valley, -1);
}

/* Rising from the first: iteration 0 is the valley. */
static void test_rises_at_once(void **state) {
  (void)state;
  double pqi[COUNT];
  make(pqi, 0, COUNT, 0, 0.03, 0, NULL);
  const sap_phases p = find(pqi, COUNT);
  assert_int_equal(p.valley, 0);
  assert_int_equal(p.passed, 4);
  assert_int_equal(p.recommended, 2);
}

/* One spike of any size is no turn. */
static void test_a_single_outlier(void **state) {
  (void)state;
  for (int at = 0; at < COUNT; at++) {
    double pqi[COUNT];
    make(pqi, COUNT, COUNT, 0.03, 0, 0, NULL);
    pqi[at] *= 3;
    assert_int_equal(find(pqi, COUNT).passed, -1);
  }
}

/* A part of a series says what the whole says of it. */
static void test_growing_series(void **state) {
  (void)state;
  sap__random random = sap__random_stream(7, 0, 0, 0);
  for (int round = 0; round < 200; round++) {
    double pqi[COUNT];
    make(pqi, 8, 18, 0.08, 0.06, 0.04, &random);
    const sap_phases whole = find(pqi, COUNT);
    for (int count = 1; count <= COUNT; count++) {
      const sap_phases part = find(pqi, (size_t)count);
      assert_int_equal(part.passed, whole.passed >= 0 && whole.passed < count ? whole.passed : -1);
      assert_int_equal(part.fallen, whole.fallen >= 0 && whole.fallen < count ? whole.fallen : -1);
      if (part.passed >= 0) {
        assert_int_equal(part.valley, whole.valley);
        assert_int_equal(part.recommended, whole.recommended);
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
  for (int round = 0; round < 50; round++) {
    double pqi[COUNT], scaled[COUNT];
    make(pqi, 10, 20, 0.08, 0.08, 0.03, &random);
    for (int t = 0; t < COUNT; t++) scaled[t] = pqi[t] / 16;
    const sap_phases a = find(pqi, COUNT), b = find(scaled, COUNT);
    assert_int_equal(a.valley, b.valley);
    assert_int_equal(a.passed, b.passed);
    assert_int_equal(a.peak, b.peak);
  }
}

typedef struct tally {
  int missed, early, late, near;
} tally;

/* 1000 noisy series with a turn in iteration 12, rising 8 % an iteration: where is the run stopped? */
static tally count_decisions(double sigma) {
  sap__random random = sap__random_stream(9, (uint64_t)(1000 * sigma), 0, 0);
  tally t = {0, 0, 0, 0};
  for (int round = 0; round < 1000; round++) {
    double pqi[COUNT];
    make(pqi, 12, COUNT, 0.08, 0.08, sigma, &random);
    const int passed = find(pqi, COUNT).passed;
    if (passed < 0)
      t.missed++;
    else if (passed < 12)
      t.early++;
    else if (passed > 12 + 4)
      t.late++;
    else
      t.near++;
  }
  return t;
}

static void test_noisy_turns_are_found(void **state) {
  (void)state;
  const double sigmas[] = {0.01, 0.03, 0.06};
  const int least_near[] = {1000, 950, 600};
  for (size_t i = 0; i < 3; i++) {
    const tally t = count_decisions(sigmas[i]);
    print_message("noise %.2f: %d within 4, %d early, %d late, %d missed\n", sigmas[i], t.near, t.early, t.late,
                  t.missed);
    assert_true(t.near >= least_near[i]);
    assert_true(t.missed <= 20);
    assert_true(t.early <= 20);
  }
}

static void test_noise_is_no_turn(void **state) {
  (void)state;
  const struct {
    double slope, sigma;
    int most; /* false alarms in 1000 */
  } cases[] = {{0.03, 0.02, 0}, {0.03, 0.05, 80}, {0, 0.02, 60}, {0, 0.05, 600}};
  sap__random random = sap__random_stream(10, 0, 0, 0);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int alarms = 0;
    for (int round = 0; round < 1000; round++) {
      double pqi[COUNT];
      make(pqi, COUNT, COUNT, cases[i].slope, 0, cases[i].sigma, &random);
      alarms += find(pqi, COUNT).passed >= 0;
    }
    print_message("slope %.2f, noise %.2f: %d false alarms\n", cases[i].slope, cases[i].sigma, alarms);
    assert_true(alarms <= cases[i].most);
  }
}

/* The estimate of the noise is that of the noise, and a curved series has none. */
static void test_noise_estimate(void **state) {
  (void)state;
  sap__random random = sap__random_stream(11, 0, 0, 0);
  double pqi[COUNT], mean = 0;
  for (int round = 0; round < 1000; round++) {
    for (int t = 0; t < COUNT; t++) pqi[t] = 0.2 * exp(-0.1 * t + 0.002 * t * t + 0.05 * normal(&random));
    mean += find(pqi, COUNT).noise / 1000;
  }
  assert_true(mean > 0.045 && mean < 0.055);
  for (int t = 0; t < COUNT; t++) pqi[t] = 0.2 * exp(-0.1 * t + 0.002 * t * t);
  assert_true(find(pqi, COUNT).noise < 1e-9);
}

static void test_errors(void **state) {
  (void)state;
  const double bad[] = {NAN, INFINITY, -0.1, 1.5};
  sap_phases phases;
  sap_error err;
  for (size_t i = 0; i < 4; i++) {
    const double pqi[] = {0.2, 0.1, bad[i]};
    assert_int_equal(sap_phases_find(pqi, 3, NULL, &phases, &err), SAP_ERROR_NONFINITE);
    assert_non_null(strstr(err.text, "iteration 2: PQ Index"));
  }
  const double pqi[] = {0.2};
  const sap_phase_options options[] = {{0, 0.1, 1}, {1, -1, 1}, {1, NAN, 1}, {1, 0.1, -1}, {1, 0.1, INFINITY}};
  for (size_t i = 0; i < sizeof options / sizeof *options; i++)
    assert_int_equal(sap_phases_find(pqi, 1, &options[i], &phases, &err), SAP_ERROR_ARGUMENT);
  const size_t before = fault_live();
  fault_arm(1);
  assert_int_equal(sap_phases_find(pqi, 1, NULL, &phases, &err), SAP_ERROR_MEMORY);
  assert_true(fault_disarm());
  assert_int_equal(fault_live(), before);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_names),
      cmocka_unit_test(test_smooth),
      cmocka_unit_test(test_flat_bottom),
      cmocka_unit_test(test_options),
      cmocka_unit_test(test_nothing_turns),
      cmocka_unit_test(test_rises_at_once),
      cmocka_unit_test(test_a_single_outlier),
      cmocka_unit_test(test_growing_series),
      cmocka_unit_test(test_scaling),
      cmocka_unit_test(test_noisy_turns_are_found),
      cmocka_unit_test(test_noise_is_no_turn),
      cmocka_unit_test(test_noise_estimate),
      cmocka_unit_test(test_errors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
