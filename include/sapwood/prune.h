/* Measure, decide, apply: one pruning step over the prunable layers of a model.
 *
 *   sap_measure         norms of every layer and of all as one vector     (one read of the weights)
 *   sap_prune_decide    how many to prune in each group, and which         (two more reads)
 *   sap_prune_apply     clears the mask bits                               (one more read)
 *
 * A group is what the scope says: all layers as one vector, each layer, or each neuron (row).
 */
#ifndef SAPWOOD_PRUNE_H
#define SAPWOOD_PRUNE_H

#include <stddef.h>
#include <stdint.h>

#include "sapwood/layer.h"
#include "sapwood/norms.h"
#include "sapwood/select.h"

#ifdef __cplusplus
extern "C" {
#endif

/* X(constant, name). */
#define SAP_SCOPE_LIST(X)       \
  X(SAP_SCOPE_GLOBAL, "global") \
  X(SAP_SCOPE_LAYER, "layer")   \
  X(SAP_SCOPE_NEURON, "neuron")
typedef enum sap_scope {
#define SAP_SCOPE_ENUM(constant, name) constant,
  SAP_SCOPE_LIST(SAP_SCOPE_ENUM)
#undef SAP_SCOPE_ENUM
      SAP_SCOPE_COUNT
} sap_scope;

/* How the number to prune is found.
 *   sap    the retain bound of the group's PQ Index (Algorithm 1)
 *   lt     ⌊ratio · d⌋ of the group's kept weights: the lottery ticket schedule
 *   os     the same numbers; the caller passes the first trained model's weights as the layers' data
 *   dense  none */
#define SAP_METHOD_LIST(X) \
  X(SAP_METHOD_SAP, "sap") \
  X(SAP_METHOD_LT, "lt")   \
  X(SAP_METHOD_OS, "os")   \
  X(SAP_METHOD_DENSE, "dense")
typedef enum sap_method {
#define SAP_METHOD_ENUM(constant, name) constant,
  SAP_METHOD_LIST(SAP_METHOD_ENUM)
#undef SAP_METHOD_ENUM
      SAP_METHOD_COUNT
} sap_method;

SAP_API const char *sap_scope_name(sap_scope scope);
SAP_API const char *sap_method_name(sap_method method);

/* Ranges: 0 < p < q <= 64, eta > -1, gamma >= 0, 0 <= beta <= 1, 0 <= ratio < 1, 0 <= density <= 1. */
typedef struct sap_prune_options {
  sap_method method;
  sap_scope scope;
  double p, q;             /* exponents of the index */
  double eta, gamma, beta; /* of the retain bound and the count; method sap */
  double ratio;            /* methods lt and os */
  double density;          /* methods lt and os; above 0, it takes the place of ratio: the group keeps this share of
                            * all its weights, rounded to nearest, and loses the rest of those that are kept */
} sap_prune_options;

/* method sap, scope global, p 0.5, q 1, eta 0, gamma 1, beta 0.9, ratio 0.2. */
SAP_API sap_prune_options sap_prune_options_default(void);

/* SAP_ERROR_ARGUMENT naming the field and its range. */
SAP_API sap_status sap_prune_options_check(const sap_prune_options *options, sap_error *err) SAP_WARN_UNUSED;

/* Norms of each layer into layer_norms[count], which may be NULL, and of all layers as one vector into *global_norms.
 * One read of the weights. Errors as sap_norms_add, with the layer's name, and SAP_ERROR_MEMORY. */
SAP_API sap_status sap_measure(const sap_layer *layers, size_t count, double p, double q, sap_norms *layer_norms,
                               sap_norms *global_norms, sap_error *err) SAP_WARN_UNUSED;

/* Norms of each neuron of one layer into neuron_norms[layer->rows]. One read of the weights. Errors as sap_measure. */
SAP_API sap_status sap_measure_neurons(const sap_layer *layer, double p, double q, sap_norms *neuron_norms,
                                       sap_error *err) SAP_WARN_UNUSED;

/* The PQ Index as a method sees it that prunes at this scope: the mean over the groups' indices, each weighted by the
 * group's kept weights, Σ d·I / Σ d; 0 without any. At global scope that is the index of all as one vector. With it the
 * norms of sap_measure, both of which may be NULL. One read of the weights, at scope neuron two. Errors as sap_measure,
 * and SAP_ERROR_ARGUMENT (layers that are no rows, at scope neuron), SAP_ERROR_MEMORY. */
SAP_API sap_status sap_measure_scope(const sap_layer *layers, size_t count, sap_scope scope, double p, double q,
                                     sap_norms *layer_norms, sap_norms *global_norms, double *pqi,
                                     sap_error *err) SAP_WARN_UNUSED;

/* What one group of the scope is to lose. */
typedef struct sap_group {
  sap_norms norms;         /* of the weights the decision was made from */
  sap_selection selection; /* selection.count is c */
} sap_group;

/* What one layer loses, known after sap_prune_apply. */
typedef struct sap_layer_change {
  uint64_t kept_before, kept_after;
  int guarded;    /* 1: the decision would have emptied the layer; its largest weight stays */
  int degenerate; /* 1: the layer had nothing to measure: no kept weights, or all of them 0 */
} sap_layer_change;

/* A decision: owned by the caller, freed with sap_decision_free. */
typedef struct sap_decision {
  sap_prune_options options;
  size_t group_count; /* 1, the layers, or the sum of the layers' rows */
  sap_group *groups;  /* in layer order, then row order */
  size_t layer_count;
  sap_layer_change *changes; /* one a layer; written by sap_prune_apply */
  uint64_t total;            /* all weights of the layers */
  uint64_t kept_before;      /* kept when decided */
  uint64_t pruned;           /* mask bits cleared; written by sap_prune_apply */
} sap_decision;

/* Decides which weights to prune. Nothing is changed yet. Three reads of the weights in all.
 * Every layer needs a mask. Errors: SAP_ERROR_ARGUMENT, SAP_ERROR_MEMORY, SAP_ERROR_NONFINITE. */
SAP_API sap_status sap_prune_decide(const sap_layer *layers, size_t count, const sap_prune_options *options,
                                    sap_decision **decision, sap_error *err) SAP_WARN_UNUSED;

/* Clears the mask bits of the chosen weights. A layer that would lose all its kept weights keeps the
 * largest (the last of these, by position) and is marked guarded. Weights themselves are not touched:
 * sap_mask_apply zeroes them. Same layers as decided on. Cannot fail. */
SAP_API void sap_prune_apply(const sap_layer *layers, size_t count, sap_decision *decision);

/* NULL is fine. */
SAP_API void sap_decision_free(sap_decision *decision);

/* The pattern N:M of hardware: of every M weights in a row, keeps the N of largest magnitude and clears the mask bits
 * of the others, ties by position as above. A row is a neuron (the first axis; the rest flattened), and groups start
 * with each row; a last group of fewer than M weights keeps at most N as well. pruned[count] receives how many weights
 * each layer lost; NULL is allowed. 1 <= keep < of <= 64. One read of the weights; no memory.
 * Errors: SAP_ERROR_ARGUMENT, SAP_ERROR_NONFINITE (the masks of earlier layers are changed by then). */
SAP_API sap_status sap_prune_pattern(const sap_layer *layers, size_t count, unsigned keep, unsigned of,
                                     uint64_t *pruned, sap_error *err) SAP_WARN_UNUSED;

#ifdef __cplusplus
}
#endif
#endif
