/* The tables as CSV, RFC 4180. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "io/atomic.h"
#include "report/compare.h"

enum { DIGITS = 9 };

/* A field of text; in quotes where it has to be. */
static void add_text(sap__text *csv, const char *field) {
  if (!field[strcspn(field, ",\"\r\n")]) {
    sap__text_add(csv, "%s", field);
    return;
  }
  sap__text_add(csv, "\"");
  for (const char *c = field; *c; c++) sap__text_add(csv, *c == '"' ? "\"\"" : "%c", *c);
  sap__text_add(csv, "\"");
}

/* A field after another. */
static void add_real(sap__text *csv, double value) {
  sap__text_add(csv, ",");
  sap__text_add_real(csv, DIGITS, value);
}

static void add_reals(sap__text *csv, const double *values, size_t count) {
  for (size_t i = 0; i < count; i++) add_real(csv, values[i]);
}

static void add_stat(sap__text *csv, sap__stat stat) { add_reals(csv, (const double[]){stat.mean, stat.sd}, 2); }

/* What every table begins with. */
#define KEYS "data,model,series"

static void add_keys(sap__text *csv, const sap__section *section, const sap__series *series) {
  add_text(csv, section->data);
  sap__text_add(csv, ",");
  add_text(csv, section->model);
  sap__text_add(csv, ",");
  add_text(csv, series->name);
}

/* ---- the tables, each for one series ---- */

static void iterations_head(sap__text *csv) {
  sap__text_add(csv, KEYS ",run,seed,iteration");
  for (int q = 0; q < SAP__QUANTITY_COUNT; q++) sap__text_add(csv, ",%s", sap__quantities[q].name);
  sap__text_add(csv, "\r\n");
}

static void iterations_rows(sap__text *csv, const sap__section *section, const sap__series *series) {
  for (size_t r = 0; r < series->run_count; r++) {
    const sap__report_run *run = series->runs[r];
    for (size_t t = 0; t < run->metrics.count; t++) {
      if (!run->metrics.points[t].present) continue;
      add_keys(csv, section, series);
      sap__text_add(csv, ",");
      add_text(csv, run->label);
      sap__text_add(csv, ",%llu,%zu", (unsigned long long)run->settings.seed, t);
      for (int q = 0; q < SAP__QUANTITY_COUNT; q++) add_real(csv, run->metrics.points[t].values[q]);
      sap__text_add(csv, "\r\n");
    }
  }
}

static void series_head(sap__text *csv) {
  sap__text_add(csv, KEYS ",iteration,runs");
  for (int q = 0; q < SAP__QUANTITY_COUNT; q++)
    sap__text_add(csv, ",%s,%s_sd", sap__quantities[q].name, sap__quantities[q].name);
  sap__text_add(csv, "\r\n");
}

static void series_rows(sap__text *csv, const sap__section *section, const sap__series *series) {
  for (size_t t = 0; t < series->iterations; t++) {
    add_keys(csv, section, series);
    sap__text_add(csv, ",%zu,%d", t, series->stats[SAP__ACCURACY][t].n);
    for (int q = 0; q < SAP__QUANTITY_COUNT; q++) add_stat(csv, series->stats[q][t]);
    sap__text_add(csv, "\r\n");
  }
}

static void layers_head(sap__text *csv) { sap__text_add(csv, KEYS ",iteration,layer,total,density,pqi,gini\r\n"); }

static void layers_rows(sap__text *csv, const sap__section *section, const sap__series *series) {
  for (size_t t = 0; t < series->iterations; t++) {
    for (size_t i = 0; i < series->layer_count; i++) {
      const sap__layer_series *layer = &series->layers[i];
      add_keys(csv, section, series);
      sap__text_add(csv, ",%zu,", t);
      add_text(csv, layer->name);
      sap__text_add(csv, ",%llu", (unsigned long long)layer->total);
      add_real(csv, layer->density[t]);
      add_real(csv, layer->pqi[t]);
      add_real(csv, layer->gini[t]);
      sap__text_add(csv, "\r\n");
    }
  }
}

static void summary_head(sap__text *csv) {
  sap__text_add(csv, KEYS
                ",runs,finished,dense_accuracy,dense_accuracy_sd,points,iteration,density,accuracy,"
                "accuracy_sd\r\n");
}

