#include "report/statistics.h"

#include <math.h>

sap__stat sap__stat_empty(void) { return (sap__stat){.mean = NAN, .sd = NAN}; }

void sap__stat_add(sap__stat *stat, double value) {
  if (!isfinite(value)) return;
  if (!stat->n++) stat->mean = 0;
  const double distance = value - stat->mean;
  stat->mean += distance / stat->n;
  stat->squares += distance * (value - stat->mean);
  if (stat->n > 1) stat->sd = sqrt(stat->squares / (stat->n - 1));
}

double sap__correlation(const double *x, const double *y, size_t count) {
  size_t n = 0;
  double mean_x = 0, mean_y = 0, xx = 0, yy = 0, xy = 0;
  for (size_t i = 0; i < count; i++) {
    if (!isfinite(x[i]) || !isfinite(y[i])) continue;
    n++;
    mean_x += (x[i] - mean_x) / (double)n;
    mean_y += (y[i] - mean_y) / (double)n;
  }
  for (size_t i = 0; i < count; i++) {
    if (!isfinite(x[i]) || !isfinite(y[i])) continue;
    xx += (x[i] - mean_x) * (x[i] - mean_x);
    yy += (y[i] - mean_y) * (y[i] - mean_y);
    xy += (x[i] - mean_x) * (y[i] - mean_y);
  }
  return n >= 3 && xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : NAN;
}

double sap__at_density(const double *densities, const double *values, size_t count, double density) {
  for (size_t i = 0; i + 1 < count; i++) {
    const double high = densities[i], low = densities[i + 1];
    if (!(high >= density && density >= low && low > 0)) continue;
    const double part = high > low ? log(high / density) / log(high / low) : 0;
    return values[i] + part * (values[i + 1] - values[i]);
  }
  return NAN;
}
