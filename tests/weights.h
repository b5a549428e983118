/* Random weights of every kind and type, random masks, and sums in long double to compare with. */
#ifndef SAP_TESTS_WEIGHTS_H
#define SAP_TESTS_WEIGHTS_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "sapwood/sapwood.h"

#define WEIGHTS_UNUSED __attribute__((unused))

static uint64_t weights_state = 1;
static uint64_t weights_random(void) { /* splitmix64 */
  uint64_t z = weights_state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}
WEIGHTS_UNUSED static uint64_t weights_below(uint64_t n) { return weights_random() % n; }
static double weights_uniform(void) { return ((double)(weights_random() >> 11) + 0.5) * 0x1p-53; }
static double weights_normal(void) {
  return sqrt(-2 * log(weights_uniform())) * cos(6.283185307179586 * weights_uniform());
}

/* Shapes that strain an index of sparsity in different ways. */
typedef enum weights_kind {
  WEIGHTS_NORMAL,
  WEIGHTS_CAUCHY,
  WEIGHTS_WIDE,      /* lognormal, sigma 10 */
  WEIGHTS_TERNARY,   /* 0, ±a */
  WEIGHTS_FEW,       /* eight magnitudes: many ties */
  WEIGHTS_HUGE,      /* near FLT_MAX */
  WEIGHTS_SUBNORMAL, /* of float */
  WEIGHTS_NEARLY,    /* constant but for the last bits */
  WEIGHTS_ONE_HOT,   /* zeros and one weight */
  WEIGHTS_KINDS
} weights_kind;

WEIGHTS_UNUSED static void weights_fill(float *w, size_t n, weights_kind kind) {
  double a = exp(weights_normal());
  for (size_t i = 0; i < n; i++) {
    double sign = weights_random() & 1 ? 1 : -1, x = 0;
    switch (kind) {
      case WEIGHTS_NORMAL: x = weights_normal(); break;
      case WEIGHTS_CAUCHY: x = tan(3.14159265358979 * (weights_uniform() - 0.5)); break;
      case WEIGHTS_WIDE: x = sign * fmin(exp(10 * weights_normal()), 3e38); break;
      case WEIGHTS_TERNARY: x = sign * a * (double)weights_below(2); break;
      case WEIGHTS_FEW: x = sign * 0.37 * (double)weights_below(8); break;
      case WEIGHTS_HUGE: x = sign * 3.4e38 * (1 - 0.5 * weights_uniform()); break;
      case WEIGHTS_SUBNORMAL: x = sign * 1e-38 * weights_uniform(); break;
      case WEIGHTS_NEARLY: x = sign * a * (1 + 1e-3 * weights_uniform()); break;
      default: x = 0; break;
    }
    w[i] = (float)x;
  }
  if (kind == WEIGHTS_ONE_HOT && n) w[weights_below(n)] = (float)a;
}

/* Stores n floats as dtype (what does not fit in F16 becomes its largest number) and puts into w what that holds. */
WEIGHTS_UNUSED static void weights_store(float *w, size_t n, sap_dtype dtype, void *stored) {
  uint16_t *half = stored;
  if (dtype == SAP_F32) {
    memcpy(stored, w, n * sizeof *w);
    return;
  }
  for (size_t i = 0; i < n; i++) {
    uint32_t bits;
    memcpy(&bits, &w[i], sizeof bits);
    if (dtype == SAP_BF16) {
      half[i] = (uint16_t)(bits >> 16);
    } else {
      double magnitude = fmin(fabs((double)w[i]), 65504), step = 0x1p-24;
      while (magnitude / step >= 2048) step *= 2;
      int exponent = ilogb(step) + 24;
      uint16_t steps = (uint16_t)(magnitude / step); /* below 1024 only where the exponent is the least */
      half[i] = (uint16_t)((bits >> 16 & 0x8000) | (uint16_t)(steps + (exponent << 10)));
    }
  }
  sap_dtype_to_f32(dtype, stored, w, n);
}

/* Each of n bits 1 with the given probability; with bits at `offset` before and 64 more words after untouched. */
WEIGHTS_UNUSED static void weights_mask(uint64_t *mask, uint64_t offset, size_t n, double density) {
  for (size_t i = 0; i < n; i++) {
    sap_mask_clear(mask, offset + i);
    if (weights_uniform() < density) sap_mask_set(mask, offset + i);
  }
}

/* One kept weight, and the order of the definition: by magnitude, then by position. */
typedef struct entry {
  float magnitude;
  size_t layer, index;
} entry;

WEIGHTS_UNUSED static int by_definition(const void *a, const void *b) {
  const entry *x = a, *y = b;
  if (x->magnitude != y->magnitude) return x->magnitude < y->magnitude ? -1 : 1;
  if (x->layer != y->layer) return x->layer < y->layer ? -1 : 1;
  return x->index < y->index ? -1 : x->index > y->index;
}

typedef struct weights_sums {
  uint64_t count, zeros;
  double max;
  long double p, q; /* Σ (|w| / max)^p and ^q */
} weights_sums;

/* mask NULL: all kept. */
WEIGHTS_UNUSED static weights_sums weights_reference(const float *w, size_t n, const uint64_t *mask, uint64_t offset,
                                                     double p, double q) {
  weights_sums s = {0};
  for (size_t i = 0; i < n; i++)
    if ((!mask || sap_mask_get(mask, offset + i)) && fabs((double)w[i]) > s.max) s.max = fabs((double)w[i]);
  for (size_t i = 0; i < n; i++) {
    if (mask && !sap_mask_get(mask, offset + i)) continue;
    s.count++;
    s.zeros += w[i] == 0;
    if (s.max == 0) continue;
    s.p += powl((long double)fabs((double)w[i]) / (long double)s.max, (long double)p);
    s.q += powl((long double)fabs((double)w[i]) / (long double)s.max, (long double)q);
  }
  return s;
}

WEIGHTS_UNUSED static double weights_pqi(const weights_sums *s, double p, double q) {
  if (s->count <= 1 || s->max == 0) return 0;
  long double d = (long double)s->count;
  return (double)(1 - expl(logl(s->p / d) / (long double)p - logl(s->q / d) / (long double)q));
}

/* 1 if all fields are the same, bit for bit; padding does not count. */
WEIGHTS_UNUSED static int weights_same(const sap_norms *a, const sap_norms *b) {
  return a->p == b->p && a->q == b->q && a->count == b->count && a->zeros == b->zeros && a->max == b->max &&
         a->sum_p == b->sum_p && a->sum_q == b->sum_q && a->exponent == b->exponent;
}

#endif
