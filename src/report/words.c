#include "report/words.h"

#include <math.h>

#include "report/compare.h"

/* Less than this is no difference between accuracies: a tenth of a point. */
#define SAME_ACCURACY 1e-3

void sap__percent_add(sap__text *text, double mean, double sd) {
  if (!isfinite(mean)) {
    sap__text_add(text, "–");
    return;
  }
  sap__text_add(text, "%.2f", 100 * mean);
  if (isfinite(sd)) sap__text_add(text, " ± %.2f", 100 * sd);
  sap__text_add(text, " %%");
}

void sap__density_add(sap__text *text, double density) {
  if (!isfinite(density))
    sap__text_add(text, "–");
  else
    sap__text_add(text, "%.*f %%", density >= 0.0995 ? 1 : density >= 0.00995 ? 2 : 3, 100 * density);
}

/* ---- dense ---- */

/* Adds the run's dense accuracy if it is the section's first of its seed; else 0 if the first has another one. */
static int add_seed(const sap__section *section, const sap__report_run *run, sap__stat *all) {
  const double accuracy = sap__metrics_value(&run->metrics, 0, SAP__ACCURACY);
  for (size_t i = 0; i < section->series_count; i++) {
    for (size_t r = 0; r < section->series[i].run_count; r++) {
      const sap__report_run *other = section->series[i].runs[r];
      if (other->settings.seed != run->settings.seed) continue;
      if (other == run) sap__stat_add(all, accuracy);
      return fabs(sap__metrics_value(&other->metrics, 0, SAP__ACCURACY) - accuracy) < SAME_ACCURACY;
    }
  }
  return 0;
}

/* Methods prune the same trained network: a seed has one dense accuracy. Series that differ in training have not. */
static int dense_of_seeds(const sap__section *section, sap__stat *all) {
  *all = sap__stat_empty();
  for (size_t i = 0; i < section->series_count; i++)
    for (size_t r = 0; r < section->series[i].run_count; r++)
      if (!add_seed(section, section->series[i].runs[r], all)) return 0;
  return 1;
}

static void add_dense(sap__text *text, const sap__section *section) {
  const sap_report_series *low = &section->series[0].told, *high = low;
  for (size_t i = 1; i < section->series_count; i++) {
    const sap_report_series *told = &section->series[i].told;
    if (told->dense_accuracy < low->dense_accuracy) low = told;
    if (told->dense_accuracy > high->dense_accuracy) high = told;
  }
  if (!isfinite(low->dense_accuracy)) return;
  sap__stat all;
  sap__text_add(text, "With all its weights the network reaches ");
  if (dense_of_seeds(section, &all)) {
    sap__percent_add(text, all.mean, all.sd);
    sap__text_add(text, " (%d seed%s). ", all.n, all.n == 1 ? "" : "s");
  } else {
    sap__percent_add(text, low->dense_accuracy, low->dense_accuracy_sd);
    sap__text_add(text, " (%s) to ", low->name);
    sap__percent_add(text, high->dense_accuracy, high->dense_accuracy_sd);
    sap__text_add(text, " (%s). ", high->name);
  }
}

/* ---- the smallest network within half a point ---- */

static const sap_report_limit *limit_of(const sap__series *series) { return &series->told.limits[0]; }

static const sap__series *find_smallest(const sap__section *section) {
  const sap__series *best = NULL;
  for (size_t i = 0; i < section->series_count; i++) {
    const sap__series *series = &section->series[i];
    if (limit_of(series)->iteration < 0) continue;
    if (!best || limit_of(series)->density < limit_of(best)->density) best = series;
  }
  return best;
}

/* The next larger of the others, and how many never get there. */
static const sap__series *find_second(const sap__section *section, const sap__series *best, size_t *none) {
  const sap__series *second = NULL;
  *none = 0;
  for (size_t i = 0; i < section->series_count; i++) {
    const sap__series *series = &section->series[i];
    if (series == best || series->runs[0]->settings.prune.method == SAP_METHOD_DENSE) continue;
    if (limit_of(series)->iteration < 0)
      ++*none;
    else if (!second || limit_of(series)->density < limit_of(second)->density)
      second = series;
  }
  return second;
}

