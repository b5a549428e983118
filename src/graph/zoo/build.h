/* A short way to write networks down: each call appends one node and returns its value.
 *
 * After the first error the calls do nothing and return 0; the error stays in the builder. So a network is a
 * sequence of calls without a check after each.
 */
#ifndef SAP_GRAPH_BUILD_H
#define SAP_GRAPH_BUILD_H

#include "graph/graph.h"

typedef struct sap__build {
  sap__graph *graph;
  sap_status status;
  sap_error *err;
} sap__build;

/* Nodes are named "prefix.name", or "name" where the prefix is empty. */

/* y = a + b */
int sap__build_add(sap__build *b, const char *prefix, const char *name, int x, int y);

/* A square convolution with padding of (kernel − 1) / 2 pixels: at stride 1 the picture keeps its size. */
int sap__build_conv(sap__build *b, const char *prefix, const char *name, int x, int64_t channels, int64_t kernel,
                    int64_t stride, int bias);

/* Momentum 0.1, eps 1e-5. */
int sap__build_batch_norm(sap__build *b, const char *prefix, const char *name, int x);

int sap__build_relu(sap__build *b, const char *prefix, const char *name, int x);
int sap__build_max_pool(sap__build *b, const char *prefix, const char *name, int x, int64_t kernel, int64_t stride,
                        int64_t pad);

int sap__build_global_avg_pool(sap__build *b, const char *prefix, const char *name, int x);
int sap__build_flatten(sap__build *b, const char *prefix, const char *name, int x);

/* With a bias. */
int sap__build_linear(sap__build *b, const char *name, int x, int64_t features);

/* A number as a name, as PyTorch's Sequential counts its members; returns `text`. */
const char *sap__build_number(char text[16], int number);

/* Channels of a value (C,H,W). */
int64_t sap__build_channels(const sap__build *b, int x);

#endif
