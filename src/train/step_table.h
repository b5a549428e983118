/* The optimizer's loops, one instance an instruction set. */
#ifndef SAP_TRAIN_STEP_TABLE_H
#define SAP_TRAIN_STEP_TABLE_H

#include "train/step.h"

typedef struct sap__step_table {
  double (*sum_squares)(const float *g, uint64_t n);
  void (*update)(const sap__step *step, float *w, const float *g, float *v, const uint64_t *mask, uint64_t n);
} sap__step_table;

#endif
