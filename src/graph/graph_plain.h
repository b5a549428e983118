/* A graph's JSON in the plain form in which sap__graph_to_json() writes it: no white space, no escapes, the keys in
 * their order. About a third of the time that any other form takes. */
#ifndef SAP_GRAPH_GRAPH_PLAIN_H
#define SAP_GRAPH_GRAPH_PLAIN_H

#include "graph/graph.h"

/* Reads a text of `size` bytes with SAP__JSON_PADDING NULs behind it. *done: 0 if it is not of that form or not right,
 * which takes another look to say. The only error is SAP_ERROR_MEMORY. */
sap_status sap__graph_from_plain(const char *text, size_t size, sap__graph **graph, int *done,
                                 sap_error *err) SAP_WARN_UNUSED;

#endif
