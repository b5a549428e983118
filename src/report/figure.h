/* The figures of a section, as one table for the page and for what is drawn for papers. */
#ifndef SAP_REPORT_FIGURE_H
#define SAP_REPORT_FIGURE_H

#include <stddef.h>

#include "report/quantity.h"

typedef struct sap__figure {
  const char *name, *title;
  const char *text;   /* what it shows, a sentence */
  sap__quantity_id y; /* mean and standard deviation over the seeds */
  int by_density;     /* against density, falling, logarithmic; else against the iteration */
  int log;            /* y logarithmic */
  const char *label;  /* of the y axis */
  double scale;       /* from the quantity to what is shown */
  const char *unit;   /* "%", "points" or "" */
} sap__figure;

extern const sap__figure sap__figures[];
extern const size_t sap__figure_count;

#endif
