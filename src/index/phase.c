/* The phases of a run: where the index hardly falls with the density any more, found as the series grows. */
#include "sapwood/phase.h"

#include <math.h>

#include "base/error.h"

#define NAME(constant, name) name,
static const char *const names[] = {SAP_PHASE_LIST(NAME)};
#undef NAME

const char *sap_phase_name(sap_phase phase) { return (unsigned)phase < SAP_PHASE_COUNT ? names[phase] : "unknown"; }

sap_phase_options sap_phase_options_default(void) {
  return (sap_phase_options){.confirm = 2, .span = 1.75, .least = 0.11};
}

/* A line through two points says nothing of noise. */
enum { POINTS_MIN = 3 };

/* How often a density can be halved before it is there; 0 is far away but finite. */
static double halvings(double density) { return -log2(fmax(density, 1e-12)); }

/* The gain at iteration t; NaN before the density has fallen by the span, where it does not fall, and of an index that
 * was 0. */
static double gain(const double *pqi, const double *density, int t, double span) {
  const double here = halvings(density[t]), slack = 1e-9; /* a halving by steps that round */
  if (t + 1 < POINTS_MIN || here - halvings(density[0]) < span - slack || !(pqi[0] > 0)) return NAN;
  double x = 0, y = 0, xx = 0, xy = 0;
  int n = 0;
  for (int i = t; i >= 0; i--) {
    const double dx = here - halvings(density[i]), dy = (pqi[i] - pqi[t]) / pqi[0];
    if (dx > span + slack && n >= POINTS_MIN) break;
    x += dx;
    y += dy;
    xx += dx * dx;
    xy += dx * dy;
    n++;
  }
  const double spread = xx - x * x / n;
  return spread > 0 ? (xy - x * y / n) / spread : NAN;
}

/* The place of the smallest value (sign 1) or of the largest (sign −1), of equal ones the last. */
static int extreme(const double *values, int from, int to, double sign) {
  int best = from;
  for (int t = from + 1; t <= to; t++)
    if (sign * values[t] <= sign * values[best]) best = t;
  return best;
}

static void search(const double *pqi, const double *density, int count, const sap_phase_options *o, sap_phases *found) {
  *found = (sap_phases){-1, -1, -1, -1, count - 1, NAN};
  int running = 0;
  for (int t = 0; t < count && found->fallen < 0; t++) {
    const double g = gain(pqi, density, t, o->span);
    const int counts = found->passed < 0 ? g < o->least : g > o->least; /* a NaN is neither */
    if (found->passed < 0) found->gain = g;
    running = counts ? running + 1 : 0;
    if (running < o->confirm) continue;
    running = 0;
    if (found->passed < 0) {
      found->passed = t;
      found->valley = extreme(pqi, 0, t, 1);
      found->recommended = t - o->confirm;
    } else {
      found->fallen = t;
      found->peak = extreme(pqi, found->valley, t, -1);
    }
  }
}

static sap_status check_value(const char *what, double value, size_t t, sap_error *err) {
  if (value >= 0 && value <= 1) return SAP_OK;
  return sap__fail(err, SAP_ERROR_NONFINITE, "iteration %zu: %s %g, expected a number in [0, 1]", t, what, value);
}

static sap_status check(const double *pqi, const double *density, size_t count, const sap_phase_options *o,
                        sap_error *err) {
  if (o->confirm < 1 || !(o->span > 0) || !isfinite(o->span + o->least))
    return sap__fail(err, SAP_ERROR_ARGUMENT, "phases: expected confirm >= 1, span > 0 and a number as least");
  if (count > 1 << 20) return sap__fail(err, SAP_ERROR_ARGUMENT, "phases: %zu iterations, expected fewer", count);
  sap_status status = SAP_OK;
  for (size_t t = 0; t < count && !status; t++) {
    status = check_value("PQ Index", pqi[t], t, err);
    if (!status) status = check_value("density", density[t], t, err);
  }
  return status;
}

sap_status sap_phases_find(const double *pqi, const double *density, size_t count, const sap_phase_options *options,
                           sap_phases *phases, sap_error *err) {
  const sap_phase_options o = options ? *options : sap_phase_options_default();
  const sap_status status = check(pqi, density, count, &o, err);
  if (!status) search(pqi, density, (int)count, &o, phases);
  return status;
}

sap_phase sap_phases_at(const sap_phases *phases, int t) {
  if (phases->valley < 0 || t <= phases->valley) return SAP_PHASE_REGULARIZATION;
  return phases->peak < 0 || t <= phases->peak ? SAP_PHASE_COMPRESSION : SAP_PHASE_COLLAPSE;
}
