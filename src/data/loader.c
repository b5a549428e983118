#include "data/loader.h"

#include <string.h>

#include "base/error.h"
#include "base/kernels.h"
#include "base/memory.h"
#include "base/random.h"
#include "data/pixels.h"

/* Purposes of random streams. */
enum { STREAM_ORDER = 2, STREAM_HOLD_OUT = 3 };

SAP__KERNELS_DECLARE(sap__pixels_function, sap__pixels);

static sap_status take_lists(sap__loader *loader, uint32_t count, sap_error *err) {
  loader->count = count;
  loader->pictures = sap__calloc(count, sizeof(uint32_t));
  loader->order = sap__calloc(count, sizeof(uint32_t));
  if (loader->pictures && loader->order) return SAP_OK;
  sap__loader_free(loader);
  return sap__fail_memory(err, 2 * count * sizeof(uint32_t));
}

sap_status sap__loader_new(const sap_dataset *set, const sap_split *split, sap__loader *loader, sap_error *err) {
  *loader = (sap__loader){.set = set, .split = split};
  sap_status status = take_lists(loader, split->count, err);
  if (status) return status;
  for (uint32_t i = 0; i < split->count; i++) loader->order[i] = loader->pictures[i] = i;
  return SAP_OK;
}

/* Fisher and Yates. */
static void shuffle(uint32_t *list, uint32_t count, sap__random random) {
  for (uint32_t i = count; i > 1; i--) {
    uint32_t j = sap__random_below(&random, i), moved = list[i - 1];
    list[i - 1] = list[j];
    list[j] = moved;
  }
}

sap_status sap__loader_hold_out(sap__loader *loader, uint32_t held, uint64_t seed, sap__loader *other, sap_error *err) {
  *other = (sap__loader){.set = loader->set, .split = loader->split};
  sap_status status = take_lists(other, held, err);
  if (status) return status;
  uint32_t count = loader->count, kept = 0, taken = 0;
  /* The first `held` of a shuffled list are marked by the sign bit, so both lists stay rising. */
  shuffle(loader->order, count, sap__random_stream(seed, STREAM_HOLD_OUT, 0, 0));
  const uint32_t mark = 1u << 31;
  for (uint32_t i = 0; i < held; i++) loader->pictures[loader->order[i]] |= mark;
  for (uint32_t i = 0; i < count; i++) {
    if (loader->pictures[i] & mark)
      other->pictures[taken++] = loader->pictures[i] & ~mark;
    else
      loader->pictures[kept++] = loader->pictures[i];
  }
  loader->count = kept;
  memcpy(loader->order, loader->pictures, kept * sizeof *loader->order);
  memcpy(other->order, other->pictures, taken * sizeof *other->order);
  return SAP_OK;
}

void sap__loader_free(sap__loader *loader) {
  sap__free(loader->pictures);
  sap__free(loader->order);
  loader->pictures = loader->order = NULL;
}

void sap__loader_shuffle(sap__loader *loader, uint64_t seed, int iteration, int epoch) {
  memcpy(loader->order, loader->pictures, loader->count * sizeof *loader->order);
  shuffle(loader->order, loader->count, sap__random_stream(seed, STREAM_ORDER, (uint64_t)iteration, (uint64_t)epoch));
}

void sap__loader_fill(const sap__loader *loader, uint32_t first, uint32_t n, float *x, uint8_t *labels) {
  const sap_dataset *set = loader->set;
  sap__pixels_function *convert = SAP__KERNELS_ACTIVE(sap__pixels);
  int64_t plane = (int64_t)set->height * set->width, picture = set->channels * plane;
  for (uint32_t i = 0; i < n; i++) {
    uint32_t number = loader->order[first + i];
    const uint8_t *u = loader->split->pixels + number * picture; /* (C, H, W) */
    for (int c = 0; c < set->channels; c++) {
      float scale = 1 / (255 * set->stddev[c]), shift = -set->mean[c] / set->stddev[c];
      convert(u + c * plane, x + i * picture + c * plane, plane, scale, shift);
    }
    labels[i] = loader->split->labels[number];
  }
}
