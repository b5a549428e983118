/* The residual block in which batch norm and ReLU come before each convolution: He et al. 2016, "Identity mappings in
 * deep residual networks". */
#ifndef SAP_GRAPH_PREACTIVATION_H
#define SAP_GRAPH_PREACTIVATION_H

#include "graph/zoo/build.h"

/* n1, relu1, conv1, n2, relu2, conv2 under `prefix`, plus what came in. Where channels or size change, that is a 1×1
 * convolution `shortcut` of the activated input. */
int sap__build_preactivation(sap__build *b, const char *prefix, int x, int64_t channels, int64_t stride);

#endif
