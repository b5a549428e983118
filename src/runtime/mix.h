/* Which way computes which layer: neighbours in different ways pay for the change of layout between them. */
#ifndef SAP_RUNTIME_MIX_H
#define SAP_RUNTIME_MIX_H

#include "runtime/session.h"

/* Seconds of what was not measured: never chosen. */
#define SAP__NOT_MEASURED 1e30

enum { SAP__STRETCHES_MAX = 64 };

/* The ways of all layers with the least sum of their costs (SAP_WAY_MIXED ways, layers; seconds of a batch) and of the
 * changes between them, whose speed is measured here. SAP_ERROR_MEMORY. */
sap_status sap__mix(const sap__program *program, int batch, const double *const *costs,
                    sap__stretch stretches[SAP__STRETCHES_MAX], int *count, sap_error *err) SAP_WARN_UNUSED;

#endif
