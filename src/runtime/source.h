/* Where a model comes from: the file of its weights, and the network that they are of. */
#ifndef SAP_RUNTIME_SOURCE_H
#define SAP_RUNTIME_SOURCE_H

#include "graph/graph.h"
#include "sapwood/runtime.h"

/* Opens the file of weights: the path itself, or that of a run directory; fills info->file and info->iteration. */
sap_status sap__source_open(const char *path, const sap_model_options *options, sap_model_info *info,
                            sap_checkpoint **file, sap_error *err) SAP_WARN_UNUSED;

/* The network of an open file: its own, the one it names, or the one that lies beside it in a run. */
sap_status sap__source_graph(const sap_checkpoint *file, sap__graph **graph, sap_error *err) SAP_WARN_UNUSED;

#endif
