/* How a training step of a network is computed on this machine: layouts, implementations, memory. */
#ifndef SAPWOOD_COMPUTE_H
#define SAPWOOD_COMPUTE_H

#include <stddef.h>
#include <stdint.h>

#include "sapwood/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SAP_COMPUTE_PASSES = 3, SAP_COMPUTE_TEXT = 64 };

typedef struct sap_compute sap_compute;

/* One node. Texts live as long as the sap_compute. */
typedef struct sap_compute_node {
  const char *name, *op;
  const char *runs;    /* "", or why it does not: "view", "fused" (into the batch norm before it) */
  const char *layout;  /* of its output: "blocks of 16", "channels-last", "rows" */
  const char *element; /* "f32", "bf16", "f64" */
  int reorders;        /* 1: it copies its input into another layout */
  uint64_t bytes;      /* of its output, for the whole batch; 0 where it shares memory with its input */
  /* Implementations of the forward pass, the gradient of the input and that of the weights, where there are several:
   * "winograd jit_wino_4x3:avx512_core"; else "". */
  char ways[SAP_COMPUTE_PASSES][SAP_COMPUTE_TEXT];
} sap_compute_node;

/* Of the whole plan. Bytes of activations and their gradients: with memory shared by lifetime, and what they would take
 * without. */
typedef struct sap_compute_sum {
  int slices;   /* parts of the batch, each for one thread */
  int reorders; /* nodes that copy their input into another layout */
  uint64_t bytes, unshared_bytes;
  uint64_t scratch_bytes; /* working memory of all threads */
} sap_compute_sum;

/* Plans a training step of `model` (as sap_network_new) for batches of `batch` pictures, on the engine that `engine`
 * names (NULL: the first of this build), with precision a sap_precision (experiment.h). Implementations not known yet
 * are tried, which takes seconds. Errors: as sap_network_new; SAP_ERROR_ARGUMENT for a batch below 1,
 * SAP_ERROR_UNSUPPORTED. */
SAP_API sap_status sap_compute_new(const char *model, int channels, int height, int width, int classes, int batch,
                                   const char *engine, int precision, sap_compute **compute,
                                   sap_error *err) SAP_WARN_UNUSED;
SAP_API void sap_compute_free(sap_compute *compute);

/* The nodes in running order, and the whole. */
SAP_API size_t sap_compute_count(const sap_compute *compute);
SAP_API const sap_compute_node *sap_compute_at(const sap_compute *compute, size_t i);
SAP_API sap_compute_sum sap_compute_sums(const sap_compute *compute);

#ifdef __cplusplus
}
#endif
#endif
