/* What run directories show: statistics over seeds, tables, figures, and a page that holds them all.
 *
 * Runs of one data set and model are a section of the report. Within it, runs that differ in nothing but seed and
 * threads are one series; its name is the method and the settings in which the section's series differ. Statistics
 * are over a series' runs, iteration by iteration: mean and sample standard deviation (n − 1) of those that have
 * finished it. A run that is still going, or was stopped, counts as far as it got.
 *
 *   sap_report *report;
 *   if (sap_report_open(&path, 1, &report, &err)) …
 *   if (sap_report_write_page(report, "report.html", &err)) …
 *   sap_report_close(report);
 */
#ifndef SAPWOOD_REPORT_H
#define SAPWOOD_REPORT_H

#include <stddef.h>

#include "sapwood/phase.h"
#include "sapwood/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sap_report sap_report;

/* Reads runs. A path is a run directory, or a folder with run directories in it (at most four levels down, in the
 * order of their names). Lines of metrics.jsonl that are not whole are left out and counted.
 * In a folder, a run that cannot be read is left out, with a note; named itself, it is an error.
 * Cost: one read of each config.json and metrics.jsonl. Errors: SAP_ERROR_NOT_FOUND (neither run nor folder of runs,
 * or no run has finished an iteration), SAP_ERROR_FORMAT, SAP_ERROR_IO, SAP_ERROR_MEMORY. */
SAP_API sap_status sap_report_open(const char *const *paths, size_t count, sap_report **report,
                                   sap_error *err) SAP_WARN_UNUSED;

SAP_API void sap_report_close(sap_report *report);

/* What was left out or is missing, and why: the i-th line of text; NULL past the last. Valid until the close. */
SAP_API const char *sap_report_note_at(const sap_report *report, size_t i);

/* Where a series' accuracy, on average over the runs that got there, is still within so many points (percent) of the
 * one they had with all weights. */
typedef struct sap_report_limit {
  double points;
  int iteration;                         /* of the smallest density within it; -1: none is below 1 */
  double density, accuracy, accuracy_sd; /* means and standard deviation there; NaN without one */
} sap_report_limit;

enum { SAP_REPORT_LIMITS = 2 }; /* 0.5 and 1 point */

/* Densities are in [0, 1], accuracies too; a standard deviation of a single run is NaN. */
typedef struct sap_report_series {
  size_t section; /* from 0 */
  const char *data, *model, *name;
  size_t runs, finished;                    /* runs in it; those that went through all their iterations */
  int iterations;                           /* iterations of the longest run, the dense one included */
  double dense_accuracy, dense_accuracy_sd; /* of iteration 0, all weights kept */
  sap_report_limit limits[SAP_REPORT_LIMITS];
  /* Of the mean PQ Index of the retrained models at the method's scope, by sap_phases_find with the runs' --stop-after;
   * and what the recommended iteration has. recommended is -1 where the first iterations have no index. */
  sap_phases phases;
  double recommended_density, recommended_accuracy, recommended_accuracy_sd;
  /* The least and the most that one run alone would recommend, of those that are finished or passed the limit; −1
   * without any. */
  int recommended_low, recommended_high;
} sap_report_series;

SAP_API size_t sap_report_section_count(const sap_report *report);

/* "mlp-fashion-mnist": a name for a section's files, of letters, digits, '-', '_' and '.', unlike the others'. NULL
 * past the last. */
SAP_API const char *sap_report_section_name(const sap_report *report, size_t section);

/* The i-th series, in the order of sections; NULL past the last. Valid until the close. */
SAP_API const sap_report_series *sap_report_series_at(const sap_report *report, size_t i);

/* What the curves of a section say, in sentences calculated from them. NULL past the last section. */
SAP_API const char *sap_report_words(const sap_report *report, size_t section);

/* Writes the page: one HTML file with everything in it, which loads nothing from elsewhere. Its charts need a build
 * with Chart.js (sap_report_has_charts); without it the page has the words and the tables.
 * Errors: SAP_ERROR_IO, SAP_ERROR_MEMORY. */
SAP_API sap_status sap_report_write_page(const sap_report *report, const char *path, sap_error *err) SAP_WARN_UNUSED;

SAP_API int sap_report_has_charts(void);

/* The tables by name and meaning: "iterations", "series", "layers", "summary", "densities", "phases"; NULL past the
 * last. */
SAP_API const char *sap_report_table_name_at(size_t i);
SAP_API const char *sap_report_table_text_at(size_t i);

/* Writes the i-th table as CSV (RFC 4180, with a head, numbers with nine digits, empty where there is none).
 * Errors: SAP_ERROR_ARGUMENT (no such table), SAP_ERROR_IO, SAP_ERROR_MEMORY. */
SAP_API sap_status sap_report_write_table(const sap_report *report, size_t i, const char *path,
                                          sap_error *err) SAP_WARN_UNUSED;

/* The figures of a section by name and meaning: "tradeoff", "accuracy", … "layers-pqi"; NULL past the last. */
SAP_API const char *sap_report_figure_name_at(size_t i);
SAP_API const char *sap_report_figure_text_at(size_t i);

typedef enum sap_figure_format { SAP_FIGURE_SVG, SAP_FIGURE_PNG, SAP_FIGURE_FORMATS } sap_figure_format;

/* "svg", "png". */
SAP_API const char *sap_figure_format_name(sap_figure_format format);

/* Draws the i-th figure of a section for print, mean and standard deviation of each series. The program gnuplot (5,
 * with cairo for PNG) is started to draw it and waited for.
 * Errors: SAP_ERROR_ARGUMENT, SAP_ERROR_UNSUPPORTED (gnuplot is not installed), SAP_ERROR_IO, SAP_ERROR_MEMORY. */
SAP_API sap_status sap_report_write_figure(const sap_report *report, size_t section, size_t i, sap_figure_format format,
                                           const char *path, sap_error *err) SAP_WARN_UNUSED;

#ifdef __cplusplus
}
#endif
#endif
