#include "data/loader.h"

#include <string.h>

#include "base/error.h"
#include "base/kernels.h"
#include "base/memory.h"
#include "base/random.h"
#include "data/pixels.h"
#include "data/streams.h"

SAP__KERNELS_DECLARE(const sap__pixels, sap__pixels);

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
  shuffle(loader->order, count, sap__random_stream(seed, SAP__STREAM_HOLD_OUT, 0, 0));
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
  loader->seed = seed;
  loader->iteration = iteration;
  loader->epoch = epoch;
  memcpy(loader->order, loader->pictures, loader->count * sizeof *loader->order);
  shuffle(loader->order, loader->count,
          sap__random_stream(seed, SAP__STREAM_ORDER, (uint64_t)iteration, (uint64_t)epoch));
}

/* ---- pictures as they enter a batch ---- */

size_t sap__loader_element(const sap__loader *loader) { return loader->split->floats ? sizeof(float) : 1; }

static int64_t plane_size(const sap_dataset *set) { return (int64_t)set->height * set->width; }

/* The picture's elements (C, H, W) in the set. */
static const uint8_t *elements_of(const sap__loader *loader, uint32_t number) {
  const sap_split *split = loader->split;
  size_t picture = (size_t)loader->set->channels * (size_t)plane_size(loader->set);
  return split->floats ? (const uint8_t *)(split->floats + number * picture) : split->pixels + number * picture;
}

static sap__crop crop_of(const sap__loader *loader, uint32_t number) {
  return sap__crop_draw(loader->seed, loader->iteration, loader->epoch, number, loader->set->height,
                        loader->set->width);
}

/* n elements of one channel. */
static void normalise(const sap__loader *loader, int channel, const void *elements, int64_t n, float *x) {
  const sap_dataset *set = loader->set;
  const sap__pixels *kernels = SAP__KERNELS_ACTIVE(sap__pixels);
  float mean = set->mean[channel], stddev = set->stddev[channel];
  if (loader->split->floats)
    kernels->floats(elements, x, n, 1 / stddev, -mean / stddev);
  else
    kernels->bytes(elements, x, n, 1 / (255 * stddev), -mean / stddev);
}

/* Rows [begin, end) of the cropped channel `from` (H, W) to out. */
static void crop_rows(const sap__loader *loader, const sap__crop *crop, const uint8_t *from, int begin, int end,
                      void *out) {
  const sap__pixels *kernels = SAP__KERNELS_ACTIVE(sap__pixels);
  const int height = loader->set->height, width = loader->set->width;
  (loader->split->floats ? kernels->crop_floats : kernels->crop_bytes)(crop, from, height, width, begin, end, out);
}

/* A cropped picture, its elements to out (C, H, W). */
static void crop_picture(const sap__loader *loader, uint32_t number, uint8_t *out) {
  const sap__crop crop = crop_of(loader, number);
  const size_t plane = (size_t)plane_size(loader->set) * sap__loader_element(loader);
  for (size_t c = 0; c < (size_t)loader->set->channels; c++)
    crop_rows(loader, &crop, elements_of(loader, number) + c * plane, 0, loader->set->height, out + c * plane);
}

/* A cropped picture as x (C, H, W), through as many rows at a time as stay in the nearest cache. */
static void fill_cropped(const sap__loader *loader, uint32_t number, float *x) {
  float rows[SAP_DATASET_MAX_SIDE];
  const sap_dataset *set = loader->set;
  const sap__crop crop = crop_of(loader, number);
  const size_t plane = (size_t)plane_size(set) * sap__loader_element(loader);
  const int band = (int)(sizeof rows / ((size_t)set->width * sap__loader_element(loader)));
  const uint8_t *from = elements_of(loader, number);
  for (int c = 0; c < set->channels; c++, from += plane)
    for (int y = 0, end; y < set->height; y = end) {
      end = set->height - y < band ? set->height : y + band;
      crop_rows(loader, &crop, from, y, end, rows);
      normalise(loader, c, rows, (int64_t)(end - y) * set->width, x);
      x += (end - y) * set->width;
    }
}

void sap__loader_prepare(const sap__loader *loader, uint32_t first, uint32_t n, void *elements, uint8_t *labels) {
  const sap_dataset *set = loader->set;
  size_t picture = (size_t)set->channels * (size_t)plane_size(set) * sap__loader_element(loader);
  uint8_t *out = elements;
  for (uint32_t i = 0; i < n; i++, out += picture) {
    uint32_t number = loader->order[first + i];
    if (loader->augments)
      crop_picture(loader, number, out);
    else
      memcpy(out, elements_of(loader, number), picture);
    labels[i] = loader->split->labels[number];
  }
}

static void finish_picture(const sap__loader *loader, const uint8_t *elements, float *x) {
  int64_t plane = plane_size(loader->set);
  for (int c = 0; c < loader->set->channels; c++)
    normalise(loader, c, elements + (size_t)(c * plane) * sap__loader_element(loader), plane, x + c * plane);
}

void sap__loader_finish(const sap__loader *loader, const void *elements, uint32_t n, float *x) {
  int64_t picture = loader->set->channels * plane_size(loader->set);
  const uint8_t *from = elements;
  for (uint32_t i = 0; i < n; i++, x += picture, from += (size_t)picture * sap__loader_element(loader))
    finish_picture(loader, from, x);
}

void sap__loader_fill(const sap__loader *loader, uint32_t first, uint32_t n, float *x, uint8_t *labels) {
  int64_t picture = loader->set->channels * plane_size(loader->set);
  for (uint32_t i = 0; i < n; i++, x += picture) {
    uint32_t number = loader->order[first + i];
    if (loader->augments)
      fill_cropped(loader, number, x);
    else
      finish_picture(loader, elements_of(loader, number), x);
    labels[i] = loader->split->labels[number];
  }
}
