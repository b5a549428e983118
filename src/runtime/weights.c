#include "runtime/weights.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "sapwood/mask.h"

/* Room for the kept ones of n weights. */
static sap_status make_room(const uint64_t *mask, uint64_t n, sap__kept_weights *weights, sap_error *err) {
  sap__kept_weights out = {.count = mask ? sap_mask_count(mask, n) : n};
  out.values = sap__alloc(out.count, sizeof *out.values);
  if (mask) out.positions = sap__alloc(out.count, sizeof *out.positions);
  if (!out.values || (mask && !out.positions)) {
    sap__kept_weights_free(&out);
    return sap__fail_memory(err, out.count * sizeof(float));
  }
  *weights = out;
  return SAP_OK;
}

sap_status sap__kept_weights_place(const uint64_t *mask, uint64_t n, sap__kept_weights *weights, sap_error *err) {
  sap_status status = make_room(mask, n, weights, err);
  if (status) return status;
  uint64_t k = 0;
  for (uint64_t word = 0; word < sap_mask_words(n); word++)
    for (uint64_t bits = mask[word]; bits; bits &= bits - 1)
      weights->positions[k++] = (uint32_t)(64 * word + (uint64_t)__builtin_ctzll(bits));
  return SAP_OK;
}

sap_status sap__kept_weights_make(const float *w, const uint64_t *mask, uint64_t n, sap__kept_weights *weights,
                                  sap_error *err) {
  sap_status status = mask ? sap__kept_weights_place(mask, n, weights, err) : make_room(NULL, n, weights, err);
  if (!status && !mask) memcpy(weights->values, w, n * sizeof *w);
  for (uint64_t k = 0; !status && mask && k < weights->count; k++) weights->values[k] = w[weights->positions[k]];
  return status;
}

void sap__kept_weights_free(sap__kept_weights *weights) {
  sap__free(weights->positions);
  sap__free(weights->values);
  *weights = (sap__kept_weights){0};
}
