/* The experiment: train, measure, prune, rewind, and again; written to a run directory.
 *
 * Diao et al., ICLR 2023 (arXiv 2302.05601), section 4: iteration t = 0 … T trains the network for E
 * epochs, measures it and, except in the last, prunes it and restarts from the initial weights under
 * the new mask. A run directory holds everything: docs/run-directory.md describes its files.
 */
#ifndef SAPWOOD_EXPERIMENT_H
#define SAPWOOD_EXPERIMENT_H

#include <stddef.h>
#include <stdint.h>

#include "sapwood/prune.h"
#include "sapwood/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where an iteration restarts: SAP_REWIND_NONE trains on from the pruned weights, SAP_REWIND_INIT (0)
 * takes the initial weights, K > 0 those after epoch K of iteration 0. Biases rewind too. */
enum { SAP_REWIND_NONE = -1, SAP_REWIND_INIT = 0 };

/* Which weights of an iteration are kept, measured and pruned: X(constant, name). */
#define SAP_PICK_LIST(X)             \
  X(SAP_PICK_LAST, "last")           \
  X(SAP_PICK_BEST_TEST, "best-test") \
  X(SAP_PICK_BEST_VALIDATION, "best-validation")
typedef enum sap_pick {
#define SAP_PICK_ENUM(constant, name) constant,
  SAP_PICK_LIST(SAP_PICK_ENUM)
#undef SAP_PICK_ENUM
      SAP_PICK_COUNT
} sap_pick;

/* What happens to training pictures in each epoch: X(constant, name). auto: crop-flip for three channels. */
#define SAP_AUGMENT_LIST(X)   \
  X(SAP_AUGMENT_AUTO, "auto") \
  X(SAP_AUGMENT_NONE, "none") \
  X(SAP_AUGMENT_CROP_FLIP, "crop-flip")
typedef enum sap_augment {
#define SAP_AUGMENT_ENUM(constant, name) constant,
  SAP_AUGMENT_LIST(SAP_AUGMENT_ENUM)
#undef SAP_AUGMENT_ENUM
      SAP_AUGMENT_COUNT
} sap_augment;

/* Numbers of activations, and of the copies of weights that meet them, while training: X(constant, name). Weights, sums
 * and updates are floats. */
#define SAP_PRECISION_LIST(X)   \
  X(SAP_PRECISION_FP32, "fp32") \
  X(SAP_PRECISION_BF16, "bf16")
typedef enum sap_precision {
#define SAP_PRECISION_ENUM(constant, name) constant,
  SAP_PRECISION_LIST(SAP_PRECISION_ENUM)
#undef SAP_PRECISION_ENUM
      SAP_PRECISION_COUNT
} sap_precision;

/* When a run ends before its last iteration: X(constant, name). With auto it ends after the iteration in which
 * sap_phases_find (phase.h), confirm = stop_after, is certain that the limit of compressibility is passed. */
#define SAP_STOP_LIST(X)     \
  X(SAP_STOP_NEVER, "never") \
  X(SAP_STOP_AUTO, "auto")
typedef enum sap_stop {
#define SAP_STOP_ENUM(constant, name) constant,
  SAP_STOP_LIST(SAP_STOP_ENUM)
#undef SAP_STOP_ENUM
      SAP_STOP_COUNT
} sap_stop;

/* Where the first weights of a network that is a file come from: X(constant, name). Others are always drawn. */
#define SAP_START_LIST(X)   \
  X(SAP_START_FILE, "file") \
  X(SAP_START_FRESH, "fresh")
typedef enum sap_start {
#define SAP_START_ENUM(constant, name) constant,
  SAP_START_LIST(SAP_START_ENUM)
#undef SAP_START_ENUM
      SAP_START_COUNT
} sap_start;

#define SAP_TEXT_SIZE 1024

