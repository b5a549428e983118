/* The networks the library can build by name, and evaluating saved weights of them. */
#ifndef SAPWOOD_MODEL_H
#define SAPWOOD_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "sapwood/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Names of the known networks with a one-line description, for help texts; NULL past the last. */
SAP_API const char *sap_model_name_at(size_t i);
SAP_API const char *sap_model_text_at(size_t i);

/* 1 if a model of that name is a file, a network in ONNX: it ends in ".onnx". */
SAP_API int sap_model_is_file(const char *model);

/* Names of the engines of this build in order of preference; NULL past the last. */
SAP_API const char *sap_engine_name_at(size_t i);

typedef struct sap_evaluate_options {
  const char *data;   /* "NAME[:PATH]"; NULL: the run's own */
  const char *model;  /* NULL: as the file or the run says */
  const char *engine; /* NULL: "auto" */
  int iteration;      /* of a run directory; -1: the last finished one */
  int threads;        /* 0: one a core */
} sap_evaluate_options;

SAP_API sap_evaluate_options sap_evaluate_options_default(void);

typedef struct sap_evaluation {
  char model[1024];
  char file[1024];      /* the weights that were read */
  int iteration;        /* -1 for a file */
  uint32_t count;       /* test pictures */
  double accuracy;      /* [0, 1] */
  double loss;          /* nats a picture */
  uint64_t total, kept; /* prunable weights */
  double density;
} sap_evaluation;

/* Accuracy and loss on the test set of a run directory, of a network in ONNX (".onnx"), or of a safetensors file whose
 * tensors are named as in the network's PyTorch state dict. Masks in the file ("NAME.mask", BOOL) are applied; without
 * them, kept counts the nonzero weights.
 * Errors: as opening the file and the data; SAP_ERROR_MISMATCH for a missing tensor or a wrong shape. */
SAP_API sap_status sap_evaluate(const char *path, const sap_evaluate_options *options, sap_evaluation *evaluation,
                                sap_error *err) SAP_WARN_UNUSED;

#ifdef __cplusplus
}
#endif
#endif
