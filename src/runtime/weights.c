#include "runtime/weights.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "sapwood/mask.h"

sap_status sap__kept_weights_make(const float *w, const uint64_t *mask, uint64_t n, sap__kept_weights *weights,
                                  sap_error *err) {
  sap__kept_weights out = {.count = mask ? sap_mask_count(mask, n) : n};
  out.values = sap__alloc(out.count, sizeof *out.values);
  if (mask) out.positions = sap__alloc(out.count, sizeof *out.positions);
  if (!out.values || (mask && !out.positions)) {
    sap__kept_weights_free(&out);
    return sap__fail_memory(err, out.count * sizeof(float));
  }
  if (!mask) memcpy(out.values, w, n * sizeof *w);
  uint64_t k = 0;
  for (uint64_t word = 0; mask && word < sap_mask_words(n); word++)
    for (uint64_t bits = mask[word]; bits; bits &= bits - 1) {
      uint64_t i = 64 * word + (uint64_t)__builtin_ctzll(bits);
      out.positions[k] = (uint32_t)i;
      out.values[k++] = w[i];
    }
  *weights = out;
  return SAP_OK;
}

void sap__kept_weights_free(sap__kept_weights *weights) {
  sap__free(weights->positions);
  sap__free(weights->values);
  *weights = (sap__kept_weights){0};
}
