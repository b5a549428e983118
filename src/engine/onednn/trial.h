/* Choosing oneDNN's implementation of a convolution's pass: each is tried on the real shape. */
#ifndef SAP_ENGINE_ONEDNN_TRIAL_H
#define SAP_ENGINE_ONEDNN_TRIAL_H

#include "engine/choices.h"
#include "engine/onednn/primitive.h"

/* Which implementation: the arguments of sap__primitive_conv. */
typedef struct sap__conv_choice {
  sap__conv_kind kind;
  int nth;
} sap__conv_choice;

/* The fastest implementation of a pass whose results are those of the first direct one, within the tolerance of the
 * engines' tests. With choices it is tried at most once, and remembered; without, it is the first direct one, untried.
 * SAP_ERROR_UNSUPPORTED: oneDNN has none. */
sap_status sap__trial_choose(const sap__conv_problem *problem, sap__conv_pass pass, sap__choices *choices,
                             sap__conv_choice *choice, sap_error *err);

/* "direct", "winograd" or "product". */
const char *sap__conv_kind_name(sap__conv_kind kind);

#endif
