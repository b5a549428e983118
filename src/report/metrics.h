/* metrics.jsonl as numbers. */
#ifndef SAP_REPORT_METRICS_H
#define SAP_REPORT_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "report/quantity.h"
#include "sapwood/status.h"

/* More iterations than any run has: what a broken line may not ask memory for. */
enum { SAP__ITERATIONS_MAX = 1001 };

typedef struct sap__layer_point {
  char *name;
  uint64_t total, kept;
  double density, pqi, gini; /* density NaN where total is 0 */
} sap__layer_point;

/* One iteration of a run. */
typedef struct sap__point {
  int present;                        /* its line was read */
  double values[SAP__QUANTITY_COUNT]; /* NaN: not in the line, or null */
  size_t layer_count;
  sap__layer_point *layers;
} sap__point;

/* points[t] is iteration t. */
typedef struct sap__metrics {
  size_t count; /* one past the last iteration with a line */
  sap__point *points;
  size_t skipped;                           /* lines that are no whole record */
  int iteration, epoch;                     /* of the last epoch line; -1, 0 without one */
  double epoch_values[SAP__QUANTITY_COUNT]; /* what it tells of its iteration; the others are not used */
  int stopped;                              /* the last iteration line says that the run ended there by itself */
} sap__metrics;

/* Reads lines of JSON. Of two lines for one iteration the later counts: a run that was killed and resumed may have
 * written it twice. SAP_ERROR_MEMORY; *metrics is to be freed in any case. */
sap_status sap__metrics_parse(const char *text, size_t size, sap__metrics *metrics, sap_error *err) SAP_WARN_UNUSED;

/* The value of a quantity in iteration t; NaN where it is not. */
double sap__metrics_value(const sap__metrics *metrics, size_t t, sap__quantity_id quantity);

void sap__metrics_free(sap__metrics *metrics);

#endif
