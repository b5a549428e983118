#include "report/series.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "io/file.h"

/* ---- grouping ---- */

static char *tidy_copy(const char *words) {
  sap__text text = {0};
  sap__text_add_tidy(&text, words);
  char *copy = text.failed ? NULL : sap__strdup(text.bytes ? text.bytes : "");
  sap__text_free(&text);
  return copy;
}

static sap__section *find_section(sap_report *report, const sap_experiment *settings) {
  for (size_t i = 0; i < report->section_count; i++) {
    const sap_experiment *other = report->sections[i].settings;
    if (!strcmp(other->data, settings->data) && !strcmp(other->model, settings->model)) return &report->sections[i];
  }
  if (!sap__grow(&report->sections, report->section_count, sizeof *report->sections)) return NULL;
  sap__section *made = &report->sections[report->section_count++];
  *made = (sap__section){.settings = settings, .data = tidy_copy(settings->data), .model = tidy_copy(settings->model)};
  return made->data && made->model ? made : NULL;
}

static sap__series *find_series(sap__section *section, const sap_experiment *settings) {
  for (size_t i = 0; i < section->series_count; i++)
    if (sap__same_series(&section->series[i].runs[0]->settings, settings)) return &section->series[i];
  if (!sap__grow(&section->series, section->series_count, sizeof *section->series)) return NULL;
  section->series[section->series_count] = (sap__series){0};
  return &section->series[section->series_count++];
}

/* A second run of the same seed says nothing new and would make the deviation too small: the longer one stays. */
static sap_status take_duplicate(sap_report *report, const sap__report_run **place, const sap__report_run *run,
                                 sap_error *err) {
  const sap__report_run *other = *place, *out = run;
  if (run->metrics.count > other->metrics.count) {
    *place = run;
    out = other;
  }
  return sap__report_note(&report->runs, err, "%.120s: left out: same settings and seed as %.120s",
                          sap__path_tail(out->label), sap__path_tail((*place)->label));
}

static sap_status add_run(sap_report *report, const sap__report_run *run, sap_error *err) {
  sap__section *section = find_section(report, &run->settings);
  sap__series *series = section ? find_series(section, &run->settings) : NULL;
  if (!series) return sap__fail_memory(err, sizeof *series);
  for (size_t i = 0; i < series->run_count; i++)
    if (series->runs[i]->settings.seed == run->settings.seed) return take_duplicate(report, &series->runs[i], run, err);
  if (!sap__grow(&series->runs, series->run_count, sizeof *series->runs)) {
    /* A series has a run, always: others look at its first. */
    if (!series->run_count) section->series_count--;
    return sap__fail_memory(err, sizeof *series->runs);
  }
  series->runs[series->run_count++] = run;
  return SAP_OK;
}

/* ---- statistics ---- */

static const sap__point *point_at(const sap__report_run *run, size_t t) {
  return t < run->metrics.count && run->metrics.points[t].present ? &run->metrics.points[t] : NULL;
}

static int quantity_stats(sap__series *series) {
  for (int q = 0; q < SAP__QUANTITY_COUNT; q++) {
    if (!(series->stats[q] = sap__calloc(series->iterations, sizeof *series->stats[q]))) return 0;
    for (size_t t = 0; t < series->iterations; t++) {
      sap__stat *stat = &series->stats[q][t];
      *stat = sap__stat_empty();
      for (size_t r = 0; r < series->run_count; r++)
        sap__stat_add(stat, sap__metrics_value(&series->runs[r]->metrics, t, (sap__quantity_id)q));
    }
  }
  return 1;
}

/* Means of layer i in iteration t over the runs that have it there under that name. */
static void layer_means(const sap__series *series, size_t i, size_t t) {
  const sap__layer_series *layer = &series->layers[i];
  sap__stat density = sap__stat_empty(), pqi = density, gini = density;
  for (size_t r = 0; r < series->run_count; r++) {
    const sap__point *point = point_at(series->runs[r], t);
    if (!point || i >= point->layer_count || strcmp(point->layers[i].name, layer->name)) continue;
    sap__stat_add(&density, point->layers[i].density);
    sap__stat_add(&pqi, point->layers[i].pqi);
    sap__stat_add(&gini, point->layers[i].gini);
  }
  layer->density[t] = density.mean;
  layer->pqi[t] = pqi.mean;
  layer->gini[t] = gini.mean;
}

