/* The PQ Index, the retain bound and the prune count.
 *
 * Diao, Wang, Zhan, Yang, Ding and Tarokh, "Pruning Deep Neural Networks from a Sparsity Perspective",
 * ICLR 2023, arXiv 2302.05601: Definition 1 (index), Theorem 2 (bound), Algorithm 1 (count).
 *
 *   I(w) = 1 − (mean |w|^p)^(1/p) / (mean |w|^q)^(1/q)
 *   r    = d · (1 + η)^(−q/(q−p)) · (1 − I(w))^(q·p/(q−p))
 *   c    = ⌊ d · min(γ · (1 − r/d), β) ⌋, never below 0
 */
#ifndef SAPWOOD_PQI_H
#define SAPWOOD_PQI_H

#include <stdint.h>

#include "sapwood/norms.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The PQ Index I, in [0, 1 − d^(1/q − 1/p)]: 0 when all kept magnitudes are equal, near 1 when few of
 * them carry everything. Rounding below 0 is clamped. 0 for d <= 1 and for an all-zero vector.
 * The powers 1/p are taken of means in the log domain. Cost: a few operations. */
SAP_API double sap_norms_pqi(const sap_norms *norms);

/* The retain bound r, a number of weights in [0, d] for eta >= 0 (η > −1 is allowed and may exceed d).
 * r = d where sap_norms_degenerate: nothing is to be pruned. */
SAP_API double sap_norms_retain(const sap_norms *norms, double eta);

/* 1 where the index says nothing: d = 0, or every kept entry is 0. */
SAP_API int sap_norms_degenerate(const sap_norms *norms);

/* The prune count c of Algorithm 1 for the norms of one group.
 *   eta > -1, gamma >= 0, beta in [0, 1] */
SAP_API uint64_t sap_norms_prune_count(const sap_norms *norms, double eta, double gamma, double beta);

/* The PQ Index of n floats, all kept: the one call for who only wants a number.
 * Errors as sap_norms_add. Cost: one read of w. */
SAP_API sap_status sap_pq_index(const float *w, uint64_t n, double p, double q, double *index,
                                sap_error *err) SAP_WARN_UNUSED;

#ifdef __cplusplus
}
#endif
#endif
