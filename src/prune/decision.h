/* What a decision remembers beyond its public part. */
#ifndef SAP_PRUNE_DECISION_H
#define SAP_PRUNE_DECISION_H

#include "sapwood/prune.h"

typedef struct sap__decision {
  sap_decision decision; /* first: the public pointer is the pointer to this */
  double *largest;       /* max |w| of each layer's kept weights: the guard looks there */
} sap__decision;

#endif