static void add_smallest(sap__text *text, const sap__section *section) {
  const sap__series *best = find_smallest(section);
  if (!best) {
    sap__text_add(text, "No pruned network is within half a point of its dense accuracy. ");
    return;
  }
  size_t none;
  const sap__series *second = find_second(section, best, &none);
  sap__text_add(text, "Within half a point of its dense accuracy %s gets down to ", best->name);
  sap__density_add(text, limit_of(best)->density);
  sap__text_add(text, " of the weights, in iteration %d", limit_of(best)->iteration);
  if (second) {
    sap__text_add(text, "; next comes %s with ", second->name);
    sap__density_add(text, limit_of(second)->density);
    const double ratio = limit_of(second)->density / limit_of(best)->density;
    if (ratio >= 1.05) sap__text_add(text, ", %.1f times as many", ratio);
  }
  if (none) sap__text_add(text, "; %zu other%s leave%s it at once", none, none == 1 ? "" : "s", none == 1 ? "s" : "");
  sap__text_add(text, ". ");
}

/* ---- at equal density ---- */

/* The lowest of the densities that at least half of the series reach, and two; fills in how many do, and the best and
 * the worst there. */
static double find_common(const sap__section *section, size_t *reached, const sap__series **best,
                          const sap__series **worst) {
  for (size_t d = SAP__DENSITY_COUNT; d-- > 0;) {
    double high = -INFINITY, low = INFINITY;
    *reached = 0;
    for (size_t i = 0; i < section->series_count; i++) {
      const double accuracy = sap__accuracy_at(&section->series[i], sap__densities[d]).mean;
      *reached += isfinite(accuracy) != 0;
      if (accuracy > high) high = accuracy, *best = &section->series[i];
      if (accuracy < low) low = accuracy, *worst = &section->series[i];
    }
    if (*reached >= 2 && 2 * *reached >= section->series_count) return sap__densities[d];
  }
  return NAN;
}

static void add_common(sap__text *text, const sap__section *section) {
  const sap__series *best = NULL, *worst = NULL;
  size_t reached;
  const double density = find_common(section, &reached, &best, &worst);
  if (isnan(density)) return;
  const sap__stat high = sap__accuracy_at(best, density), low = sap__accuracy_at(worst, density);
  sap__text_add(text, "At a density of %g %%, which %zu of %zu series reach, %s is most accurate with ", 100 * density,
                reached, section->series_count, best->name);
  sap__percent_add(text, high.mean, high.sd);
  sap__text_add(text, ", %s least with ", worst->name);
  sap__percent_add(text, low.mean, low.sd);
  if (isfinite(high.sd) && isfinite(low.sd) && high.mean - low.mean < high.sd + low.sd)
    sap__text_add(text, ", which their deviations do not tell apart");
  sap__text_add(text, ". ");
}

/* ---- phases ---- */

void sap__why_add(sap__text *text, const sap_phases *phases) {
  if (phases->recommended < 0)
    sap__text_add(text, "no index");
  else if (phases->passed >= 0)
    sap__text_add(text, "by iteration %d a halving changes the index by %+.0f %%", phases->passed, -100 * phases->gain);
  else
    sap__text_add(text, "the limit is not passed");
}

/* How far the index of a series got: through how many turns. */
static int turns_of(const sap__series *series) {
  const sap_phases *phases = &series->told.phases;
  return phases->valley < 0 ? 0 : phases->peak < 0 ? 1 : 2;
}

/* The names of the series with so many turns, and where these are; more than four are only counted. */
static void add_turned(sap__text *text, const sap__section *section, int turns, const char *what) {
  size_t count = 0, told = 0;
  for (size_t i = 0; i < section->series_count; i++) count += turns_of(&section->series[i]) == turns;
  if (!count) return;
  sap__text_add(text, "%s in ", what);
  if (count > 4) sap__text_add(text, "%zu series", count);
  for (size_t i = 0; i < section->series_count && count <= 4; i++) {
    const sap_phases *phases = &section->series[i].told.phases;
    if (turns_of(&section->series[i]) != turns) continue;
    sap__text_add(text, "%s%s", !told ? "" : told + 1 == count ? " and " : ", ", section->series[i].name);
    if (turns == 1) sap__text_add(text, " (from iteration %d)", phases->valley);
    if (turns == 2) sap__text_add(text, " (iterations %d and %d)", phases->valley, phases->peak);
    told++;
  }
}

