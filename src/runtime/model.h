/* A model: the file, mapped and checked, its graph, where its kept weights are, and the program. */
#ifndef SAP_RUNTIME_MODEL_H
#define SAP_RUNTIME_MODEL_H

#include "runtime/program.h"
#include "sapwood/runtime.h"

struct sap_model {
  sap_model_info info;
  sap_checkpoint *file; /* NULL: the weights are copies */
  sap__graph *graph;
  sap__kept_weights *weights; /* one entry a parameter of the graph */
  sap__program *program;
};

/* Behind the name of a parameter stored in bytes: the name of its scales, one a row. */
#define SAP__SCALE_SUFFIX ".scale"

/* The dense weights in the layout of the graph's arenas; freed with sap__free. Errors: SAP_ERROR_MEMORY, SAP_ERROR_IO.
 */
sap_status sap__model_arena(const sap_model *model, float **arena, sap_error *err) SAP_WARN_UNUSED;

#endif
