/* What `measure` finds out about one file, and how it is shown. */
#ifndef CLI_MEASURE_H
#define CLI_MEASURE_H

#include "tensors.h"

typedef enum sort_by { SORT_NOT, SORT_PQI, SORT_NAME, SORT_SIZE } sort_by;

typedef struct measure_options {
  sap_prune_options prune; /* scope, p, q, eta, gamma, beta */
  const char *mask;        /* "zeros" or a file; NULL: none */
  int gini, histogram, skip_nonfinite, json, quiet;
  sort_by sort;
} measure_options;

/* One tensor. */
typedef struct measured {
  sap_norms norms;
  uint64_t nonfinite; /* left out */
  double gini;
  double *neurons;  /* PQ Index of each row; NULL in other scopes */
  uint64_t c;       /* weights that pruning in the scope would take */
  size_t sample_at; /* of the advice */
  size_t sample_count;
} measured;

typedef struct measure_report {
  const char *path;
  tensors chosen;
  measured *items; /* one a chosen tensor */
  size_t *order;   /* in which they are shown */
  sap_norms all;
  double gini;
  /* the advice: what pruning at the retain bound in the scope would take */
  uint64_t c;
  size_t most; /* the tensor that would lose the largest share */
  int exact;   /* 0: each tensor's share was estimated from a sample */
} measure_report;

/* min(gamma · (1 − r/d), beta), not below 0. */
double prune_ratio_of(const sap_norms *norms, const sap_prune_options *options);

/* ---- advice.c ---- */

/* A sample of the weights of a file too large to be read three times; data NULL: none is needed. */
typedef struct sample {
  float *magnitudes; /* of all tensors, one after the other */
  size_t count, room;
} sample;

/* EXIT_FAILED without memory. */
int sample_start(const char *title, const measure_report *report, const measure_options *options, sample *s);

/* Takes those of tensor i, which is not in memory yet. */
void sample_take(sample *s, measure_report *report, size_t i);

/* Fills c, most and exact, and c of each item. */
int advice_find(const char *title, measure_report *report, const measure_options *options, sample *s);

/* ---- measure_show.c ---- */

int measure_print(const char *title, const measure_report *report, const measure_options *options);
json_t *measure_json(const measure_report *report, const measure_options *options);

#endif
