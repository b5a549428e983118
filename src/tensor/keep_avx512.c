#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

/* Bits that say which elements a load takes are what a mask holds. */
static inline __attribute__((always_inline)) void keep_word(char *to, const char *from, size_t size, uint64_t word) {
  for (size_t at = 0; at<64 * size; at += 64, word = size> 1 ? word >> 64 / size : 0) {
    const __m512i x = size == 1   ? _mm512_maskz_loadu_epi8((__mmask64)word, from + at)
                      : size == 2 ? _mm512_maskz_loadu_epi16((__mmask32)word, from + at)
                      : size == 4 ? _mm512_maskz_loadu_epi32((__mmask16)word, from + at)
                                  : _mm512_maskz_loadu_epi64((__mmask8)word, from + at);
    _mm512_storeu_si512(to + at, x);
  }
}

#define KEEP_WORD keep_word
#include "tensor/keep_kernel.h"

const sap__keep_kernels sap__keep_avx512 = {keep_of_size};