static void add_phases(sap__text *text, const sap__section *section) {
  static const char *const whats[] = {"falls throughout", "falls, then slows down or rises",
                                      "falls, rises and falls again"};
  const size_t before = text->length;
  for (int turns = 2; turns >= 0; turns--) {
    sap__text piece = {0};
    add_turned(&piece, section, turns, whats[turns]);
    if (piece.length)
      sap__text_add(text, "%s%s", text->length > before ? "; it " : "The PQ Index at the method's scope ", piece.bytes);
    text->failed |= piece.failed;
    sap__text_free(&piece);
  }
  sap__text_add(text, ". ");
}

/* ---- before retraining ---- */

static void add_loss(sap__text *text, const sap__section *section) {
  const sap__series *where = NULL;
  size_t when = 0;
  double most = 0.005; /* less is not worth a sentence */
  for (size_t i = 0; i < section->series_count; i++) {
    const sap__series *series = &section->series[i];
    for (size_t t = 0; t < series->iterations; t++) {
      if (!(series->stats[SAP__ACCURACY_DIFFERENCE][t].mean > most)) continue;
      most = series->stats[SAP__ACCURACY_DIFFERENCE][t].mean;
      where = series;
      when = t;
    }
  }
  if (!where) return;
  sap__text_add(text, "Before retraining, pruning costs up to %.1f points (%s, iteration %zu). ", 100 * most,
                where->name, when);
}

/* ---- Gini beside PQI ---- */

static double correlation_of(const sap__series *series) {
  double pqi[SAP__ITERATIONS_MAX], gini[SAP__ITERATIONS_MAX];
  for (size_t t = 0; t < series->iterations; t++) {
    pqi[t] = series->stats[SAP__PQI][t].mean;
    gini[t] = series->stats[SAP__GINI][t].mean;
  }
  return sap__correlation(pqi, gini, series->iterations);
}

static void add_gini(sap__text *text, const sap__section *section) {
  double low = INFINITY, high = -INFINITY;
  for (size_t i = 0; i < section->series_count; i++) {
    const double r = correlation_of(&section->series[i]);
    low = fmin(low, r);
    high = fmax(high, r);
  }
  if (!isfinite(low)) return;
  sap__text_add(text, "%s: over the iterations the two correlate with r = %.2f",
                low >= 0.9   ? "The Gini index goes the way of the PQ Index"
                : high < 0.5 ? "The Gini index does not go the way of the PQ Index"
                             : "The Gini index goes the way of the PQ Index in part",
                low);
  if (high - low >= 0.005) sap__text_add(text, " to %.2f", high);
  sap__text_add(text, ". ");
}

/* ---- layers ---- */

/* The layers of largest and smallest density in the last iteration that has them; 0 if there are no two. */
static int find_extremes(const sap__series *series, size_t *largest, size_t *smallest) {
  const size_t last = series->iterations - 1;
  *largest = *smallest = 0;
  for (size_t i = 1; i < series->layer_count; i++) {
    if (series->layers[i].density[last] > series->layers[*largest].density[last]) *largest = i;
    if (series->layers[i].density[last] < series->layers[*smallest].density[last]) *smallest = i;
  }
  /* Equal shares differ by rounding. */
  return series->layer_count > 1 &&
         series->layers[*largest].density[last] > 1.05 * series->layers[*smallest].density[last];
}

static void add_layers(sap__text *text, const sap__section *section) {
  size_t counted = 0, largest_first = 0, smallest_first = 0;
  const char *name = NULL;
  for (size_t i = 0; i < section->series_count; i++) {
    size_t largest, smallest;
    if (!find_extremes(&section->series[i], &largest, &smallest)) continue;
    name = section->series[i].layers[0].name;
    counted++;
    largest_first += largest == 0;
    smallest_first += smallest == 0;
  }
  if (!counted) return;
  if (counted == 1)
    sap__text_add(text, "In the end the first layer, %s, keeps %s share of its weights of all layers. ", name,
                  largest_first    ? "the largest"
                  : smallest_first ? "the smallest"
                                   : "neither the largest nor the smallest");
  else
    sap__text_add(text,
                  "In the end the first layer, %s, keeps the largest share of its weights of all layers in %zu of %zu "
                  "series, the smallest in %zu. ",
                  name, largest_first, counted, smallest_first);
}

void sap__words_add(sap__text *text, const sap__section *section) {
  add_dense(text, section);
  add_smallest(text, section);
  add_common(text, section);
  add_phases(text, section);
  add_loss(text, section);
  add_gini(text, section);
  add_layers(text, section);
}
