/* The figures of a section, as one table for the page and for what is drawn for papers. */
#ifndef SAP_REPORT_FIGURE_H
#define SAP_REPORT_FIGURE_H

#include <stddef.h>

#include "report/quantity.h"
#include "sapwood/phase.h"

typedef struct sap__figure {
  const char *name, *title;
  const char *text;   /* what it shows, a sentence */
  sap__quantity_id y; /* mean and standard deviation over the seeds */
  int by_density;     /* against density, falling, logarithmic; else against the iteration */
  int log;            /* y logarithmic */
  double top;         /* above 0: only so much of y, in what is shown, below the best mean */
  const char *label;  /* of the y axis */
  double scale;       /* from the quantity to what is shown */
  const char *unit;   /* "%", "points" or "" */
} sap__figure;

/* Colours of series by their place in the section, on light and on dark ground: near those of Okabe and Ito, moved
 * until any two lie apart for every kind of colour blindness (a test simulates them). From the ninth series on they
 * come again. */
enum { SAP__COLOUR_COUNT = 8 };
extern const char *const sap__colours_light[SAP__COLOUR_COUNT], *const sap__colours_dark[SAP__COLOUR_COUNT];

/* The colours of the phases. */
extern const char *const sap__phase_colours[SAP_PHASE_COUNT];

/* The colours of a heat map, from low to high: viridis, which gets lighter all the way. */
enum { SAP__HEAT_COUNT = 8 };
extern const char *const sap__heat_colours[SAP__HEAT_COUNT];

extern const sap__figure sap__figures[];
extern const size_t sap__figure_count;

#endif
