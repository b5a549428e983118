/* The networks known by name: one file a network, one line in the table of zoo.c. */
#ifndef SAP_GRAPH_ZOO_H
#define SAP_GRAPH_ZOO_H

#include "graph/graph.h"
#include "graph/zoo/build.h"

typedef struct sap__model {
  const char *name; /* "mlp" */
  const char *text; /* one line for help texts */
  /* Appends the network's nodes, from the input x to the logits, and returns the logits. */
  int (*build)(sap__build *b, int x);
} sap__model;

/* NULL if there is none of that name. */
const sap__model *sap__model_find(const char *name);

/* The named network for pictures of that shape, its loss included.
 * SAP_ERROR_ARGUMENT for an unknown name. */
sap_status sap__model_graph(const char *name, sap__shape input, int classes, sap__graph **graph, sap_error *err);

#endif
