#include "index/span.h"

#include <stdio.h>

#include "base/error.h"
#include "index/kernel.h"
#include "tensor/mask_window.h"

const uint64_t *sap__span_keep(const sap__span *span, uint64_t *words) {
  if (!span->mask) return NULL;
  if (span->mask_offset % 64 == 0 && span->n % 64 == 0) return span->mask + span->mask_offset / 64;
  sap__mask_read(span->mask, span->mask_offset, (size_t)span->n, words);
  return words;
}

sap__span sap__span_narrow(const sap__span *span, float *room) {
  sap__span narrow = *span;
  if (!sap__dtype_f8(span->dtype)) return narrow;
  sap_dtype_to_f32(span->dtype, span->w, room, (size_t)span->n);
  narrow.w = room;
  narrow.dtype = SAP_F32;
  return narrow;
}

void sap_layer_release(const sap_layer *layer) {
  if (layer->mapped) sap__pages_drop(layer->data, (size_t)layer->count * sap__dtype_size(layer->dtype));
}

uint64_t sap__words_total(const sap_layer *layers, size_t count) {
  uint64_t words = 0;
  for (size_t i = 0; i < count; i++) words += sap_mask_words(layers[i].count);
  return words;
}

sap__walk sap__walk_start(const sap_layer *layers, size_t count, uint64_t first, uint64_t words) {
  sap__walk walk = {layers, count, 0, first, words, SAP__PAGES_NONE};
  while (walk.layer < count && walk.word >= sap_mask_words(layers[walk.layer].count))
    walk.word -= sap_mask_words(layers[walk.layer++].count);
  return walk;
}

int sap__walk_next(sap__walk *walk, sap__span *span) {
  while (walk->layer < walk->count && walk->word >= sap_mask_words(walk->layers[walk->layer].count)) {
    walk->layer++;
    walk->word = 0;
  }
  if (!walk->left || walk->layer == walk->count) {
    sap__pages_done(&walk->pages);
    return 0;
  }
  const sap_layer *layer = &walk->layers[walk->layer];
  uint64_t words = sap_mask_words(layer->count) - walk->word;
  if (words > walk->left) words = walk->left;
  if (words > SAP__BLOCK_WORDS) words = SAP__BLOCK_WORDS;
  uint64_t start = walk->word * 64, n = layer->count - start < words * 64 ? layer->count - start : words * 64;
  sap__span whole = sap__layer_span(layer);
  *span = sap__subspan(&whole, start, n);
  if (layer->mapped) sap__pages_read(&walk->pages, span->w, sap__span_end(span));
  walk->word += words;
  walk->left -= words;
  return 1;
}

sap_status sap__fail_layer(sap_error *err, sap_status code, const sap_layer *layer, size_t position) {
  char text[32];
  snprintf(text, sizeof text, "layer %zu", position);
  return sap__fail_prefix(err, code, layer->name ? layer->name : text);
}

sap_status sap__layers_check(const sap_layer *layers, size_t count, int with_mask, sap_error *err) {
  if (count && !layers) return sap__fail(err, SAP_ERROR_ARGUMENT, "layers is NULL, expected %zu layers", count);
  for (size_t i = 0; i < count; i++) {
    const sap_layer *layer = &layers[i];
    if (!sap_dtype_prunable(layer->dtype)) {
      sap__fail(err, SAP_ERROR_ARGUMENT, "dtype %s, expected " SAP__PRUNABLE_TYPES, sap_dtype_name(layer->dtype));
      return sap__fail_layer(err, SAP_ERROR_ARGUMENT, layer, i);
    }
    if (layer->count && !layer->data) {
      sap__fail(err, SAP_ERROR_ARGUMENT, "data is NULL, expected %llu elements", (unsigned long long)layer->count);
      return sap__fail_layer(err, SAP_ERROR_ARGUMENT, layer, i);
    }
    if (with_mask && layer->count && !layer->mask) {
      sap__fail(err, SAP_ERROR_ARGUMENT, "no mask, expected one to prune");
      return sap__fail_layer(err, SAP_ERROR_ARGUMENT, layer, i);
    }
  }
  return SAP_OK;
}
