#include "runtime/weights.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "sapwood/mask.h"
#include "tensor/pack.h"
#include "tensor/widen.h"

sap_status sap__kept_weights_take(const void *elements, sap_dtype dtype, uint64_t *mask, uint64_t n,
                                  sap__kept_weights *weights, sap_error *err) {
  const size_t size = sap_dtype_bits(dtype) / 8;
  sap__kept_weights out = {.total = n, .count = mask ? sap_mask_count(mask, n) : n, .dtype = dtype, .mask = mask};
  out.values = out.own_values = sap__alloc(out.count, size);
  if (!out.own_values) {
    sap__kept_weights_free(&out);
    return sap__fail_memory(err, out.count * size);
  }
  if (mask)
    (void)sap__pack(elements, size, mask, n, out.own_values);
  else
    memcpy(out.own_values, elements, n * size);
  *weights = out;
  return SAP_OK;
}

sap_status sap__kept_weights_make(const float *w, const uint64_t *mask, uint64_t n, sap__kept_weights *weights,
                                  sap_error *err) {
  const size_t words = sap_mask_words(n);
  uint64_t *copy = mask ? sap__alloc(words, sizeof *copy) : NULL;
  if (mask && !copy) return sap__fail_memory(err, words * sizeof *copy);
  if (mask) memcpy(copy, mask, words * sizeof *copy);
  return sap__kept_weights_take(w, SAP_F32, copy, n, weights, err);
}

void sap__kept_weights_free(sap__kept_weights *weights) {
  sap__free(weights->own_values);
  sap__free(weights->mask);
  *weights = (sap__kept_weights){0};
}

/* ---- as numbers ---- */

static void positions_of_mask(const uint64_t *mask, uint64_t n, uint32_t *positions) {
  for (uint64_t word = 0; word < sap_mask_words(n); word++)
    for (uint64_t bits = mask[word]; bits; bits &= bits - 1)
      *positions++ = (uint32_t)(64 * word + (uint64_t)__builtin_ctzll(bits));
}

static sap_status make_positions(const sap__kept_weights *weights, sap__kept_list *list, sap_error *err) {
  const char *wrong = NULL;
  list->positions = list->own_positions = sap__alloc(weights->count, sizeof *list->own_positions);
  if (!list->own_positions) return sap__fail_memory(err, weights->count * sizeof *list->own_positions);
  if (weights->mask) {
    positions_of_mask(weights->mask, weights->total, list->own_positions);
    return SAP_OK;
  }
  sap_status status = sap__sparse_positions(&weights->code, list->own_positions, &wrong, err);
  if (wrong) status = sap__fail(err, SAP_ERROR_IO, "the model's file changed while it was open: %s", wrong);
  return status;
}

/* By the scale of the row that a weight is in. */
static void scale_rows(const sap__kept_weights *weights, const sap__kept_list *list, float *values) {
  const uint64_t row = weights->total / weights->rows;
  for (uint64_t k = 0; k < weights->count; k++) {
    float scale;
    memcpy(&scale, (const char *)weights->scales + sap__kept_position(list, k) / row * sizeof scale, sizeof scale);
    values[k] *= scale;
  }
}

static void widen(const void *from, sap_dtype dtype, uint64_t count, float *to) {
  if (dtype == SAP_F32) {
    memcpy(to, from, count * sizeof *to);
    return;
  }
  for (uint64_t k = 0; k < count; k++)
    to[k] = dtype == SAP_I8 ? (float)((const int8_t *)from)[k] : sap__float_from_bits(sap__float_bits(from, dtype, k));
}

static sap_status make_values(const sap__kept_weights *weights, sap__kept_list *list, sap_error *err) {
  list->values = weights->values;
  if (weights->dtype == SAP_F32 && !weights->scales && (uintptr_t)weights->values % sizeof(float) == 0) return SAP_OK;
  list->values = list->own_values = sap__alloc(weights->count, sizeof *list->own_values);
  if (!list->own_values) return sap__fail_memory(err, weights->count * sizeof *list->own_values);
  widen(weights->values, weights->dtype, weights->count, list->own_values);
  if (weights->scales) scale_rows(weights, list, list->own_values);
  return SAP_OK;
}

sap_status sap__kept_list_make(const sap__kept_weights *weights, sap__kept_list *list, sap_error *err) {
  *list = (sap__kept_list){.count = weights->count};
  sap_status status = weights->mask || weights->code.view ? make_positions(weights, list, err) : SAP_OK;
  if (!status) status = make_values(weights, list, err);
  if (status) sap__kept_list_free(list);
  return status;
}

void sap__kept_list_free(sap__kept_list *list) {
  sap__free(list->own_positions);
  sap__free(list->own_values);
  *list = (sap__kept_list){0};
}