static void summary_rows(sap__text *csv, const sap__section *section, const sap__series *series) {
  for (size_t i = 0; i < SAP_REPORT_LIMITS; i++) {
    const sap_report_limit *limit = &series->told.limits[i];
    const double values[] = {series->told.dense_accuracy,
                             series->told.dense_accuracy_sd,
                             limit->points,
                             limit->iteration < 0 ? NAN : limit->iteration,
                             limit->density,
                             limit->accuracy,
                             limit->accuracy_sd};
    add_keys(csv, section, series);
    sap__text_add(csv, ",%zu,%zu", series->told.runs, series->told.finished);
    add_reals(csv, values, sizeof values / sizeof *values);
    sap__text_add(csv, "\r\n");
  }
}

static void densities_head(sap__text *csv) { sap__text_add(csv, KEYS ",density,runs,accuracy,accuracy_sd\r\n"); }

static void densities_rows(sap__text *csv, const sap__section *section, const sap__series *series) {
  for (size_t d = 0; d < SAP__DENSITY_COUNT; d++) {
    const sap__stat stat = sap__accuracy_at(series, sap__densities[d]);
    add_keys(csv, section, series);
    add_real(csv, sap__densities[d]);
    sap__text_add(csv, ",%d", stat.n);
    add_stat(csv, stat);
    sap__text_add(csv, "\r\n");
  }
}

static void phases_head(sap__text *csv) {
  sap__text_add(csv, KEYS
                ",valley,passed,peak,fallen,recommended,recommended_low,recommended_high,density,accuracy,accuracy_sd,"
                "gain\r\n");
}

static void phases_rows(sap__text *csv, const sap__section *section, const sap__series *series) {
  const sap_phases *phases = &series->told.phases;
  const int iterations[] = {phases->valley,
                            phases->passed,
                            phases->peak,
                            phases->fallen,
                            phases->recommended,
                            series->told.recommended_low,
                            series->told.recommended_high};
  add_keys(csv, section, series);
  for (size_t i = 0; i < sizeof iterations / sizeof *iterations; i++)
    add_real(csv, iterations[i] < 0 ? NAN : iterations[i]);
  const double values[] = {series->told.recommended_density, series->told.recommended_accuracy,
                           series->told.recommended_accuracy_sd, phases->gain};
  add_reals(csv, values, sizeof values / sizeof *values);
  sap__text_add(csv, "\r\n");
}

static const struct {
  const char *name, *text;
  void (*head)(sap__text *csv);
  void (*rows)(sap__text *csv, const sap__section *section, const sap__series *series);
} tables[] = {
    {"iterations", "each iteration of each run", iterations_head, iterations_rows},
    {"series", "each iteration of each series: mean and standard deviation", series_head, series_rows},
    {"layers", "the layers in each iteration: means of a series", layers_head, layers_rows},
    {"summary", "the smallest density near the dense accuracy", summary_head, summary_rows},
    {"densities", "accuracy at equal densities", densities_head, densities_rows},
    {"phases", "the turns of the PQ Index, and where to stop", phases_head, phases_rows},
};
static const size_t table_count = sizeof tables / sizeof *tables;

const char *sap_report_table_name_at(size_t i) { return i < table_count ? tables[i].name : NULL; }

const char *sap_report_table_text_at(size_t i) { return i < table_count ? tables[i].text : NULL; }

sap_status sap_report_write_table(const sap_report *report, size_t i, const char *path, sap_error *err) {
  if (i >= table_count)
    return sap__fail(err, SAP_ERROR_ARGUMENT, "table %zu: expected at most %zu", i, table_count - 1);
  sap__text csv = {0};
  tables[i].head(&csv);
  for (size_t s = 0; s < report->section_count; s++)
    for (size_t k = 0; k < report->sections[s].series_count; k++)
      tables[i].rows(&csv, &report->sections[s], &report->sections[s].series[k]);
  sap_status status =
      csv.failed ? sap__fail_memory(err, csv.capacity * 2) : sap__file_write(path, csv.bytes, csv.length, err);
  sap__text_free(&csv);
  return status;
}