/* Every setting of a run. Fill with sap_experiment_default, change, check. */
typedef struct sap_experiment {
  char data[SAP_TEXT_SIZE];  /* data set, "NAME" or "NAME:PATH" */
  char model[SAP_TEXT_SIZE]; /* a name from sap_model_name_at, or the path of a network in ONNX, "*.onnx" */
  int start;                 /* a sap_start */
  sap_prune_options prune;   /* method, scope, p, q, eta, gamma, beta, ratio */
  int iterations;            /* T >= 0: prunes T times, trains T + 1 times */
  int epochs;                /* E >= 1, per iteration */
  int batch;                 /* pictures a step, >= 1 */
  double lr;                 /* the first epoch's rate; cosine annealing to 0 over the E epochs */
  double momentum;           /* Nesterov, [0, 1) */
  double weight_decay;       /* on every parameter */
  double clip;               /* global gradient norm, before masking; 0: no clipping */
  int rewind;                /* SAP_REWIND_NONE, SAP_REWIND_INIT or an epoch of iteration 0 */
  int select;                /* a sap_pick */
  int validation;            /* training pictures held out for validation */
  int image_size;            /* as in sap_dataset_options; 0: the set's own */
  int augment;               /* a sap_augment */
  int loader_threads;        /* that augment pictures in the background; 0: the computing ones do it */
  int stop;                  /* a sap_stop */
  int stop_after;            /* iterations beyond the limit that make it certain, >= 1 */
  uint64_t seed;
  int threads;     /* 0: one a core */
  int precision;   /* a sap_precision; evaluation is in fp32 */
  char engine[32]; /* "auto", "onednn" or "ref" */
} sap_experiment;

SAP_API sap_experiment sap_experiment_default(void);

/* SAP_ERROR_ARGUMENT naming the first setting out of its range, and the range. */
SAP_API sap_status sap_experiment_check(const sap_experiment *experiment, sap_error *err) SAP_WARN_UNUSED;

/* ---- the settings as a table: for command lines, configuration files and manuals ---- */

typedef enum sap_setting_type {
  SAP_SETTING_INT,    /* int */
  SAP_SETTING_UINT64, /* uint64_t */
  SAP_SETTING_REAL,   /* double */
  SAP_SETTING_TEXT,   /* char[size] */
  SAP_SETTING_CHOICE, /* an enum stored as int */
  SAP_SETTING_REWIND  /* int: "init", "none" or "epoch:K" */
} sap_setting_type;

typedef struct sap_setting {
  const char *name; /* "weight-decay": the command line's --name and the key in config.json */
  sap_setting_type type;
  size_t offset, size;        /* the field in sap_experiment, in bytes */
  const char *value;          /* what help writes for its value, "N" */
  const char *range;          /* the allowed values in words, "0 < p < q <= 64" */
  const char *text;           /* one line of help */
  const char *const *choices; /* CHOICE: NULL-terminated names, indexed by the enum */
  int required;               /* 1: has no default (data, model) */
} sap_setting;

/* The table, in the order of help texts. Static storage. */
SAP_API const sap_setting *sap_experiment_settings(size_t *count);

/* Sets one setting from text. SAP_ERROR_ARGUMENT names the setting, the text and the range. */
SAP_API sap_status sap_experiment_set(sap_experiment *experiment, const sap_setting *setting, const char *text,
                                      sap_error *err) SAP_WARN_UNUSED;

/* Writes the setting's value as text (what sap_experiment_set reads) into buffer[size]. */
SAP_API void sap_experiment_get(const sap_experiment *experiment, const sap_setting *setting, char *buffer,
                                size_t size);

/* ---- what a run reports ---- */

/* One epoch; accuracies in [0, 1], losses in nats a picture. */
typedef struct sap_epoch_record {
  int iteration; /* 0 … T */
  int epoch;     /* 1 … E */
  double lr;
  double train_loss, train_accuracy; /* mean over the epoch's steps, while the weights changed */
  double test_loss, test_accuracy;
  double validation_loss, validation_accuracy; /* NaN without --validation */
  double seconds;                              /* training and evaluation */
  double images_per_second;                    /* training alone */
} sap_epoch_record;

typedef struct sap_layer_record {
  const char *name;
  uint64_t total, kept;
  double pqi, gini;
  int guarded;    /* the decision would have emptied it: its largest weight stays */
  int degenerate; /* no kept weights, or all of them 0 */
} sap_layer_record;

