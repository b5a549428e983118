/* The graph as JSON text, for model files that carry their network. docs/model-file.md has its rules. */
#ifndef SAP_GRAPH_GRAPH_JSON_H
#define SAP_GRAPH_GRAPH_JSON_H

#include "graph/graph.h"

/* The text of a finished graph, without its loss; freed with free(). NULL without memory. */
char *sap__graph_to_json(const sap__graph *graph);

/* The finished graph of a text that is not trusted. `name`, the file's, is for error texts.
 * Errors: SAP_ERROR_FORMAT, SAP_ERROR_MEMORY; SAP_ERROR_MISMATCH where an op cannot take its inputs. */
sap_status sap__graph_from_json(const char *text, const char *name, sap__graph **graph, sap_error *err) SAP_WARN_UNUSED;

#endif
