/* Clearing the mask bits of a selection.
 *
 * Keys below the selection's are cleared in one pass over the chunks. When only some of the ties are to go,
 * that pass counts each chunk's ties and remembers the first few; afterwards every chunk is told how many of
 * its ties go. So ties fall by position whatever the number of threads, and a chunk is read again only if it
 * holds many.
 */
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/threads.h"
#include "index/kernel.h"
#include "index/span.h"
#include "index/wide.h"
#include "sapwood/select.h"
#include "tensor/mask_window.h"

#define TIES_REMEMBERED 16

typedef struct chunk_ties {
  uint64_t count, take;
  struct {
    uint32_t layer;
    uint64_t index;
  } first[TIES_REMEMBERED];
} chunk_ties;

/* Kept weights of a span of at most SAP__BLOCK whose key is below, and equal to, the selection's. */
static void compare_kept(const sap__span *stored, const sap_selection *selection, uint64_t *below, uint64_t *equal) {
  uint64_t words[SAP__BLOCK_WORDS];
  float room[SAP__BLOCK];
  const uint64_t *keep = sap__span_keep(stored, words);
  if (selection->wide) {
    sap__wide_compare(stored, selection->key, selection->key, below, equal);
  } else {
    const sap__span span = sap__span_narrow(stored, room);
    const uint32_t key = (uint32_t)selection->key;
    sap__index_kernels_active()->compare(span.w, span.dtype, (size_t)span.n, key, key, below, equal);
  }
  for (size_t i = 0; keep && i < (stored->n + 63) / 64; i++) {
    below[i] &= keep[i];
    equal[i] &= keep[i];
  }
}

/* Moves the first `take` ties of `equal` to `below`; returns how many it found. */
static uint64_t take_ties(uint64_t *below, const uint64_t *equal, size_t words, uint64_t take) {
  uint64_t taken = 0;
  for (size_t i = 0; i < words && taken < take; i++) {
    if (!equal[i]) continue;
    uint64_t some = sap__lowest_bits(equal[i], take - taken);
    below[i] |= some;
    taken += (uint64_t)__builtin_popcountll(some);
  }
  return taken;
}

static void remember_ties(chunk_ties *ties, const uint64_t *equal, size_t words, size_t layer, uint64_t start) {
  for (size_t i = 0; i < words; i++) {
    uint64_t word = equal[i];
    for (; word && ties->count < TIES_REMEMBERED; word &= word - 1) {
      ties->first[ties->count].layer = (uint32_t)layer;
      ties->first[ties->count].index = start + i * 64 + (uint64_t)__builtin_ctzll(word);
      ties->count++;
    }
    if (word) ties->count += (uint64_t)__builtin_popcountll(word);
  }
}

void sap__select_clear_span(const sap__span *span, const sap_selection *selection) {
  uint64_t below[SAP__BLOCK_WORDS], equal[SAP__BLOCK_WORDS], left = selection->ties;
  if (!selection->count) return;
  for (uint64_t start = 0; start < span->n; start += SAP__BLOCK) {
    uint64_t n = span->n - start < SAP__BLOCK ? span->n - start : SAP__BLOCK;
    sap__span block = sap__subspan(span, start, n);
    compare_kept(&block, selection, below, equal);
    left -= take_ties(below, equal, (size_t)(n + 63) / 64, left);
    sap__mask_remove(block.mask, block.mask_offset, (size_t)n, below);
  }
}

/* The first pass over one chunk. */
static void clear_below(const sap_layer *layers, size_t count, uint64_t first, uint64_t words,
                        const sap_selection *selection, chunk_ties *ties) {
  uint64_t below[SAP__BLOCK_WORDS], equal[SAP__BLOCK_WORDS];
  int all = selection->ties == selection->ties_total;
  sap__walk walk = sap__walk_start(layers, count, first, words);
  sap__span span;
  ties->count = ties->take = 0;
  while (sap__walk_next(&walk, &span)) {
    size_t n = (size_t)(span.n + 63) / 64;
    compare_kept(&span, selection, below, equal);
    if (all)
      for (size_t i = 0; i < n; i++) below[i] |= equal[i];
    else
      remember_ties(ties, equal, n, walk.layer, span.mask_offset);
    uint64_t *mask = span.mask + span.mask_offset / 64;
    for (size_t i = 0; i < n; i++) mask[i] &= ~below[i];
  }
}

