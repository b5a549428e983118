/* Runs grouped into sections (one data set and model) and series (the same settings but for the seed). */
#ifndef SAP_REPORT_SERIES_H
#define SAP_REPORT_SERIES_H

#include <stddef.h>
#include <stdint.h>

#include "report/run.h"
#include "report/statistics.h"
#include "sapwood/report.h"

/* Means of one layer over a series' runs, by iteration; NaN where there is none. */
typedef struct sap__layer_series {
  const char *name; /* the run's */
  uint64_t total;
  double *density, *pqi, *gini;
} sap__layer_series;

typedef struct sap__series {
  sap_report_series told; /* what the caller of the library sees of it */
  char *name;
  size_t run_count;
  const sap__report_run **runs; /* the first stands for the settings of all */
  size_t iterations;
  sap__stat *stats[SAP__QUANTITY_COUNT]; /* each by iteration */
  size_t layer_count;
  sap__layer_series *layers;
} sap__series;

typedef struct sap__section {
  const sap_experiment *settings; /* of its first run */
  char *data, *model;             /* the same, as people may see them: UTF-8 without control characters */
  char *name;                     /* for its files */
  size_t series_count;
  sap__series *series;
  char *words;
} sap__section;

struct sap_report {
  sap__report_runs runs;
  size_t section_count;
  sap__section *sections;
};

/* The part of iterations that a phase covers: [from, to], neighbours sharing their border. 0 if it has none. */
int sap__phase_span(const sap__series *series, sap_phase phase, int *from, int *to);

/* Sections and series of report->runs, with their statistics. */
sap_status sap__report_group(sap_report *report, sap_error *err) SAP_WARN_UNUSED;

void sap__report_ungroup(sap_report *report);

/* 1 if the two differ in nothing that matters to their method. */
int sap__same_series(const sap_experiment *a, const sap_experiment *b);

/* "sap layer p 0.5": the method, and what the section's series differ in; of words that speak for themselves the value
 * alone. To be freed; NULL without memory. */
char *sap__series_name(const sap__section *section, const sap__series *series);

/* sap_report_section_name, where those before i have theirs. To be freed; NULL without memory. */
char *sap__section_name(const sap_report *report, size_t i);

/* 1 if the setting matters to what a run of this method does; its seed and threads never do. */
int sap__setting_matters(const sap_setting *setting, const sap_experiment *settings);

/* 1 if the section has series that differ in the setting. */
int sap__setting_differs(const sap__section *section, const sap_setting *setting);

#endif
