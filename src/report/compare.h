/* Series at equal densities. */
#ifndef SAP_REPORT_COMPARE_H
#define SAP_REPORT_COMPARE_H

#include "report/series.h"

/* The densities at which series are compared, falling; SAP__DENSITY_COUNT of them. */
enum { SAP__DENSITY_COUNT = 8 };
extern const double sap__densities[SAP__DENSITY_COUNT];

/* Accuracy at a density: each run's, interpolated in the logarithm of the density, then mean and deviation over the
 * runs that get there. */
sap__stat sap__accuracy_at(const sap__series *series, double density);

#endif
