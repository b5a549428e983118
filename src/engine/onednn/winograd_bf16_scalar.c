/* Winograd's passes in plain C: what the others are checked against. */
#define LANES_BF16 1
#define SIDE 2
#define VECTORS 2
#include "engine/onednn/lanes.h"

LANES_INLINE lanes_u pairs(lanes_f low, lanes_f high) {
  lanes_u both;
  for (int i = 0; i < LANES; i++) both[i] = bf16_of(low[i]) | (uint32_t)bf16_of(high[i]) << 16;
  return both;
}
LANES_INLINE void put(uint16_t *to, lanes_f x) { bf16_write(to, x); }
LANES_INLINE lanes_f dot(lanes_f sum, lanes_u a, lanes_u b) {
  return sum + (lanes_f)(a << 16) * (lanes_f)(b << 16) + (lanes_f)(a & 0xffff0000u) * (lanes_f)(b & 0xffff0000u);
}

#include "engine/onednn/winograd_kernel.h"

const sap__winograd_kernels sap__winograd_bf16_scalar = {
    "sap_wino_2x3:plain", 2, SIDE, LANES, OUTPUTS, weights_in, run_pass, run_gradients, weights_out};
