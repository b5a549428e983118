/* Run directories: reading one, and finding those in a folder. */
#ifndef SAP_REPORT_RUN_H
#define SAP_REPORT_RUN_H

#include <stddef.h>

#include "report/metrics.h"
#include "sapwood/experiment.h"

typedef struct sap__report_run {
  char *label;  /* its path as people may see it: UTF-8 without control characters */
  char *origin; /* version and machine, as config.json tells them */
  sap_experiment settings;
  sap__metrics metrics;
  int finished; /* its last iteration is there */
} sap__report_run;

typedef struct sap__report_runs {
  size_t count;
  sap__report_run *items;
  size_t note_count;
  char **notes; /* what was left out, and why */
} sap__report_runs;

/* Adds the run, or the runs in a folder; see sap_report_open. */
sap_status sap__report_runs_add(sap__report_runs *runs, const char *path, sap_error *err) SAP_WARN_UNUSED;

sap_status sap__report_note(sap__report_runs *runs, sap_error *err, const char *format, ...)
    SAP_PRINTF(3, 4) SAP_WARN_UNUSED;

void sap__report_runs_free(sap__report_runs *runs);

#endif
