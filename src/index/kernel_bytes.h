/* Σ|w|^0.5 and Σ|w| of BF16 in bytes, with sums that round nothing: for AVX-512 with VBMI, which looks up 64 bytes at a
 * time in tables of 128, and VNNI, which multiplies bytes and adds the products to integers.
 *
 * A magnitude is 2^e · (128 + m) · 2^-7, m of 7 bits. With `top` the exponent of the largest weight, or what it was in
 * the block before, and d = top − e:
 *
 *   Σx    = Σ 2^-d · (128 + m), d in 0 … 6 and in 7 … 13 each with multipliers 2^6 … 2^0
 *   Σ√x   = the same with √(1 + m / 128) for 1 + m / 128 and 2^⌊e/2⌋ for 2^e, the even exponents apart from the odd
 *           ones, whose sum is to be multiplied by √2. The root less 1 is a table of four bytes, in units of 2^-33:
 *           off by 2^-34 at the most.
 *
 * 64 weights of which one is neither 0 nor within these 14 powers of two go the way of the other types.
 */
#include "index/kernel_vector.h"

#define TARGET_BYTES __attribute__((target("avx512vbmi,avx512vnni")))
#define BYTES_INLINE static inline __attribute__((always_inline, target("avx512vbmi,avx512vnni")))

enum { ROOT_BYTES = 4, POWERS = 14, POWERS_HALF = POWERS / 2 };

/* (√(1 + m / 128) − 1) · 2^33, rounded. */
static const uint32_t byte_roots[128] = {
    0x00000000, 0x01ff00ff, 0x03fc07ec, 0x05f71a9c, 0x07f03ec7, 0x09e77a08, 0x0bdcd1df, 0x0dd04bb5, 0x0fc1ecd6,
    0x11b1ba76, 0x139fb9b2, 0x158bef8d, 0x177660f6, 0x195f12c2, 0x1b4609b3, 0x1d2b4a74, 0x1f0ed99c, 0x20f0bbad,
    0x22d0f516, 0x24af8a31, 0x268c7f47, 0x2867d88d, 0x2a419a27, 0x2c19c827, 0x2df0668d, 0x2fc57949, 0x3199043b,
    0x336b0b32, 0x353b91ee, 0x370a9c1f, 0x38d82d66, 0x3aa44956, 0x3c6ef373, 0x3e382f34, 0x40000000, 0x41c66933,
    0x438b6e1b, 0x454f11f9, 0x47115801, 0x48d2435b, 0x4a91d723, 0x4c501669, 0x4e0d0432, 0x4fc8a377, 0x5182f726,
    0x533c0223, 0x54f3c746, 0x56aa495c, 0x585f8b2b, 0x5a138f6b, 0x5bc658cc, 0x5d77e9f6, 0x5f284584, 0x60d76e0b,
    0x62856615, 0x64323023, 0x65ddceaf, 0x67884428, 0x693192f6, 0x6ad9bd79, 0x6c80c609, 0x6e26aef4, 0x6fcb7a82,
    0x716f2af4, 0x7311c281, 0x74b3435b, 0x7653afac, 0x77f30997, 0x79915336, 0x7b2e8e9f, 0x7ccabde0, 0x7e65e300,
    0x80000000, 0x819916db, 0x83312984, 0x84c839eb, 0x865e49f6, 0x87f35b88, 0x8987707d, 0x8b1a8aab, 0x8cacabe2,
    0x8e3dd5ef, 0x8fce0a96, 0x915d4b98, 0x92eb9aaf, 0x9478f991, 0x960569f0, 0x9790ed75, 0x991b85c8, 0x9aa5348b,
    0x9c2dfb5a, 0x9db5dbcd, 0x9f3cd779, 0xa0c2efeb, 0xa24826ae, 0xa3cc7d48, 0xa54ff53a, 0xa6d29003, 0xa8544f1a,
    0xa9d533f6, 0xab554005, 0xacd474b6, 0xae52d371, 0xafd05d9b, 0xb14d1495, 0xb2c8f9bc, 0xb4440e69, 0xb5be53f3,
    0xb737cbaa, 0xb8b076df, 0xba2856db, 0xbb9f6ce7, 0xbd15ba47, 0xbe8b403b, 0xc0000000, 0xc173fad1, 0xc2e731e5,
    0xc459a670, 0xc5cb59a2, 0xc73c4ca8, 0xc8ac80ad, 0xca1bf6d9, 0xcb8ab050, 0xccf8ae33, 0xce65f1a2, 0xcfd27bb8,
    0xd13e4d8d, 0xd2a9683a,
};

