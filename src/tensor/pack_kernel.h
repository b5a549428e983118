/* The template: the includer's flags choose the instruction set. AVX-512 can move the lanes that a mask names to one
 * end of a vector and back, which is packing; the others do that element by element. */
#include "base/simd.h"
#include "tensor/pack_plain.h"

/* ---- which are not zero: 64 elements a word ---- */

#define NONZERO_WORDS(bytes, load)                                            \
  for (; done + 64 <= n; done += 64) {                                        \
    uint64_t zeros = 0;                                                       \
    for (unsigned i = 0; i < 64; i += SIMD_LANES)                             \
      zeros |= simd_zeros((load(from + (done + i) * (bytes))) & wanted) << i; \
    mask[done / 64] = ~zeros;                                                 \
  }

static void nonzeros(const void *elements, size_t size, uint64_t bits, uint64_t n, uint64_t *mask) {
  const char *from = elements;
  uint64_t done = 0;
  if (size == 4) {
    const vuint wanted = simd_all_u((uint32_t)bits);
    NONZERO_WORDS(4, simd_load_u)
  } else if (size == 2) {
    const vuint wanted = simd_all_u((uint32_t)bits << 16);
    NONZERO_WORDS(2, simd_load_bf16)
  }
  sap__nonzeros_plain(from + done * size, size, bits, n - done, mask + done / 64);
}

#if SIMD_LANES == 16

/* ---- 16 elements of 1, 2 or 4 bytes as a vector, and its first `count` lanes or all as elements ---- */

SIMD_INLINE __m512i load(const char *from, size_t size) {
  if (size == 4) return _mm512_loadu_si512(from);
  if (size == 2) return _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)from));
  return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)from));
}

SIMD_INLINE void store(char *to, size_t size, __m512i x) {
  if (size == 4)
    _mm512_storeu_si512(to, x);
  else if (size == 2)
    _mm256_storeu_si256((__m256i *)to, _mm512_cvtepi32_epi16(x));
  else
    _mm_storeu_si128((__m128i *)to, _mm512_cvtepi32_epi8(x));
}

/* Reads and writes that end within 16 elements of the last go by way of a vector's room of their own. */
SIMD_INLINE __m512i load_some(const char *from, size_t size, unsigned count) {
  char room[64] = {0};
  memcpy(room, from, count * size);
  return load(room, size);
}

SIMD_INLINE void store_some(char *to, size_t size, unsigned count, __m512i x) {
  char room[64];
  store(room, size, x);
  memcpy(to, room, count * size);
}

SIMD_INLINE uint64_t count_bits(const uint64_t *mask, uint64_t words) {
  uint64_t count = 0;
  for (uint64_t i = 0; i < words; i++) count += (uint64_t)__builtin_popcountll(mask[i]);
  return count;
}

SIMD_INLINE uint64_t pack_size(const char *from, size_t size, const uint64_t *mask, uint64_t n, char *to) {
  uint64_t packed = 0, left = count_bits(mask, n / 64);
  for (uint64_t start = 0; start < n / 64 * 64; start += 64) {
    uint64_t word = mask[start / 64];
    for (unsigned i = 0; word; i += 16, word >>= 16) {
      const unsigned count = (unsigned)__builtin_popcountll(word & 0xffff);
      if (!count) continue;
      const __m512i x = _mm512_maskz_compress_epi32((__mmask16)word, load(from + (start + i) * size, size));
      if (left - packed >= 16)
        store(to + packed * size, size, x);
      else
        store_some(to + packed * size, size, count, x);
      packed += count;
    }
  }
  const uint64_t rest = n / 64 * 64;
  return packed + sap__pack_plain(from + rest * size, size, mask + n / 64, n - rest, to + packed * size);
}

SIMD_INLINE uint64_t unpack_size(const char *from, size_t size, const uint64_t *mask, uint64_t n, char *to) {
  uint64_t taken = 0, left = count_bits(mask, n / 64);
  for (uint64_t start = 0; start < n / 64 * 64; start += 64) {
    uint64_t word = mask[start / 64];
    for (unsigned i = 0; i < 64; i += 16, word >>= 16) {
      const unsigned count = (unsigned)__builtin_popcountll(word & 0xffff);
      const char *at = from + taken * size;
      const __m512i x = left - taken >= 16 ? load(at, size) : load_some(at, size, (unsigned)(left - taken));
      store(to + (start + i) * size, size, _mm512_maskz_expand_epi32((__mmask16)word, x));
      taken += count;
    }
  }
  const uint64_t rest = n / 64 * 64;
  return taken + sap__unpack_plain(from + taken * size, size, mask + n / 64, n - rest, to + rest * size);
}

static uint64_t pack(const void *elements, size_t size, const uint64_t *mask, uint64_t n, void *values) {
  switch (size) { /* constants, so that what depends on the size is decided once */
    case 1: return pack_size(elements, 1, mask, n, values);
    case 2: return pack_size(elements, 2, mask, n, values);
    case 4: return pack_size(elements, 4, mask, n, values);
    default: return sap__pack_plain(elements, size, mask, n, values);
  }
}

static uint64_t unpack(const void *values, size_t size, const uint64_t *mask, uint64_t n, void *elements) {
  switch (size) {
    case 1: return unpack_size(values, 1, mask, n, elements);
    case 2: return unpack_size(values, 2, mask, n, elements);
    case 4: return unpack_size(values, 4, mask, n, elements);
    default: return sap__unpack_plain(values, size, mask, n, elements);
  }
}

#else

static uint64_t pack(const void *elements, size_t size, const uint64_t *mask, uint64_t n, void *values) {
  return sap__pack_plain(elements, size, mask, n, values);
}

static uint64_t unpack(const void *values, size_t size, const uint64_t *mask, uint64_t n, void *elements) {
  return sap__unpack_plain(values, size, mask, n, elements);
}

#endif
