/* Turning points of a noisy series, found as it grows. */
#include "sapwood/phase.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"

#define NAME(constant, name) name,
static const char *const names[] = {SAP_PHASE_LIST(NAME)};
#undef NAME

const char *sap_phase_name(sap_phase phase) { return (unsigned)phase < SAP_PHASE_COUNT ? names[phase] : "unknown"; }

sap_phase_options sap_phase_options_default(void) {
  return (sap_phase_options){.confirm = 2, .tolerance = 0.08, .deviations = 3};
}

/* ---- noise ---- */

/* Third differences vanish on any parabola; of white noise of variance σ² they have the variance (1 + 9 + 9 + 1)·σ². */
static const double variance = 20, median_to_sigma = 1.4826;

/* With fewer differences than this their median says nothing: the tolerance alone counts. */
enum { DIFFERENCES_MIN = 3 };

/* Absolute third differences in rising order. */
typedef struct noise_meter {
  double *sorted;
  size_t count;
} noise_meter;

/* x[t] is new; x has the values before it, too. */
static void noise_add(noise_meter *meter, const double *x, size_t t) {
  if (t < 3) return;
  const double size = fabs(x[t] - 3 * x[t - 1] + 3 * x[t - 2] - x[t - 3]);
  size_t place = meter->count++;
  for (; place > 0 && meter->sorted[place - 1] > size; place--) meter->sorted[place] = meter->sorted[place - 1];
  meter->sorted[place] = size;
}

static double noise_deviation(const noise_meter *meter) {
  const size_t n = meter->count;
  if (n < DIFFERENCES_MIN) return 0;
  const double median = (meter->sorted[(n - 1) / 2] + meter->sorted[n / 2]) / 2;
  return median_to_sigma * median / sqrt(variance);
}

/* ---- turning points ---- */

/* Looks for the lowest point (sign 1) or the highest (sign −1) from which the series turns. */
typedef struct turn {
  double sign;
  int extreme; /* −1: nothing seen yet */
  int beyond;  /* iterations running beyond the threshold */
} turn;

/* 1 if x[t] makes the turn certain. */
static int turn_add(turn *state, const double *x, int t, double threshold, int confirm) {
  if (state->extreme < 0 || state->sign * x[t] <= state->sign * x[state->extreme]) {
    state->extreme = t;
    state->beyond = 0;
    return 0;
  }
  const double distance = state->sign * (x[t] - x[state->extreme]);
  state->beyond = distance > threshold ? state->beyond + 1 : 0;
  return state->beyond >= confirm;
}

/* The highest point between the valley and now: the rise began before it was certain. */
static int highest(const double *x, int from, int to) {
  int best = from;
  for (int t = from + 1; t <= to; t++)
    if (x[t] >= x[best]) best = t;
  return best;
}

static void search(const double *x, size_t count, const sap_phase_options *o, noise_meter *meter, sap_phases *found) {
  turn valley = {1, -1, 0}, peak = {-1, -1, 0};
  *found = (sap_phases){-1, -1, -1, -1, (int)count - 1, 0, o->tolerance};
  for (int t = 0; t < (int)count; t++) {
    noise_add(meter, x, (size_t)t);
    found->noise = noise_deviation(meter);
    const double threshold = fmax(o->tolerance, o->deviations * found->noise);
    if (found->passed < 0) {
      found->threshold = threshold;
      if (!turn_add(&valley, x, t, threshold, o->confirm)) continue;
      found->valley = valley.extreme;
      found->passed = t;
      found->recommended = t - o->confirm;
      peak.extreme = highest(x, valley.extreme, t);
    } else if (found->fallen < 0 && turn_add(&peak, x, t, threshold, o->confirm)) {
      found->peak = peak.extreme;
      found->fallen = t;
    }
  }
}

static sap_status check(const double *pqi, size_t count, const sap_phase_options *o, sap_error *err) {
  if (o->confirm < 1 || !(o->tolerance >= 0) || !(o->deviations >= 0) || !isfinite(o->tolerance + o->deviations))
    return sap__fail(err, SAP_ERROR_ARGUMENT, "phases: expected confirm >= 1, tolerance >= 0 and deviations >= 0");
  if (count > 1 << 20) return sap__fail(err, SAP_ERROR_ARGUMENT, "phases: %zu iterations, expected fewer", count);
  for (size_t t = 0; t < count; t++)
    if (!(pqi[t] >= 0 && pqi[t] <= 1))
      return sap__fail(err, SAP_ERROR_NONFINITE, "iteration %zu: PQ Index %g, expected a number in [0, 1]", t, pqi[t]);
  return SAP_OK;
}

sap_status sap_phases_find(const double *pqi, size_t count, const sap_phase_options *options, sap_phases *phases,
                           sap_error *err) {
  const sap_phase_options o = options ? *options : sap_phase_options_default();
  sap_status status = check(pqi, count, &o, err);
  if (status) return status;
  double *x = sap__alloc(2 * count, sizeof *x);
  if (!x) return sap__fail_memory(err, 2 * count * sizeof *x);
  for (size_t t = 0; t < count; t++) x[t] = log(fmax(pqi[t], 1e-12));
  noise_meter meter = {x + count, 0};
  search(x, count, &o, &meter, phases);
  sap__free(x);
  return SAP_OK;
}

sap_phase sap_phases_at(const sap_phases *phases, int t) {
  if (phases->valley < 0 || t <= phases->valley) return SAP_PHASE_REGULARIZATION;
  return phases->peak < 0 || t <= phases->peak ? SAP_PHASE_COMPRESSION : SAP_PHASE_COLLAPSE;
}