/* One iteration, after measuring and deciding. */
typedef struct sap_iteration_record {
  int iteration;
  uint64_t total, kept; /* prunable weights; kept while this iteration trained */
  double density;
  double test_loss, test_accuracy; /* the retrained model */
  double pqi, gini;                /* over all prunable weights as one vector */
  double scope_pqi;                /* sap_measure_scope at the method's scope */
  double retain;                   /* r, a number of weights, at global scope */
  double prune_ratio;              /* min(γ(1 − r/d), β) of that vector, never below 0 */
  uint64_t pruned;                 /* cleared at the end of this iteration; 0 in the last */
  double pruned_test_accuracy;     /* the pruned model, not retrained; NaN where nothing was decided */
  double pruned_pqi;
  int stopped; /* 1: the run ends with this iteration because the limit of compressibility is passed */
  size_t layer_count;
  const sap_layer_record *layers; /* valid during the callback */
} sap_iteration_record;

/* Where the training steps of a run spent their time: processor seconds, of all threads together. */
typedef struct sap_profile_row {
  const char *op; /* "conv2d" */
  double forward; /* with the statistics of batch norm */
  double data;    /* gradients of activations */
  double weights; /* gradients of parameters */
  double copies;  /* weights into the engine's own layout, gradients added over slices and back */
} sap_profile_row;

typedef struct sap_profile {
  uint64_t steps;
  double seconds; /* all of the steps: beside the rows, pictures, clipping and the update */
  size_t row_count;
  const sap_profile_row *rows; /* valid during the callback */
} sap_profile;

/* Where a run is, after every step. */
typedef struct sap_progress {
  int iteration, iterations; /* of 0 … T */
  int epoch, epochs;         /* of 1 … E */
  int step, steps;           /* of this epoch */
  double done;               /* fraction of the whole run, [0, 1] */
} sap_progress;

/* All may be NULL. They are called from the thread that called sap_experiment_run.
 *
 * A program that stops on a signal should wait for it in a thread of its own (sigwait, the signal blocked
 * elsewhere), not in a handler: oneDNN up to 3.11 computes with the stack pointer in the heap, and a
 * handler's frame would overwrite it. */
typedef struct sap_experiment_callbacks {
  void *user;
  void (*started)(void *user, const sap_experiment *experiment, int resumed);
  void (*progress)(void *user, const sap_progress *progress);
  void (*epoch)(void *user, const sap_epoch_record *record);
  void (*iteration)(void *user, const sap_iteration_record *record);
  int (*stop)(void *user); /* nonzero: finish the step, save the state, return SAP_INTERRUPTED */
  void (*profile)(void *user, const sap_profile *profile); /* once, at the end; NULL: no time is taken */
} sap_experiment_callbacks;

/* Runs the experiment into the directory `run`.
 *
 *   resume 0: `run` must not exist or be empty (SAP_ERROR_EXISTS). On an error before the first step it
 *             is removed again.
 *   resume 1: continues a run of the same settings from its last saved state; SAP_ERROR_MISMATCH names
 *             the first setting that differs, SAP_ERROR_NOT_FOUND means there is nothing to resume.
 *
 * An interrupted and resumed run writes the same bytes as an uninterrupted one (but for seconds), given
 * the same machine, build and number of threads.
 * Errors: those of opening data, SAP_ERROR_IO (disk full: the last good state stays), SAP_ERROR_NONFINITE
 * (iteration, epoch, step and layer), SAP_ERROR_MEMORY, SAP_INTERRUPTED. */
SAP_API sap_status sap_experiment_run(const sap_experiment *experiment, const char *run, int resume,
                                      const sap_experiment_callbacks *callbacks, sap_error *err) SAP_WARN_UNUSED;

/* The settings of an existing run directory. SAP_ERROR_NOT_FOUND if it holds no run. */
SAP_API sap_status sap_experiment_load(const char *run, sap_experiment *experiment, sap_error *err) SAP_WARN_UNUSED;

/* 1 into *finished if nothing is left to do in the run directory, 0 if --resume would go on. Reads the head of the
 * saved state; a run that has none yet is not finished. Errors: SAP_ERROR_IO, SAP_ERROR_FORMAT, SAP_ERROR_MEMORY. */
SAP_API sap_status sap_experiment_finished(const char *run, int *finished, sap_error *err) SAP_WARN_UNUSED;

#ifdef __cplusplus
}
#endif
#endif
