/* Convolutions whose weights never change, as inference has them: packed once, with bias, ReLU and the addition to what
 * y holds made part of them. A layer of features is one whose kernel covers its input. */
#ifndef SAP_ENGINE_FIXED_CONV_H
#define SAP_ENGINE_FIXED_CONV_H

#include "engine/choices.h"
#include "engine/format.h"

typedef struct sap__fixed_problem {
  sap__conv2d conv;
  sap__format x, y; /* floats */
  int64_t count;    /* pictures */
  int relu;         /* y is clamped at 0 */
  int adds;         /* y += instead of y = */
} sap__fixed_problem;

typedef struct sap__fixed_conv sap__fixed_conv;

/* What an engine that has them does; one conv serves one thread at a time. */
typedef struct sap__fixed_convs {
  /* weights (O, I/groups, kernel) and bias (O) are copied. like: another conv of the same problem, which outlives this
   * one and shares its packed weights; NULL: none. With choices the fastest implementation is tried and remembered.
   * SAP_ERROR_UNSUPPORTED: the library cannot. */
  sap_status (*make)(const sap__fixed_problem *problem, const float *weights, const float *bias,
                     const sap__fixed_conv *like, sap__choices *choices, sap__fixed_conv **conv, sap_error *err);
  void (*free)(sap__fixed_conv *conv);
  /* Allocates nothing; on the calling thread. */
  void (*run)(const sap__fixed_conv *conv, const float *x, float *y);
  /* What the library calls the implementation; lives as long as the conv. */
  const char *(*name)(const sap__fixed_conv *conv);
  /* Packed weights. */
  size_t (*bytes)(const sap__fixed_conv *conv);
} sap__fixed_convs;

#endif
