/* Windows that move over a picture: what convolution and pooling share. */
#ifndef SAP_GRAPH_WINDOW_H
#define SAP_GRAPH_WINDOW_H

#include "graph/graph.h"

/* One axis of a window. */
typedef struct sap__window {
  int64_t kernel, stride, dilation;
  int64_t before, after; /* padding */
  int ceil;              /* 1: a last window that is only partly inside counts */
} sap__window;

/* How many windows lie on an axis of `length` pixels; *out receives it. SAP_ERROR_MISMATCH: a number out of its
 * range, or a window larger than the padded axis. `op` goes into the text. */
sap_status sap__window_count(const char *op, const sap__window *window, int64_t length, int64_t *out, sap_error *err);

/* The output of a pool: (C,H,W) → (C, windows, windows). */
sap_status sap__pool_infer(const char *op, const sap__pool *pool, const sap__shape *input, sap__shape *output,
                           sap_error *err);

#endif
