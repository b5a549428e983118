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

/* A node named "prefix.name", or "name" where the prefix is empty. */
int sap__build_op(sap__build *b, sap__op op, const char *prefix, const char *name, sap__attributes attributes, int x);

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

/* Global average pool and flatten, under their own names. */
int sap__build_pool_flatten(sap__build *b, const char *prefix, const char *pool, const char *flatten, int x);

/* With a bias. */
int sap__build_linear(sap__build *b, const char *name, int x, int64_t features);

/* Channels of a value (C,H,W). */
int64_t sap__build_channels(const sap__build *b, int x);

#endif
