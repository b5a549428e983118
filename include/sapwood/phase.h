/* Where to stop pruning, from the PQ Index of a run's iterations.
 *
 * The paper's hypothesis (Diao et al., ICLR 2023, section 3): over its iterations a network goes through
 *   regularization   accuracy rises or holds, the index falls: pruning removes what is of no use
 *   compression      accuracy falls moderately, the index rises: the limit of compressibility is passed
 *   collapse         accuracy falls sharply, the index falls again
 * so the turning points of the index tell the phases apart, without a look at any test set. docs/stop.md says how well
 * that works, and where it does not.
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

/* When a turn counts. The index has turned once it was, for `confirm` iterations running, further from its extreme than
 * the threshold max(tolerance, deviations · σ), as a ratio: σ is the standard deviation of the noise in ln I, from the
 * median of its third differences so far (the median absolute value · 1.4826 / √20), which a smooth curve hardly moves
 * and a few outliers do not. */
typedef struct sap_phase_options {
  int confirm;       /* K >= 1 */
  double tolerance;  /* >= 0, in ln I: 0.08 is 8 % */
  double deviations; /* >= 0 */
} sap_phase_options;

/* confirm 2, tolerance 0.08, deviations 3. */
SAP_API sap_phase_options sap_phase_options_default(void);

/* Iterations are 0 … count − 1; −1 stands for "not yet". */
typedef struct sap_phases {
  int valley;       /* of the smallest index before it rose for good: the last iteration of regularization */
  int passed;       /* when that was certain; the run may end here */
  int peak;         /* of the largest index after the valley before it fell for good: the last of compression */
  int fallen;       /* when that was certain */
  int recommended;  /* the last iteration before the K that made it certain that the limit is passed: the sparsest
                     * network still at the bottom of the valley. The newest iteration while none is passed; −1 only
                     * without iterations */
  double noise;     /* σ at the end of the series, relative */
  double threshold; /* that counted when the limit was passed; at the end of the series while it is not */
} sap_phases;

/* The phases of the series pqi[count], which is that of the retrained models (the index after training, before pruning
 * again) from iteration 0 on. What is found in a part of a series from its beginning stays found in the whole, so a run
 * that stops decides as a later reader of its record does. NULL options: the defaults. An index of 0 counts as 1e-12.
 * Cost: O(count²) at worst, no more than 1 ms for 1000. Errors: SAP_ERROR_ARGUMENT (options), SAP_ERROR_NONFINITE (a
 * value that is no number in [0, 1], by its place), SAP_ERROR_MEMORY. */
SAP_API sap_status sap_phases_find(const double *pqi, size_t count, const sap_phase_options *options,
                                   sap_phases *phases, sap_error *err) SAP_WARN_UNUSED;

/* The phase of iteration t: regularization up to the valley (while there is none: everywhere), compression up to the
 * peak, then collapse. */
SAP_API sap_phase sap_phases_at(const sap_phases *phases, int t);

#ifdef __cplusplus
}
#endif
#endif
