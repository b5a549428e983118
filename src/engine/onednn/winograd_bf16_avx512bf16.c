/* Winograd's passes by the bf16 instructions of AVX-512. */
#include <immintrin.h>

#define LANES_BF16 1
#define SIDE 2
#define VECTORS 4
#include "engine/onednn/lanes.h"

LANES_INLINE lanes_u pairs(lanes_f low, lanes_f high) {
  const __m512i halves = (__m512i)_mm512_cvtne2ps_pbh((__m512)high, (__m512)low);
  const __m512i order =
      (__m512i)(lanes_u){0x100000, 0x110001, 0x120002, 0x130003, 0x140004, 0x150005, 0x160006, 0x170007,
                         0x180008, 0x190009, 0x1a000a, 0x1b000b, 0x1c000c, 0x1d000d, 0x1e000e, 0x1f000f};
  return (lanes_u)_mm512_permutexvar_epi16(order, halves);
}
LANES_INLINE void put(uint16_t *to, lanes_f x) {
  _mm256_storeu_si256((__m256i *)to, (__m256i)_mm512_cvtneps_pbh((__m512)x));
}
LANES_INLINE lanes_f dot(lanes_f sum, lanes_u a, lanes_u b) {
  return (lanes_f)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
}

#include "engine/onednn/winograd_kernel.h"

extern const sap__winograd_kernels sap__winograd_bf16_avx512bf16;
const sap__winograd_kernels sap__winograd_bf16_avx512bf16 = {
    "sap_wino_2x3:avx512_bf16", 2, SIDE, LANES, OUTPUTS, weights_in, run_pass, run_gradients, weights_out};