static int layer_stats(sap__series *series) {
  const sap__point *first = NULL;
  for (size_t t = 0; t < series->iterations && !first; t++) first = point_at(series->runs[0], t);
  const size_t count = first ? first->layer_count : 0, length = series->iterations;
  if (!(series->layers = sap__calloc(count, sizeof *series->layers))) return 0;
  for (size_t i = 0; i < count; i++) {
    sap__layer_series *layer = &series->layers[i];
    *layer = (sap__layer_series){first->layers[i].name, first->layers[i].total, NULL, NULL, NULL};
    /* One block for the three. */
    if (!(layer->density = sap__calloc(3 * length, sizeof *layer->density))) return 0;
    layer->pqi = layer->density + length;
    layer->gini = layer->pqi + length;
    series->layer_count++;
    for (size_t t = 0; t < length; t++) layer_means(series, i, t);
  }
  return 1;
}

/* What an iteration's accuracy is below that with all weights, as a mean over the runs that have both: runs that ended
 * earlier must not count in one of the two alone. NaN without any. */
static double accuracy_lost(const sap__series *series, size_t t) {
  sap__stat lost = sap__stat_empty();
  for (size_t r = 0; r < series->run_count; r++) {
    const sap__metrics *metrics = &series->runs[r]->metrics;
    sap__stat_add(&lost, sap__metrics_value(metrics, 0, SAP__ACCURACY) - sap__metrics_value(metrics, t, SAP__ACCURACY));
  }
  return lost.mean;
}

static void find_limit(const sap__series *series, sap_report_limit *limit) {
  const sap__stat *accuracy = series->stats[SAP__ACCURACY], *density = series->stats[SAP__DENSITY];
  limit->iteration = -1;
  limit->density = limit->accuracy = limit->accuracy_sd = NAN;
  for (size_t t = 0; t < series->iterations; t++) {
    if (!(accuracy_lost(series, t) <= limit->points / 100) || !(density[t].mean < 1)) continue;
    if (limit->iteration >= 0 && density[t].mean > limit->density) continue;
    limit->iteration = (int)t;
    limit->density = density[t].mean;
    limit->accuracy = accuracy[t].mean;
    limit->accuracy_sd = accuracy[t].sd;
  }
}

static int is_share(double value) { return value >= 0 && value <= 1; }

/* The phases of an index, as far as it and the density go without a gap. */
static sap_status phases_of(const sap__series *series, const double *pqi, const double *density, sap_phases *phases,
                            sap_error *err) {
  sap_phase_options options = sap_phase_options_default();
  size_t count = 0;
  while (count < series->iterations && is_share(pqi[count]) && is_share(density[count])) count++;
  const int confirm = series->runs[0]->settings.stop_after;
  if (confirm >= 1) options.confirm = confirm; /* the file of a run may say anything */
  return sap_phases_find(pqi, density, count, &options, phases, err);
}

/* What each run alone would recommend. */
static sap_status find_run_phases(sap__series *series, sap_error *err) {
  double pqi[SAP__ITERATIONS_MAX], density[SAP__ITERATIONS_MAX];
  sap_report_series *told = &series->told;
  told->recommended_low = INT_MAX;
  told->recommended_high = -1;
  for (size_t r = 0; r < series->run_count; r++) {
    sap_phases phases;
    for (size_t t = 0; t < series->iterations; t++) {
      pqi[t] = sap__metrics_value(&series->runs[r]->metrics, t, SAP__SCOPE_PQI);
      density[t] = sap__metrics_value(&series->runs[r]->metrics, t, SAP__DENSITY);
    }
    sap_status status = phases_of(series, pqi, density, &phases, err);
    if (status) return status;
    /* One that still goes may come further. */
    if (phases.recommended < 0 || (phases.passed < 0 && !series->runs[r]->finished)) continue;
    if (phases.recommended < told->recommended_low) told->recommended_low = phases.recommended;
    if (phases.recommended > told->recommended_high) told->recommended_high = phases.recommended;
  }
  if (told->recommended_high < 0) told->recommended_low = -1;
  return SAP_OK;
}

