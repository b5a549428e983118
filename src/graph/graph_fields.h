/* The attributes of the ops in a graph's JSON, in the order in which they are written. */
#ifndef SAP_GRAPH_GRAPH_FIELDS_H
#define SAP_GRAPH_GRAPH_FIELDS_H

#include "graph/graph.h"

/* Larger graphs and numbers are refused, so that no product of a few of them overflows. */
enum { SAP__GRAPH_NODES_MAX = 4096, SAP__GRAPH_SIDE_MAX = 65535, SAP__GRAPH_FIELDS = 22 };

/* An attribute of an op: whole numbers (one, or a list of several) or one real number. */
typedef struct sap__graph_field {
  sap__op op;
  const char *key;
  size_t offset; /* in sap__attributes */
  int count;     /* whole numbers */
  int64_t least, most;
  enum { SAP__GRAPH_LONG, SAP__GRAPH_INT, SAP__GRAPH_REAL } type;
} sap__graph_field;

extern const sap__graph_field sap__graph_fields[SAP__GRAPH_FIELDS];

/* The bytes of an op's name as an op, but for the loss. */
int sap__graph_find_op(const char *name, size_t length, sap__op *op);

#endif
