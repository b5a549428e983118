#include "report/compare.h"

#include <math.h>

const double sap__densities[SAP__DENSITY_COUNT] = {0.5, 0.3, 0.2, 0.1, 0.05, 0.03, 0.02, 0.01};

static double run_accuracy_at(const sap__metrics *metrics, double density) {
  double densities[SAP__ITERATIONS_MAX], accuracies[SAP__ITERATIONS_MAX];
  size_t count = 0;
  for (size_t t = 0; t < metrics->count; t++) {
    densities[count] = sap__metrics_value(metrics, t, SAP__DENSITY);
    accuracies[count] = sap__metrics_value(metrics, t, SAP__ACCURACY);
    count += isfinite(densities[count]) && isfinite(accuracies[count]);
  }
  return sap__at_density(densities, accuracies, count, density);
}

sap__stat sap__accuracy_at(const sap__series *series, double density) {
  sap__stat stat = sap__stat_empty();
  for (size_t r = 0; r < series->run_count; r++)
    sap__stat_add(&stat, run_accuracy_at(&series->runs[r]->metrics, density));
  return stat;
}