/* Multipliers by d: 0 beyond the powers in reach. parity 0: those of even exponents. */
typedef struct byte_tables {
  __m512i roots[2 * ROOT_BYTES]; /* (ROOT_BYTES, 2): byte b of the roots of m below 64, and from there on */
  __m512i near, far;             /* d below 7, and from there on */
  __m512i parity[2];
  double unit_near, unit_far, unit_parity[2];
} byte_tables;

typedef struct byte_sums {
  __m512i near, far, ones[2], roots[2][ROOT_BYTES];
  vuint largest; /* keys of 16 bits, shifted by one */
} byte_sums;

/* 2^power; of floats' range. */
SIMD_INLINE double power_of_two(int power) { return sap__double_from_bits((uint64_t)(1023 + power) << 52); }

TARGET_BYTES static void byte_tables_make(byte_tables *t, int top) {
  uint8_t near[64] = {0}, far[64] = {0}, parity[2][64] = {{0}};
  for (int b = 0; b < ROOT_BYTES; b++)
    for (int m = 0; m < 128; m += 16) {
      const __m512i roots = _mm512_srli_epi32(_mm512_loadu_si512(byte_roots + m), (unsigned)(8 * b));
      _mm_storeu_si128((__m128i *)&t->roots[2 * b] + m / 16, _mm512_cvtepi32_epi8(roots));
    }
  for (int d = 0; d < POWERS_HALF; d++) {
    near[d] = far[d + POWERS_HALF] = (uint8_t)(1 << (POWERS_HALF - 1 - d));
    for (int next = 0; next < 2; next++) parity[(top - next) & 1][2 * d + next] = near[d];
  }
  t->near = _mm512_loadu_si512(near);
  t->far = _mm512_loadu_si512(far);
  for (int i = 0; i < 2; i++) t->parity[i] = _mm512_loadu_si512(parity[i]);
  const int exponent = top - 127;
  t->unit_near = power_of_two(exponent - 7 - (POWERS_HALF - 1));
  t->unit_far = power_of_two(exponent - 7 - (POWERS - 1));
  for (int i = 0; i < 2; i++) { /* i: exponents whose biased form is even are odd */
    const int highest = (top & 1) == i ? exponent : exponent - 1;
    t->unit_parity[i] = power_of_two((highest - !i) / 2 - (POWERS_HALF - 1)) * (i ? 1 : 0x1.6a09e667f3bcdp0);
  }
}

/* 64 weights: their bytes of m with the lowest bit of e above it, and d. */
typedef struct byte_words {
  __m512i m, d;
} byte_words;

BYTES_INLINE byte_words byte_words_load(byte_sums *sums, const void *w, __m512i top) {
  const __mmask64 upper = 0xaaaaaaaaaaaaaaaau;
  const __m512i a = _mm512_loadu_si512(w), b = _mm512_loadu_si512((const char *)w + 64);
  const __m512i a_key = _mm512_slli_epi16(a, 1), b_key = _mm512_slli_epi16(b, 1);
  sums->largest = simd_max_u16(simd_max_u16(sums->largest, (vuint)a_key), (vuint)b_key);
  const __m512i e = _mm512_mask_blend_epi8(upper, _mm512_srli_epi16(a_key, 8), b_key);
  return (byte_words){_mm512_mask_blend_epi8(upper, a, _mm512_slli_epi16(b, 8)), _mm512_sub_epi8(top, e)};
}

BYTES_INLINE void add_bytes(byte_sums *sums, const byte_tables *t, byte_words words) {
  const __m512i one = _mm512_set1_epi8(1);
  const __m512i value = _mm512_or_si512(words.m, _mm512_set1_epi8((char)0x80));
  sums->near = _mm512_dpbusd_epi32(sums->near, value, _mm512_permutexvar_epi8(words.d, t->near));
  sums->far = _mm512_dpbusd_epi32(sums->far, value, _mm512_permutexvar_epi8(words.d, t->far));
  const __m512i even = _mm512_permutexvar_epi8(words.d, t->parity[0]);
  const __m512i odd = _mm512_permutexvar_epi8(words.d, t->parity[1]);
  sums->ones[0] = _mm512_dpbusd_epi32(sums->ones[0], one, even);
  sums->ones[1] = _mm512_dpbusd_epi32(sums->ones[1], one, odd);
  for (int b = 0; b < ROOT_BYTES; b++) {
    const __m512i root = _mm512_permutex2var_epi8(t->roots[2 * b], words.m, t->roots[2 * b + 1]);
    sums->roots[0][b] = _mm512_dpbusd_epi32(sums->roots[0][b], root, even);
    sums->roots[1][b] = _mm512_dpbusd_epi32(sums->roots[1][b], root, odd);
  }
}

