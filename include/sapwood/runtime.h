/* Running pruned networks: a weight that was pruned costs no memory and no time.
 *
 * Load, plan, run. A model is a network and its kept weights, checked where they lie in a file or a run directory. A
 * session is the model made ready for this machine: weights packed for the processor's vectors, all memory taken, for
 * every layer the fastest way found by measuring. A run then allocates nothing.
 *
 *   sap_model_open(path, NULL, &model, &err);
 *   sap_session_new(model, NULL, &session, &err);
 *   sap_session_run(session, pictures, count, logits, &err);
 *
 * A model is read only and may serve any number of sessions and threads; a session serves one call at a time.
 */
#ifndef SAPWOOD_RUNTIME_H
#define SAPWOOD_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

#include "sapwood/checkpoint.h"
#include "sapwood/dataset.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- load ---- */

typedef struct sap_model sap_model;

typedef struct sap_model_options {
  int iteration; /* of a run directory; −1: the last finished one */
} sap_model_options;

SAP_API sap_model_options sap_model_options_default(void);

/* Opens a run directory, or a file that names its network: the weights of a run, what `sapwood export` writes, or a
 * model in ONNX.
 * Pruned weights (masks in the file; without them, zeros) are left out. options NULL: the defaults. Files are not
 * trusted. Errors: as opening a checkpoint; SAP_ERROR_MISMATCH for a missing tensor, a wrong shape or type;
 * SAP_ERROR_UNSUPPORTED for a network with something that the runtime lacks.
 * A sparse file stays mapped until the model is closed, and its values are read when sessions are made: replace files,
 * never rewrite them. Another process that shortens one makes these reads fail with a signal; one that changes it makes
 * sap_session_new fail with SAP_ERROR_IO or find other weights, never read elsewhere. Cost: the header and the
 * positions of the kept weights, not their values; of dense prunable weights, one read. */
SAP_API sap_status sap_model_open(const char *path, const sap_model_options *options, sap_model **model,
                                  sap_error *err) SAP_WARN_UNUSED;

/* NULL is fine. Sessions of the model must be gone. */
SAP_API void sap_model_close(sap_model *model);

typedef struct sap_model_info {
  char name[1024];             /* "resnet18"; a path for a network in ONNX */
  char file[1024];             /* where the weights came from */
  int iteration;               /* of a run directory; −1 for a file */
  int channels, height, width; /* of a picture */
  int outputs;                 /* logits a picture */
  uint64_t total, kept;        /* prunable weights */
  uint64_t products;           /* multiply-adds a picture, with dense weights */
  uint64_t useful;             /* of these, with kept weights */
} sap_model_info;

SAP_API void sap_model_describe(const sap_model *model, sap_model_info *info);

/* Writes the model to `path`, which ends in ".safetensors" (with its network, so that sap_model_open reads it again;
 * docs/model-file.md), ".onnx" (the network with dense weights, whatever the encoding), or as another format that
 * sap_checkpoint_convert knows (weights alone). Errors: as there. */
SAP_API sap_status sap_model_write(const sap_model *model, const char *path, sap_encoding encoding,
                                   sap_error *err) SAP_WARN_UNUSED;

/* Writes a sparse ".safetensors" file whose prunable weights are bytes: w = q · scale, q in −127 … 127, scale = max |w|
 * / 127 of each output row (docs/model-file.md). Opened again, the weights are those rounded ones. */
SAP_API sap_status sap_model_write_bytes(const sap_model *model, const char *path, sap_error *err) SAP_WARN_UNUSED;

/* ---- plan ---- */

typedef struct sap_session sap_session;

/* How a session computes: X(constant, name, text). */
#define SAP_WAY_LIST(X)                                                                                 \
  X(SAP_WAY_PICTURE, "picture", "sparse, vectors along the picture: one picture at a time")             \
  X(SAP_WAY_LANES, "lanes", "sparse, vectors across pictures: as many at a time as a vector has lanes") \
  X(SAP_WAY_DENSE, "dense", "dense: oneDNN's convolutions and products, pruned weights and all")        \
  X(SAP_WAY_MIXED, "mixed", "each layer in the way of these that makes the whole fastest")              \
  X(SAP_WAY_AUTO, "auto", "the fastest of them")

