#include "sapwood/pqi.h"

#include <math.h>

int sap_norms_degenerate(const sap_norms *norms) { return norms->count == 0 || norms->max == 0; }

/* log of (mean |w|^p)^(1/p) / (mean |w|^q)^(1/q), at most 0. The scale 2^exponent of both sums cancels. */
static double log_ratio(const sap_norms *norms) {
  if (norms->count <= 1 || norms->max == 0) return 0;
  double d = (double)norms->count;
  double ratio = log(norms->sum_p / d) / norms->p - log(norms->sum_q / d) / norms->q;
  double least = (1 / norms->q - 1 / norms->p) * log(d); /* one entry carries everything */
  if (ratio < least) return least;
  return ratio < 0 ? ratio : 0;
}

double sap_norms_pqi(const sap_norms *norms) { return 0 - expm1(log_ratio(norms)); }

/* log(r / d) */
static double log_retain(const sap_norms *norms, double eta) {
  double p = norms->p, q = norms->q;
  return (q * p * log_ratio(norms) - q * log1p(eta)) / (q - p);
}

double sap_norms_retain(const sap_norms *norms, double eta) {
  double d = (double)norms->count;
  return sap_norms_degenerate(norms) ? d : d * exp(log_retain(norms, eta));
}

uint64_t sap_norms_prune_count(const sap_norms *norms, double eta, double gamma, double beta) {
  if (sap_norms_degenerate(norms)) return 0;
  double share = gamma * -expm1(log_retain(norms, eta));
  if (share > beta) share = beta;
  if (!(share > 0)) return 0; /* eta below 0 may ask for more weights than there are */
  double count = floor((double)norms->count * share);
  return count < (double)norms->count ? (uint64_t)count : norms->count;
}

sap_status sap_pq_index(const float *w, uint64_t n, double p, double q, double *index, sap_error *err) {
  sap_norms norms = sap_norms_empty(p, q);
  sap_status status = sap_norms_add(&norms, w, SAP_F32, n, NULL, 0, err);
  if (status == SAP_OK) *index = sap_norms_pqi(&norms);
  return status;
}