static sap_status find_phases(sap__series *series, sap_error *err) {
  double pqi[SAP__ITERATIONS_MAX], density[SAP__ITERATIONS_MAX];
  sap_report_series *told = &series->told;
  for (size_t t = 0; t < series->iterations; t++) {
    pqi[t] = series->stats[SAP__SCOPE_PQI][t].mean;
    density[t] = series->stats[SAP__DENSITY][t].mean;
  }
  told->recommended_density = told->recommended_accuracy = told->recommended_accuracy_sd = NAN;
  sap_status status = phases_of(series, pqi, density, &told->phases, err);
  if (!status) status = find_run_phases(series, err);
  if (status || told->phases.recommended < 0) return status;
  const sap__stat accuracy = series->stats[SAP__ACCURACY][told->phases.recommended];
  told->recommended_density = series->stats[SAP__DENSITY][told->phases.recommended].mean;
  told->recommended_accuracy = accuracy.mean;
  told->recommended_accuracy_sd = accuracy.sd;
  return SAP_OK;
}

int sap__phase_span(const sap__series *series, sap_phase phase, int *from, int *to) {
  const sap_phases *phases = &series->told.phases;
  const int last = (int)series->iterations - 1;
  const int ends[SAP_PHASE_COUNT + 1] = {0, phases->valley, phases->peak, last};
  *from = ends[phase];
  *to = ends[phase + 1];
  if (*from >= 0 && *to < 0) *to = last; /* it has not ended */
  return phases->recommended >= 0 && *from >= 0 && *to > *from;
}

static sap_status finish_series(const sap__section *section, size_t place, sap__series *series, sap_error *err) {
  static const double points[SAP_REPORT_LIMITS] = {0.5, 1};
  size_t finished = 0;
  for (size_t r = 0; r < series->run_count; r++) {
    if (series->runs[r]->metrics.count > series->iterations) series->iterations = series->runs[r]->metrics.count;
    finished += series->runs[r]->finished != 0;
  }
  if (!quantity_stats(series) || !layer_stats(series) || !(series->name = sap__series_name(section, series)))
    return sap__fail(err, SAP_ERROR_MEMORY, "no memory for the statistics of %zu runs", series->run_count);
  const sap__stat dense = series->stats[SAP__ACCURACY][0];
  series->told = (sap_report_series){.section = place,
                                     .data = section->data,
                                     .model = section->model,
                                     .name = series->name,
                                     .runs = series->run_count,
                                     .finished = finished,
                                     .iterations = (int)series->iterations,
                                     .dense_accuracy = dense.mean,
                                     .dense_accuracy_sd = dense.sd};
  for (size_t i = 0; i < SAP_REPORT_LIMITS; i++) {
    series->told.limits[i].points = points[i];
    find_limit(series, &series->told.limits[i]);
  }
  return find_phases(series, err);
}

sap_status sap__report_group(sap_report *report, sap_error *err) {
  sap_status status = SAP_OK;
  for (size_t i = 0; i < report->runs.count && !status; i++) status = add_run(report, &report->runs.items[i], err);
  for (size_t i = 0; i < report->section_count && !status; i++) {
    sap__section *section = &report->sections[i];
    if (!(section->name = sap__section_name(report, i)))
      status = sap__fail(err, SAP_ERROR_MEMORY, "no memory for the name of a section");
    for (size_t k = 0; k < section->series_count && !status; k++)
      status = finish_series(section, i, &section->series[k], err);
  }
  return status;
}

static void series_free(sap__series *series) {
  for (size_t i = 0; i < series->layer_count; i++) sap__free(series->layers[i].density);
  for (int q = 0; q < SAP__QUANTITY_COUNT; q++) sap__free(series->stats[q]);
  sap__free(series->layers);
  sap__free(series->runs);
  sap__free(series->name);
}

void sap__report_ungroup(sap_report *report) {
  for (size_t i = 0; i < report->section_count; i++) {
    sap__section *section = &report->sections[i];
    for (size_t k = 0; k < section->series_count; k++) series_free(&section->series[k]);
    sap__free(section->series);
    sap__free(section->data);
    sap__free(section->model);
    sap__free(section->name);
    sap__free(section->words);
  }
  sap__free(report->sections);
}
