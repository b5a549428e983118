#include "train/step.h"

#include <math.h>

#include "base/kernels.h"
#include "base/threads.h"
#include "train/step_table.h"

SAP__KERNELS_DECLARE(const sap__step_table, sap__step_table);

/* The arena is cut into this many parts whatever the number of threads, so sums never depend on it. */
enum { PARTS = 64 };
/* Below this many elements a second thread costs more than it saves. */
enum { PARALLEL = 1 << 18 };

static uint64_t part(uint64_t n, int i) { return sap__part(n / 64, (unsigned)i, PARTS) * 64; }

double sap__step_norm(const float *g, uint64_t n) {
  const sap__step_table *kernels = SAP__KERNELS_ACTIVE(sap__step_table);
  double sums[PARTS];
#pragma omp parallel for schedule(static) if (n > PARALLEL)
  for (int i = 0; i < PARTS; i++) sums[i] = kernels->sum_squares(g + part(n, i), part(n, i + 1) - part(n, i));
  double sum = 0;
  for (int i = 0; i < PARTS; i++) sum += sums[i];
  return sqrt(sum);
}

float sap__step_clip(double norm, double limit) {
  double factor = limit > 0 ? limit / (norm + 1e-6) : 1;
  return (float)(factor < 1 ? factor : 1);
}

void sap__step_run(const sap__step *step, float *w, const float *g, float *v, const uint64_t *mask, uint64_t n) {
  const sap__step_table *kernels = SAP__KERNELS_ACTIVE(sap__step_table);
#pragma omp parallel for schedule(static) if (n > PARALLEL)
  for (int i = 0; i < PARTS; i++) {
    uint64_t first = part(n, i), count = part(n, i + 1) - first;
    kernels->update(step, w + first, g + first, v + first, mask + first / 64, count);
  }
}
