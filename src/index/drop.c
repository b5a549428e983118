/* Masks from the weights: what is zero, what is not finite. */
#include "base/threads.h"
#include "index/kernel.h"
#include "index/wide.h"

typedef enum what { ZEROS, NONFINITE } what;

/* The weights of a span of at most SAP__BLOCK that are meant. */
static void look(const sap__span *stored, what meant, uint64_t *found) {
  uint64_t below[SAP__BLOCK_WORDS], inside[SAP__BLOCK_WORDS];
  float room[SAP__BLOCK];
  const uint64_t low = meant == ZEROS ? 1 : 0;
  if (stored->dtype == SAP_F64) {
    sap__wide_compare(stored, low, SAP__WIDE_INFINITY - 1, below, inside);
  } else {
    const sap__span span = sap__span_narrow(stored, room);
    sap__index_kernels_active()->compare(span.w, span.dtype, (size_t)span.n, (uint32_t)low, SAP__KEY_INFINITY - 1,
                                         below, inside);
  }
  for (size_t i = 0; i < (stored->n + 63) / 64; i++) {
    const uint64_t left = stored->n - 64 * i, all = left < 64 ? ((uint64_t)1 << left) - 1 : ~(uint64_t)0;
    found[i] = meant == ZEROS ? below[i] : all & ~inside[i];
  }
}

static uint64_t drop_words(const sap_layer *layer, what meant, uint64_t first, uint64_t words) {
  uint64_t found[SAP__BLOCK_WORDS], dropped = 0;
  sap__walk walk = sap__walk_start(layer, 1, first, words);
  sap__span span;
  while (sap__walk_next(&walk, &span)) {
    uint64_t *mask = span.mask + span.mask_offset / 64;
    look(&span, meant, found);
    for (size_t i = 0; i < (span.n + 63) / 64; i++) {
      dropped += (uint64_t)__builtin_popcountll(mask[i] & found[i]);
      mask[i] &= ~found[i];
    }
  }
  return dropped;
}

static uint64_t drop(const sap_layer *layer, what meant) {
  const uint64_t words = sap_mask_words(layer->count), blocks = (words + SAP__BLOCK_WORDS - 1) / SAP__BLOCK_WORDS;
  const unsigned chunks = blocks < SAP__CHUNKS ? (unsigned)blocks : SAP__CHUNKS;
  uint64_t dropped = 0;
#pragma omp parallel for schedule(dynamic, 4) reduction(+ : dropped) if (layer->count >= SAP__PARALLEL_MIN)
  for (unsigned c = 0; c < chunks; c++) {
    const uint64_t first = sap__part(words, c, chunks);
    dropped += drop_words(layer, meant, first, sap__part(words, c + 1, chunks) - first);
  }
  return dropped;
}

uint64_t sap_layer_drop_zeros(const sap_layer *layer) { return drop(layer, ZEROS); }

uint64_t sap_layer_drop_nonfinite(const sap_layer *layer) { return drop(layer, NONFINITE); }
