/* A network as it is built: its nodes in running order, their shapes and their parameters. */
#ifndef SAPWOOD_NETWORK_H
#define SAPWOOD_NETWORK_H

#include <stddef.h>
#include <stdint.h>

#include "sapwood/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SAP_NETWORK_MAX_INPUTS = 2, SAP_NETWORK_MAX_RANK = 4 };

typedef struct sap_network sap_network;

/* One node. Strings live as long as the network. */
typedef struct sap_network_node {
  const char *name;                           /* prefix of its parameters' names */
  const char *op;                             /* "conv2d" */
  int input_count;                            /* 1 or 2 */
  const char *inputs[SAP_NETWORK_MAX_INPUTS]; /* names of the nodes it reads; "input" for the pictures */
  int rank;
  int64_t shape[SAP_NETWORK_MAX_RANK]; /* of its output, for one picture */
  uint64_t parameters;                 /* trained, with biases */
  uint64_t prunable;                   /* of these: the weights that a mask can prune */
  uint64_t multiplies;                 /* multiplications by weights, for one picture, forward */
} sap_network_node;

/* Builds the network `model` (a name from sap_model_name_at, or the path of a model in ONNX, "*.onnx") for pictures of
 * channels × height × width and so many classes; for a file all four may be 0: as it says. It holds no weights. Freed
 * with sap_network_free. Errors: SAP_ERROR_ARGUMENT for an unknown name or a number below 1, SAP_ERROR_MISMATCH naming
 * the node that cannot take such pictures, SAP_ERROR_MEMORY; for a file also those of opening it and
 * SAP_ERROR_UNSUPPORTED naming node and op. */
SAP_API sap_status sap_network_new(const char *model, int channels, int height, int width, int classes,
                                   sap_network **network, sap_error *err) SAP_WARN_UNUSED;
SAP_API void sap_network_free(sap_network *network);

/* The nodes in running order; the last is the loss. */
SAP_API size_t sap_network_count(const sap_network *network);
SAP_API const sap_network_node *sap_network_at(const sap_network *network, size_t i);

#ifdef __cplusplus
}
#endif
#endif