typedef enum sap_way {
#define SAP_WAY_ENUM(constant, name, text) constant,
  SAP_WAY_LIST(SAP_WAY_ENUM)
#undef SAP_WAY_ENUM
      SAP_WAY_COUNT
} sap_way;

/* "picture" …, and what it means; NULL past the last. Static storage. */
SAP_API const char *sap_way_name(size_t way);
SAP_API const char *sap_way_text(size_t way);

typedef struct sap_session_options {
  int batch;   /* pictures that runs will usually have; ≥ 1. A run may have any number */
  int threads; /* 0: one a core */
  sap_way way;
  int measure; /* 1: ways and tiles are tried on this machine; 0: a fixed rule chooses */
} sap_session_options;

/* batch 1, threads 0, SAP_WAY_AUTO, measure 1. */
SAP_API sap_session_options sap_session_options_default(void);

/* Plans. The model must outlive the session. options NULL: the defaults. Errors: SAP_ERROR_ARGUMENT, SAP_ERROR_MEMORY,
 * SAP_ERROR_IO (the model's file has changed),
 * SAP_ERROR_UNSUPPORTED (SAP_WAY_DENSE in a build without oneDNN, or for a convolution that it lacks). */
SAP_API sap_status sap_session_new(const sap_model *model, const sap_session_options *options, sap_session **session,
                                   sap_error *err) SAP_WARN_UNUSED;
SAP_API void sap_session_free(sap_session *session);

/* ---- run ---- */

/* x (count, channels, height, width), normalised as in training; y (count, outputs) receives the logits. In the ways
 * picture and lanes, any number of threads gives the same bits; dense, rounding may differ. NaN and infinity pass
 * through. Allocates nothing.
 * Errors: SAP_ERROR_ARGUMENT for a count below 1. */
SAP_API sap_status sap_session_run(sap_session *session, const float *x, size_t count, float *y,
                                   sap_error *err) SAP_WARN_UNUSED;

/* Mean cross entropy (nats) and accuracy [0, 1] on the test pictures of a set, normalised as the set says; in batches
 * of the session's size. NaN both without pictures. SAP_ERROR_MISMATCH: another shape, or more classes than logits. */
SAP_API sap_status sap_session_evaluate(sap_session *session, const sap_dataset *set, double *loss, double *accuracy,
                                        sap_error *err) SAP_WARN_UNUSED;

/* Logits to probabilities, each row of y (count, outputs) by itself: exp(y − max) / Σ. */
SAP_API void sap_softmax(float *y, size_t count, size_t outputs);

/* ---- what was chosen, and how fast it is ---- */

typedef struct sap_session_info {
  sap_way way; /* SAP_WAY_MIXED: not the same for all layers */
  int threads;
  int lanes;             /* floats of a vector */
  uint64_t weight_bytes; /* packed weights */
  uint64_t memory_bytes; /* activations */
} sap_session_info;

SAP_API void sap_session_describe(const sap_session *session, sap_session_info *info);

/* One layer: nodes that are computed together. */
typedef struct sap_layer_timing {
  const char *name;     /* of its first node; lives as long as the model */
  const char *kind;     /* "convolution" … */
  uint64_t total, kept; /* weights; 0 for layers without */
  uint64_t products;    /* useful multiply-adds a picture */
  sap_way way;          /* in which the session computes it */
  char kernel[48];      /* "2x8", rows and vectors of a tile; "gather"; of a dense layer what the library calls its
                         * implementation; "" where there is nothing to choose */
  double seconds;       /* for one batch on one thread, the least of the rounds */
} sap_layer_timing;

/* Times every layer of a session, `rounds` times, on the pictures given (count ≥ 1). timings NULL: only *layers, the
 * number of layers, is set. SAP_ERROR_MEMORY. */
SAP_API sap_status sap_session_time(sap_session *session, const float *x, size_t count, int rounds,
                                    sap_layer_timing *timings, size_t *layers, sap_error *err) SAP_WARN_UNUSED;

#ifdef __cplusplus
}
#endif
#endif