/* 1 if each of the 64 weights is within the powers or 0. Then d of zeros is such that they add nothing, and they are
 * counted. */
BYTES_INLINE int only_zeros_beyond(byte_words *words, const void *w, uint64_t beyond, uint64_t *zeros) {
  const __m512i key = _mm512_set1_epi16(0x7fff);
  const uint64_t first = _mm512_testn_epi16_mask(_mm512_loadu_si512(w), key);
  const uint64_t second = _mm512_testn_epi16_mask(_mm512_loadu_si512((const char *)w + 64), key);
  const int count = __builtin_popcountll(first) + __builtin_popcountll(second);
  if (__builtin_popcountll(beyond) != count) return 0;
  words->d = _mm512_min_epu8(words->d, _mm512_set1_epi8(63));
  *zeros += (uint64_t)count;
  return 1;
}

TARGET_BYTES static double byte_total(__m512i sum) {
  return (double)_mm512_reduce_add_epi64(
      _mm512_add_epi64(_mm512_and_si512(sum, _mm512_set1_epi64(0xffffffff)), _mm512_srli_epi64(sum, 32)));
}

/* The sums of bytes of n weights; *zeros receives how many are 0. `left` receives the words of 64 weights that were
 * left out; returns how many. */
TARGET_BYTES static size_t run_bytes(byte_sums *sums, const byte_tables *from, int top, const void *w, size_t n,
                                     uint64_t *zeros, uint16_t *left) {
  const byte_tables t = *from;
  byte_sums a;
  size_t left_count = 0;
  memset(&a, 0, sizeof a);
  *zeros = 0;
  for (size_t i = 0; i < n; i += 64) {
    const char *at = (const char *)w + 2 * i;
    fetch_ahead(w, SAP_BF16, i);
    byte_words words = byte_words_load(&a, at, _mm512_set1_epi8((char)top));
    const uint64_t beyond = _mm512_cmpgt_epu8_mask(words.d, _mm512_set1_epi8(POWERS - 1));
    if (__builtin_expect(beyond && !only_zeros_beyond(&words, at, beyond, zeros), 0)) {
      left[left_count++] = (uint16_t)(i / 64);
      continue;
    }
    add_bytes(&a, &t, words);
  }
  *sums = a;
  return left_count;
}

/* half_one of n kept weights. 0 if there is no guess in sums->largest, or n is no multiple of 64. */
TARGET_BYTES static int half_one_bytes(const void *w, size_t n, sap__sums *sums) {
  const uint32_t guess = sums->largest;
  if (n % 64 || guess < 0x1f800000u || guess > 0x7b800000u) return 0; /* 2^-64 … 2^120 */
  byte_tables tables;
  byte_tables_make(&tables, (int)(guess >> 23));
  byte_sums a;
  uint64_t zeros;
  uint16_t left[SAP__BLOCK_WORDS];
  const size_t left_count = run_bytes(&a, &tables, (int)(guess >> 23), w, n, &zeros, left);
  lanes rare;
  memset(&rare, 0, sizeof rare);
  for (size_t i = 0; i < left_count; i++) add_word(&rare, HALF_ONE, w, SAP_BF16, 64 * (size_t)left[i], ALL_KEPT);
  double roots = 0;
  for (int i = 0; i < 2; i++) {
    double part = byte_total(a.ones[i]);
    for (int b = 0; b < ROOT_BYTES; b++) part += byte_total(a.roots[i][b]) * power_of_two(8 * b - 33);
    roots += part * tables.unit_parity[i];
  }
  const vuint largest = simd_max_u((vuint)(a.largest << 16) >> 1, (a.largest & 0xffff0000u) >> 1);
  sums->count = n;
  sums->zeros = zeros + simd_sum_u(rare.nothing);
  sums->largest = simd_largest(largest);
  sums->sum_p = roots + simd_sum_d(rare.p0 + rare.p1) + simd_sum(rare.p_rest);
  sums->sum_q = byte_total(a.near) * tables.unit_near + byte_total(a.far) * tables.unit_far +
                simd_sum_d(rare.q0 + rare.q1) + simd_sum(rare.q_rest);
  return 1;
}
