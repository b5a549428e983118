/* Where to stop pruning, from the PQ Index and the density of a run's iterations.
 *
 * The paper's hypothesis (Diao et al., ICLR 2023, section 3): over its iterations a network goes through
 *   regularization   accuracy rises or holds, the index falls: pruning removes what is of no use
 *   compression      accuracy falls moderately, the index rises: the limit of compressibility is passed
 *   collapse         accuracy falls sharply, the index falls again
 * so the course of the index tells the phases apart, without a look at any test set. It is the index as the method sees
 * it (sap_measure_scope): of a network that is pruned neuron by neuron, the mean over its neurons, which falls for as
 * long as there is something to prune in them, while that of all weights rises because neurons come to differ.
 * docs/stop.md says how well that works, and where it does not.
 */
#ifndef SAPWOOD_PHASE_H
#define SAPWOOD_PHASE_H

#include <stddef.h>

#include "sapwood/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* X(constant, name). */
#define SAP_PHASE_LIST(X)                       \
  X(SAP_PHASE_REGULARIZATION, "regularization") \
  X(SAP_PHASE_COMPRESSION, "compression")       \
  X(SAP_PHASE_COLLAPSE, "collapse")
typedef enum sap_phase {
#define SAP_PHASE_ENUM(constant, name) constant,
  SAP_PHASE_LIST(SAP_PHASE_ENUM)
#undef SAP_PHASE_ENUM
      SAP_PHASE_COUNT
} sap_phase;

SAP_API const char *sap_phase_name(sap_phase phase);

/* What counts is the gain of pruning: by how much a halving of the weights lowers the index, as a share of the index of
 * iteration 0. At iteration t it is the least-squares slope of I / I(0) against log2(density) over the iterations whose
 * density is at most 2^span times that of t, of three at least; there is none before the density has fallen that far.
 * The limit is passed once the gain was below `least` in `confirm` iterations running; collapse begins once it was
 * above `least` as often again. The density, not the number of iterations, says how far a run went: methods take steps
 * of 2 and of 90 %. */
typedef struct sap_phase_options {
  int confirm;  /* K >= 1 */
  double span;  /* > 0, in halvings of the density */
  double least; /* any number; 0.11: a halving lowers the index by 11 % of what it was with all weights */
} sap_phase_options;

/* confirm 2, span 1.75, least 0.11. */
SAP_API sap_phase_options sap_phase_options_default(void);

/* Iterations are 0 … count − 1; −1 stands for "not yet". */
typedef struct sap_phases {
  int valley;      /* of the smallest index up to when the limit is passed: the last iteration of regularization */
  int passed;      /* when it was certain that the limit is passed; the run may end here */
  int peak;        /* of the largest index from the valley until it fell again: the last of compression */
  int fallen;      /* when that was certain */
  int recommended; /* the last iteration before the K that made it certain that the limit is passed. The newest
                    * iteration while it is not; −1 only without iterations */
  double gain;     /* at `passed`; at the end of the series while it is not passed; NaN where there is none */
} sap_phases;

/* The phases of the series pqi[count], which is that of the retrained models (the index after training, before pruning
 * again, at the method's scope) from iteration 0 on, with density[count]. What is found in a part of a series from its
 * beginning stays found in the whole, so a run that stops decides as a later reader of its record does. NULL options:
 * the defaults. A density of 0 counts as 1e-12. Cost: O(count²) at worst, no more than 1 ms for 1000. Errors:
 * SAP_ERROR_ARGUMENT (options), SAP_ERROR_NONFINITE (a value that is no number in [0, 1], by its place). */
SAP_API sap_status sap_phases_find(const double *pqi, const double *density, size_t count,
                                   const sap_phase_options *options, sap_phases *phases,
                                   sap_error *err) SAP_WARN_UNUSED;

/* The phase of iteration t: regularization up to the valley (while there is none: everywhere), compression up to the
 * peak, then collapse. */
SAP_API sap_phase sap_phases_at(const sap_phases *phases, int t);

#ifdef __cplusplus
}
#endif
#endif
