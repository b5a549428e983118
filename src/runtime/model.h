/* A model in memory: graph, kept weights, program. */
#ifndef SAP_RUNTIME_MODEL_H
#define SAP_RUNTIME_MODEL_H

#include "runtime/program.h"
#include "sapwood/runtime.h"

struct sap_model {
  sap_model_info info;
  sap__graph *graph;
  sap__kept_weights *weights; /* one entry a parameter of the graph */
  sap__program *program;
};

/* Behind the name of a parameter stored in bytes: the name of its scales, one a row. */
#define SAP__SCALE_SUFFIX ".scale"

/* The dense weights in the layout of the graph's arenas; freed with sap__free. NULL without memory. */
float *sap__model_arena(const sap_model *model);

#endif
