/* Means, deviations and correlations of short lists; what is not finite does not count. */
#ifndef SAP_REPORT_STATISTICS_H
#define SAP_REPORT_STATISTICS_H

#include <stddef.h>

typedef struct sap__stat {
  int n;           /* values that counted */
  double mean, sd; /* mean NaN without a value; the sample standard deviation (n − 1) NaN below two */
  double squares;  /* Σ(value − mean)² */
} sap__stat;

sap__stat sap__stat_empty(void);

/* Welford's update, which does not lose digits to a large mean. */
void sap__stat_add(sap__stat *stat, double value);

/* Pearson's correlation of the pairs of which both are finite; NaN below three pairs or without variation. */
double sap__correlation(const double *x, const double *y, size_t count);

/* The value at `density` of a curve given by points (density[i], value[i]), densities falling: interpolated linearly
 * in the logarithm of the density where the curve first passes it; NaN where it does not. */
double sap__at_density(const double *densities, const double *values, size_t count, double density);

#endif
