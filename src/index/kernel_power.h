/* Σ(|w|/m)^p and Σ(|w|/m)^q for any p and q: a vector logarithm and a vector power of two, in double.
 *
 * |w| is a float, so its logarithm needs few terms: with |w| = 2^e · x, x in [√½, √2), and s = (x − 1)/(x + 1),
 * log2 |w| = e + s · L(s²). The power is 2^(p · (log2|w| − log2 m)), both logarithms by the same operations, so
 * that |w| = m gives exactly 1. Relative error of each power below 1e-10.
 */
#include "index/kernel_vector.h"

/* Minimax fits: relative error 4.2e-12 of s · L(s²), 4.7e-11 of 2^f = 1 + f · E(f), |f| <= ½. */
static const double log_terms[] = {2.88539008179008, 0.9617966733500315, 0.5770835832749602, 0.41167282659845705,
                                   0.34072801317624785};
static const double exp_terms[] = {0.6931471807045294,    0.24022651066560333,   0.055504103659991734,
                                   0.009618038132073278,  0.0013333935049068921, 0.00015466756326978047,
                                   1.5196158096409008e-05};
enum { LOG_TERMS = sizeof log_terms / sizeof *log_terms, EXP_TERMS = sizeof exp_terms / sizeof *exp_terms };

SIMD_INLINE vdouble polynomial(const double *terms, int count, vdouble x) {
  vdouble sum = simd_all_d(terms[count - 1]);
  for (int i = count - 2; i >= 0; i--) sum = simd_fma_d(sum, x, simd_all_d(terms[i]));
  return sum;
}

/* log2 of the lanes of x, which may be subnormal, as two halves; of 0 it is below -2^30. */
SIMD_INLINE void log2_lanes(vuint x, vdouble *low, vdouble *high) {
  /* a subnormal is an integer times 2^-149; converting it is faster than arithmetic on it */
  vuint tiny = (vuint)(x < 0x00800000u);
  vuint bits = simd_pick(tiny, simd_bits(simd_from_int((vint)x)), x);
  vint e = (vint)(bits - 0x3f3504f3u) >> 23; /* √½ */
  vfloat m = simd_float(bits - ((vuint)e << 23));
  e += ((vint)tiny & -149) + ((vint)(x == 0) & -(1 << 30));
  vdouble m_low = simd_low(m), m_high = simd_high(m);
  vdouble s_low = (m_low - 1) / (m_low + 1), s_high = (m_high - 1) / (m_high + 1);
  *low = simd_fma_d(s_low, polynomial(log_terms, LOG_TERMS, s_low * s_low), simd_low_i(e));
  *high = simd_fma_d(s_high, polynomial(log_terms, LOG_TERMS, s_high * s_high), simd_high_i(e));
}

/* 2^y for y <= 1; 0 is as good as what is below 2^-1000. */
SIMD_INLINE vdouble exp2_lanes(vdouble y) {
  const double round = 0x1.8p52; /* added, it leaves the nearest integer in the low bits */
  y = simd_max_d(y, simd_all_d(-1000));
  vdouble shifted = y + round, f = y - (shifted - round);
  vdouble power = simd_fma_d(f, polynomial(exp_terms, EXP_TERMS, f), simd_all_d(1));
  return (vdouble)((vuint64)power + ((vuint64)shifted << 52));
}

/* How one of the two exponents is computed. */
typedef enum power_kind { ANY, ONE, TWO } power_kind;

typedef struct power_sum {
  double exponent;
  vdouble low, high;
} power_sum;

SIMD_INLINE void add_power(power_sum *sum, power_kind kind, vdouble x_low, vdouble x_high, vdouble log_low,
                           vdouble log_high) {
  if (kind == ANY) {
    sum->low += exp2_lanes(log_low * sum->exponent);
    sum->high += exp2_lanes(log_high * sum->exponent);
  } else if (kind == ONE) {
    sum->low += x_low;
    sum->high += x_high;
  } else {
    sum->low = simd_fma_d(x_low, x_low, sum->low);
    sum->high = simd_fma_d(x_high, x_high, sum->high);
  }
}

/* Lanes that hold 0, pruned or not, have so small a logarithm that they add nothing. */
SIMD_INLINE void power_word(power_sum *p, power_sum *q, power_kind p_kind, power_kind q_kind, const void *w,
                            sap_dtype dtype, size_t i, uint64_t word, double log_m) {
  for (int j = 0; j < 64; j += SIMD_LANES) {
    vuint x = load_keys(w, dtype, i + (size_t)j);
    if (word != ALL_KEPT) x = simd_keep(x, word >> j);
    vdouble log_low, log_high;
    log2_lanes(x, &log_low, &log_high);
    vdouble x_low = simd_low(simd_float(x)), x_high = simd_high(simd_float(x));
    log_low -= log_m;
    log_high -= log_m;
    add_power(p, p_kind, x_low, x_high, log_low, log_high);
    add_power(q, q_kind, x_low, x_high, log_low, log_high);
  }
}

SIMD_INLINE double power_total(const power_sum *sum, power_kind kind, double largest) {
  double total = simd_sum_d(sum->low + sum->high);
  return kind == ANY ? total : kind == ONE ? total / largest : total / largest / largest;
}

SIMD_INLINE void power_kernel(power_kind p_kind, power_kind q_kind, const void *w, sap_dtype dtype, size_t n,
                              const uint64_t *keep, double p, double q, sap__sums *sums) {
  vdouble log_m, log_m_high;
  log2_lanes(simd_all_u(sums->largest), &log_m, &log_m_high);
  power_sum ps = {p, {0}, {0}}, qs = {q, {0}, {0}};
  for (size_t i = 0; i < n / 64; i++)
    if (!keep || keep[i]) power_word(&ps, &qs, p_kind, q_kind, w, dtype, 64 * i, keep ? keep[i] : ALL_KEPT, log_m[0]);
  if (n % 64) {
    tail end;
    tail_copy(&end, w, dtype, n, keep);
    power_word(&ps, &qs, p_kind, q_kind, end.weights, dtype, 0, end.keep, log_m[0]);
  }
  double largest = (double)sap__float_from_bits(sums->largest);
  sums->sum_p = power_total(&ps, p_kind, largest);
  sums->sum_q = power_total(&qs, q_kind, largest);
}

SIMD_INLINE void power_of_type(const void *w, sap_dtype dtype, size_t n, const uint64_t *keep, double p, double q,
                               sap__sums *sums) {
  if (q == 1)
    power_kernel(ANY, ONE, w, dtype, n, keep, p, q, sums);
  else if (q == 2 && p == 1)
    power_kernel(ONE, TWO, w, dtype, n, keep, p, q, sums);
  else if (q == 2)
    power_kernel(ANY, TWO, w, dtype, n, keep, p, q, sums);
  else if (p == 1)
    power_kernel(ONE, ANY, w, dtype, n, keep, p, q, sums);
  else
    power_kernel(ANY, ANY, w, dtype, n, keep, p, q, sums);
}

static void power(const void *w, sap_dtype dtype, size_t n, const uint64_t *keep, double p, double q, sap__sums *sums) {
  if (dtype == SAP_F32)
    power_of_type(w, SAP_F32, n, keep, p, q, sums);
  else if (dtype == SAP_F16)
    power_of_type(w, SAP_F16, n, keep, p, q, sums);
  else
    power_of_type(w, SAP_BF16, n, keep, p, q, sums);
}