/* Clears the first ties->take ties of one chunk. */
static void clear_ties(const sap_layer *layers, size_t count, uint64_t first, uint64_t words,
                       const sap_selection *selection, const chunk_ties *ties) {
  if (ties->take <= TIES_REMEMBERED) {
    for (uint64_t i = 0; i < ties->take; i++) sap_mask_clear(layers[ties->first[i].layer].mask, ties->first[i].index);
    return;
  }
  uint64_t below[SAP__BLOCK_WORDS], equal[SAP__BLOCK_WORDS], left = ties->take;
  sap__walk walk = sap__walk_start(layers, count, first, words);
  sap__span span;
  while (left && sap__walk_next(&walk, &span)) {
    size_t n = (size_t)(span.n + 63) / 64;
    compare_kept(&span, selection, below, equal);
    memset(below, 0, n * sizeof *below);
    left -= take_ties(below, equal, n, left);
    uint64_t *mask = span.mask + span.mask_offset / 64;
    for (size_t i = 0; i < n; i++) mask[i] &= ~below[i];
  }
  sap__pages_done(&walk.pages);
}

void sap_select_clear(const sap_layer *layers, size_t count, const sap_selection *selection) {
  uint64_t words = sap__words_total(layers, count), left = selection->ties;
  if (!selection->count) return;
  uint64_t blocks = (words + SAP__BLOCK_WORDS - 1) / SAP__BLOCK_WORDS;
  unsigned chunks = blocks < SAP__CHUNKS ? (unsigned)blocks : SAP__CHUNKS;
  chunk_ties ties[SAP__CHUNKS];
#pragma omp parallel for schedule(dynamic, 4) if (words >= SAP__PARALLEL_MIN / 64)
  for (unsigned c = 0; c < chunks; c++) {
    uint64_t first = sap__part(words, c, chunks);
    clear_below(layers, count, first, sap__part(words, c + 1, chunks) - first, selection, &ties[c]);
  }
  if (selection->ties == selection->ties_total) return;
  for (unsigned c = 0; c < chunks; c++) {
    ties[c].take = ties[c].count < left ? ties[c].count : left;
    left -= ties[c].take;
  }
#pragma omp parallel for schedule(dynamic, 4) if (words >= SAP__PARALLEL_MIN / 64)
  for (unsigned c = 0; c < chunks; c++) {
    uint64_t first = sap__part(words, c, chunks);
    clear_ties(layers, count, first, sap__part(words, c + 1, chunks) - first, selection, &ties[c]);
  }
}

/* Adds what one chunk holds of each layer below the key, and equal to it. */
static void count_chunk(const sap_layer *layers, size_t count, uint64_t first, uint64_t words,
                        const sap_selection *selection, uint64_t *taken, uint64_t *ties) {
  uint64_t below[SAP__BLOCK_WORDS], equal[SAP__BLOCK_WORDS];
  sap__walk walk = sap__walk_start(layers, count, first, words);
  sap__span span;
  while (sap__walk_next(&walk, &span)) {
    uint64_t less = 0, same = 0;
    compare_kept(&span, selection, below, equal);
    for (size_t i = 0; i < (size_t)(span.n + 63) / 64; i++) {
      less += (uint64_t)__builtin_popcountll(below[i]);
      same += (uint64_t)__builtin_popcountll(equal[i]);
    }
#pragma omp atomic
    taken[walk.layer] += less;
#pragma omp atomic
    ties[walk.layer] += same;
  }
}

sap_status sap_select_counts(const sap_layer *layers, size_t count, const sap_selection *selection, uint64_t *taken,
                             sap_error *err) {
  uint64_t words = sap__words_total(layers, count), left = selection->ties, *ties = sap__calloc(count, sizeof *ties);
  if (!ties) return sap__fail_memory(err, count * sizeof *ties);
  memset(taken, 0, count * sizeof *taken);
  uint64_t blocks = (words + SAP__BLOCK_WORDS - 1) / SAP__BLOCK_WORDS;
  unsigned chunks = !selection->count ? 0 : blocks < SAP__CHUNKS ? (unsigned)blocks : SAP__CHUNKS;
#pragma omp parallel for schedule(dynamic, 4) if (words >= SAP__PARALLEL_MIN / 64)
  for (unsigned c = 0; c < chunks; c++) {
    uint64_t first = sap__part(words, c, chunks);
    count_chunk(layers, count, first, sap__part(words, c + 1, chunks) - first, selection, taken, ties);
  }
  for (size_t i = 0; i < count && left; i++) { /* ties go by position: layer by layer */
    uint64_t some = ties[i] < left ? ties[i] : left;
    taken[i] += some;
    left -= some;
  }
  sap__free(ties);
  return SAP_OK;
}
