/* The optimizer: one pass for the gradient's norm, one for everything else.
 *
 * For each element, with g the gradient scaled by the clip factor and zeroed where pruned:
 *   g += weight_decay · w;   v = momentum · v + g;   w −= lr · (g + momentum · v)
 * which is SGD with Nesterov momentum as PyTorch defines it (torch.optim.SGD, nesterov=True). Clipping
 * comes before masking, as in the paper's protocol: the norm is that of the whole gradient.
 *
 * Bound by bytes: 4 read for the norm; 12 read and 8 written an element for the rest, and 1/8 of mask.
 */
#ifndef SAP_TRAIN_STEP_H
#define SAP_TRAIN_STEP_H

#include <stdint.h>

typedef struct sap__step {
  float lr, momentum, weight_decay;
  float clip; /* factor on the gradient, 1: none */
} sap__step;

/* √Σ g² over n elements (n a multiple of 64); the same for any number of threads. NaN or infinite if an
 * element is. */
double sap__step_norm(const float *g, uint64_t n);

/* torch.nn.utils.clip_grad_norm_: min(1, limit / (norm + 1e-6)); 1 for limit 0. */
float sap__step_clip(double norm, double limit);

/* Updates w and v (n elements each, n a multiple of 64) from g under the mask. */
void sap__step_run(const sap__step *step, float *w, const float *g, float *v, const uint64_t *mask, uint64_t n);

#endif
