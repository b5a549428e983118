/* The whole network by the training engine, pruned weights and all: what sparse must beat, and runs where it does not.
 */
#ifndef SAP_RUNTIME_DENSE_H
#define SAP_RUNTIME_DENSE_H

#include "runtime/model.h"

typedef struct sap__dense sap__dense;

/* For runs of up to `batch` pictures at a time. SAP_ERROR_UNSUPPORTED where the build's first engine lacks an op or is
 * the reference, which is not for speed. */
sap_status sap__dense_new(const sap_model *model, int batch, sap__dense **dense, sap_error *err) SAP_WARN_UNUSED;
void sap__dense_free(sap__dense *dense);

/* x (count, …), y (count, outputs). */
void sap__dense_run(sap__dense *dense, const float *x, size_t count, float *y);

#endif
