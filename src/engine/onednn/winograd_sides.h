/* Winograd's transforms of one line, by the SIDE of the squares of the result: EDGE = SIDE + 2 numbers belong to SIDE
 * results and three taps.
 *
 *   spread_input    Bᵀ d      spread_taps   G g        spread_output   A y
 *   gather_output   Aᵀ m      gather_taps   Gᵀ m
 */
enum { EDGE = SIDE + 2 };

#if SIDE == 2

LANES_INLINE void spread_input(const lanes_f d[EDGE], lanes_f t[EDGE]) {
  t[0] = d[0] - d[2];
  t[1] = d[1] + d[2];
  t[2] = d[2] - d[1];
  t[3] = d[1] - d[3];
}
LANES_INLINE void gather_output(const lanes_f m[EDGE], lanes_f y[SIDE]) {
  y[0] = m[0] + m[1] + m[2];
  y[1] = m[1] - m[2] - m[3];
}
LANES_INLINE void spread_output(const lanes_f y[SIDE], lanes_f t[EDGE]) {
  t[0] = y[0];
  t[1] = y[0] + y[1];
  t[2] = y[0] - y[1];
  t[3] = -y[1];
}
LANES_INLINE void spread_taps(const lanes_f g[3], lanes_f t[EDGE]) {
  const lanes_f even = 0.5f * (g[0] + g[2]), odd = 0.5f * g[1];
  t[0] = g[0];
  t[1] = even + odd;
  t[2] = even - odd;
  t[3] = g[2];
}
LANES_INLINE void gather_taps(const lanes_f m[EDGE], lanes_f g[3]) {
  const lanes_f even = 0.5f * (m[1] + m[2]);
  g[0] = m[0] + even;
  g[1] = 0.5f * (m[1] - m[2]);
  g[2] = even + m[3];
}

#else /* 4 */

/* Any two numbers A and B make such transforms, from the polynomials whose roots are 0, ±A and ±B. Those of oneDNN make
 * less than half of the errors of the usual 1 and 2 (B. Barabasz and others, Error Analysis and Improving the Accuracy
 * of Winograd Convolution for Deep Neural Networks, 2020, has why), and all factors but the last three are exact. */
static const float A = 0.625f, B = 1.5f, AA = 0.625f * 0.625f, BB = 1.5f * 1.5f;
static const float OF_0 = 1 / (0.625f * 0.625f * 1.5f * 1.5f),
                   OF_A = 1 / (2 * 0.625f * 0.625f * (0.625f * 0.625f - 1.5f * 1.5f)),
                   OF_B = 1 / (2 * 1.5f * 1.5f * (1.5f * 1.5f - 0.625f * 0.625f));

/* t = {even + odd, even - odd}. */
LANES_INLINE void sum_and_difference(lanes_f even, lanes_f odd, lanes_f *t) {
  t[0] = even + odd;
  t[1] = even - odd;
}

LANES_INLINE void spread_input(const lanes_f d[EDGE], lanes_f t[EDGE]) {
  t[0] = AA * BB * d[0] - (AA + BB) * d[2] + d[4];
  sum_and_difference(d[4] - BB * d[2], A * (d[3] - BB * d[1]), t + 1);
  sum_and_difference(d[4] - AA * d[2], B * (d[3] - AA * d[1]), t + 3);
  t[5] = AA * BB * d[1] - (AA + BB) * d[3] + d[5];
}
LANES_INLINE void gather_output(const lanes_f m[EDGE], lanes_f y[SIDE]) {
  const lanes_f even_a = m[1] + m[2], odd_a = A * (m[1] - m[2]), even_b = m[3] + m[4], odd_b = B * (m[3] - m[4]);
  y[0] = m[0] + even_a + even_b;
  y[1] = odd_a + odd_b;
  y[2] = AA * even_a + BB * even_b;
  y[3] = AA * odd_a + BB * odd_b + m[5];
}
LANES_INLINE void spread_output(const lanes_f y[SIDE], lanes_f t[EDGE]) {
  t[0] = y[0];
  sum_and_difference(y[0] + AA * y[2], A * (y[1] + AA * y[3]), t + 1);
  sum_and_difference(y[0] + BB * y[2], B * (y[1] + BB * y[3]), t + 3);
  t[5] = y[3];
}
LANES_INLINE void spread_taps(const lanes_f g[3], lanes_f t[EDGE]) {
  t[0] = OF_0 * g[0];
  sum_and_difference(OF_A * (g[0] + AA * g[2]), OF_A * A * g[1], t + 1);
  sum_and_difference(OF_B * (g[0] + BB * g[2]), OF_B * B * g[1], t + 3);
  t[5] = g[2];
}
LANES_INLINE void gather_taps(const lanes_f m[EDGE], lanes_f g[3]) {
  const lanes_f even_a = OF_A * (m[1] + m[2]), even_b = OF_B * (m[3] + m[4]);
  g[0] = OF_0 * m[0] + even_a + even_b;
  g[1] = OF_A * A * (m[1] - m[2]) + OF_B * B * (m[3] - m[4]);
  g[2] = AA * even_a + BB * even_b + m[5];
}

#endif
