/* Finding the c-th smallest key: histograms over its digits, the highest first. */
#include "sapwood/select.h"

#include <string.h>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "base/error.h"
#include "base/memory.h"
#include "base/threads.h"
#include "index/kernel.h"
#include "index/span.h"
#include "sapwood/cpu.h"
#include "tensor/widen.h"

/* Where the search stands: keys whose bits under key_bits equal `key` are still in question, and the one
 * looked for is the rank-th smallest of them. */
typedef struct search {
  uint32_t key, key_bits;
  unsigned shift, bits; /* the digit of this pass: (key >> shift) % 2^bits */
  int native;           /* 1: keys are those of F16 itself, 15 bits */
  uint64_t rank, found; /* found: keys equal to `key` under key_bits */
} search;

typedef struct digit {
  unsigned shift, bits;
} digit;

/* Widened BF16 has nothing but zeros in its low 16 bits: the first of the large digits decides. */
static const digit large_digits[] = {{15, 16}, {0, 15}};
static const digit native_digits[] = {{0, 15}};
static const digit small_digits[] = {{23, 8}, {15, 8}, {7, 8}, {0, 7}};

#define BINS_LARGE 65536
#define BINS_SMALL 256
/* A bin of 32 bits counts a whole piece of this many mask words without overflow. */
#define PIECE_WORDS ((uint64_t)1 << 24)

/* ---- one pass ---- */

/* The key of F16 in its own 15 bits. */
static inline uint32_t native_key(const void *w, size_t i) {
  uint16_t half;
  memcpy(&half, (const char *)w + 2 * i, sizeof half);
  return half & 0x7fff;
}

/* Counts the kept weights of one word one by one. */
static void count_bits(const search *s, const sap__span *span, size_t i, uint64_t word, uint32_t *bins) {
  const void *w = span->w;
  unsigned shift = s->shift;
  uint32_t mask = (1u << s->bits) - 1;
  if (span->dtype == SAP_F32)
    for (; word; word &= word - 1) bins[sap__key(w, SAP_F32, i + (size_t)__builtin_ctzll(word)) >> shift & mask]++;
  else if (span->dtype == SAP_BF16)
    for (; word; word &= word - 1) bins[sap__key(w, SAP_BF16, i + (size_t)__builtin_ctzll(word)) >> shift & mask]++;
  else if (!s->native)
    for (; word; word &= word - 1) bins[sap__key(w, SAP_F16, i + (size_t)__builtin_ctzll(word)) >> shift & mask]++;
  else
    for (; word; word &= word - 1) bins[native_key(w, i + (size_t)__builtin_ctzll(word))]++;
}

/* The top digit of 64 weights, all kept, straight from their bits: two floats or four halves at a time. */
static inline __attribute__((always_inline)) void count_64(const char *w, unsigned lanes, unsigned shift, unsigned bits,
                                                           unsigned up, uint32_t *bins) {
  for (unsigned i = 0; i < 64; i += lanes) {
    uint64_t pack, mask = ((uint64_t)1 << bits) - 1;
    memcpy(&pack, w + 8 * (i / lanes), sizeof pack);
    for (unsigned j = 0; j < lanes; j++) bins[(pack >> (shift + 64 / lanes * j) & mask) << up]++;
  }
}

/* 1 if the weights could be counted 64 at a time. Widened BF16 has its bits 16 places higher. */
static int count_whole(const search *s, const sap__span *span, size_t i, uint32_t *bins) {
  if (span->dtype == SAP_F32 && s->shift == 15)
    count_64((const char *)span->w + 4 * i, 2, 15, 16, 0, bins);
  else if (span->dtype == SAP_F32 && s->shift == 23)
    count_64((const char *)span->w + 4 * i, 2, 23, 8, 0, bins);
  else if (span->dtype == SAP_BF16 && s->shift == 15)
    count_64((const char *)span->w + 2 * i, 4, 0, 15, 1, bins);
  else if (s->native)
    count_64((const char *)span->w + 2 * i, 4, 0, 15, 0, bins);
  else
    return 0;
  return 1;
}

/* Counts all kept keys. */
static void count_all(const search *s, const sap__span *span, const uint64_t *keep, uint32_t *bins) {
  for (size_t i = 0; i < span->n; i += 64) {
    uint64_t word = keep ? keep[i / 64] : ~(uint64_t)0;
    if (span->n - i < 64) word &= ((uint64_t)1 << (span->n - i)) - 1;
    if (word == ~(uint64_t)0 && count_whole(s, span, i, bins)) continue;
    count_bits(s, span, i, word, bins);
  }
}

/* Counts only the keys that share the digits found so far: few, so a vector compare looks for them. */
static void count_matching(const search *s, const sap__span *span, const uint64_t *keep, uint32_t *bins) {
  uint64_t below[SAP__BLOCK_WORDS], equal[SAP__BLOCK_WORDS];
  sap__index_kernels_active()->compare(span->w, span->dtype, (size_t)span->n, s->key_bits, s->key, below, equal);
  for (size_t i = 0; i < (span->n + 63) / 64; i++)
    count_bits(s, span, 64 * i, keep ? equal[i] & keep[i] : equal[i], bins);
}

/* Adds a span of at most SAP__BLOCK weights to the bins. */
static void count_span(const search *s, const sap__span *span, uint32_t *bins) {
  uint64_t words[SAP__BLOCK_WORDS];
  const uint64_t *keep = sap__span_keep(span, words);
  if (s->key_bits)
    count_matching(s, span, keep, bins);
  else
    count_all(s, span, keep, bins);
}

/* Takes the digit whose bin holds the rank-th key. 0 if there are fewer keys than that. */
static int take_digit(search *s, const uint64_t *bins) {
  uint64_t below = 0;
  for (uint32_t bin = 0; bin < 1u << s->bits; bin++) {
    if (below + bins[bin] >= s->rank) {
      s->rank -= below;
      s->found = bins[bin];
      s->key |= bin << s->shift;
      s->key_bits |= ((1u << s->bits) - 1) << s->shift;
      return 1;
    }
    below += bins[bin];
  }
  return 0;
}

static sap_selection selection_of(const search *s, uint64_t c) {
  uint32_t key = s->native ? sap__f16_bits((uint16_t)s->key) : s->key;
  return (sap_selection){c, key, s->rank, s->found};
}

/* ---- one span, small ---- */

/* When so few keys are left they are looked at one by one. */
#define FEW 64

/* The keys still in question, in any order; there are s->found. */
static size_t gather_few(const search *s, const sap__span *span, uint32_t *few) {
  uint64_t words[SAP__BLOCK_WORDS], below[SAP__BLOCK_WORDS], equal[SAP__BLOCK_WORDS];
  size_t count = 0;
  for (uint64_t start = 0; start < span->n && count < s->found; start += SAP__BLOCK) {
    uint64_t left = span->n - start;
    sap__span block = sap__subspan(span, start, left < SAP__BLOCK ? left : SAP__BLOCK);
    const uint64_t *keep = sap__span_keep(&block, words);
    sap__index_kernels_active()->compare(block.w, block.dtype, (size_t)block.n, s->key_bits, s->key, below, equal);
    for (size_t i = 0; i < (block.n + 63) / 64; i++)
      for (uint64_t word = keep ? equal[i] & keep[i] : equal[i]; word; word &= word - 1)
        few[count++] = sap__key(block.w, block.dtype, 64 * i + (size_t)__builtin_ctzll(word));
  }
  return count;
}

/* Finds the rank-th of the few keys by counting, for each, those below and those equal. */
static void take_few(search *s, const uint32_t *few, size_t count) {
  for (size_t i = 0; i < count; i++) {
    uint64_t below = 0, equal = 0;
    for (size_t j = 0; j < count; j++) {
      below += few[j] < few[i];
      equal += few[j] == few[i];
    }
    if (s->rank <= below || s->rank > below + equal) continue;
    s->key = few[i];
    s->rank -= below;
    s->found = equal;
    return;
  }
}

/* One digit of a whole span into total[BINS_SMALL]. */
static void count_small(const search *s, const sap__span *span, uint64_t *total) {
  for (uint64_t start = 0; start < span->n; start += SAP__BLOCK) {
    uint32_t bins[BINS_SMALL] = {0};
    uint64_t left = span->n - start;
    sap__span block = sap__subspan(span, start, left < SAP__BLOCK ? left : SAP__BLOCK);
    count_span(s, &block, bins);
    for (size_t i = 0; i < BINS_SMALL; i++) total[i] += bins[i];
  }
}

sap_selection sap__select_span(const sap__span *span, uint64_t c) {
  search s = {.rank = c};
  if (!c) return (sap_selection){0};
  for (size_t d = 0; d < sizeof small_digits / sizeof *small_digits; d++) {
    uint64_t total[BINS_SMALL] = {0};
    s.shift = small_digits[d].shift;
    s.bits = small_digits[d].bits;
    count_small(&s, span, total);
    (void)take_digit(&s, total);
    if (s.found > FEW) continue;
    uint32_t few[FEW];
    take_few(&s, few, gather_few(&s, span, few));
    break;
  }
  return selection_of(&s, c);
}

/* ---- many layers, large ---- */

sap_status sap__select_scratch_take(sap__select_scratch *scratch, uint64_t weights, sap_error *err) {
  *scratch = (sap__select_scratch){.threads = weights < SAP__PARALLEL_MIN ? 1 : sap_threads_get()};
  size_t bins = BINS_LARGE, threads = (size_t)scratch->threads;
  scratch->total = sap__alloc(bins, sizeof *scratch->total);
  scratch->local = sap__alloc(bins * threads, sizeof *scratch->local);
  if (scratch->total && scratch->local) return SAP_OK;
  sap__select_scratch_drop(scratch);
  return sap__fail_memory(err, bins * sizeof(uint64_t) + bins * threads * sizeof(uint32_t));
}

void sap__select_scratch_drop(sap__select_scratch *scratch) {
  sap__free(scratch->total);
  sap__free(scratch->local);
  scratch->total = NULL;
  scratch->local = NULL;
}

/* One thread's share of a pass: the words [first, last) of the layers, added to `total` piece by piece. */
static void count_share(const search *s, const sap_layer *layers, size_t count, uint64_t first, uint64_t last,
                        uint32_t *local, uint64_t *total) {
  size_t bins = (size_t)1 << s->bits;
  while (first < last) {
    uint64_t words = last - first < PIECE_WORDS ? last - first : PIECE_WORDS;
    sap__walk walk = sap__walk_start(layers, count, first, words);
    sap__span span;
    memset(local, 0, bins * sizeof *local);
    while (sap__walk_next(&walk, &span)) count_span(s, &span, local);
#pragma omp critical
    for (size_t i = 0; i < bins; i++) total[i] += local[i];
    first += words;
  }
}

static void count_layers(const search *s, const sap_layer *layers, size_t count, sap__select_scratch *scratch) {
  uint64_t words = sap__words_total(layers, count);
  memset(scratch->total, 0, ((size_t)1 << s->bits) * sizeof *scratch->total);
  int threads = words * 64 < SAP__PARALLEL_MIN ? 1 : scratch->threads;
#pragma omp parallel for num_threads(threads) schedule(static, 1) if (threads > 1)
  for (int t = 0; t < threads; t++)
    count_share(s, layers, count, sap__part(words, (unsigned)t, (unsigned)threads),
                sap__part(words, (unsigned)t + 1, (unsigned)threads), scratch->local + (size_t)t * BINS_LARGE,
                scratch->total);
}

static int all_of_type(const sap_layer *layers, size_t count, sap_dtype dtype) {
  for (size_t i = 0; i < count; i++)
    if (layers[i].dtype != dtype) return 0;
  return 1;
}

sap_status sap__select_with(const sap_layer *layers, size_t count, uint64_t c, sap__select_scratch *scratch,
                            sap_selection *selection, sap_error *err) {
  if (!c) {
    *selection = (sap_selection){0};
    return SAP_OK;
  }
  search s = {.rank = c, .native = all_of_type(layers, count, SAP_F16)};
  const digit *digits = s.native ? native_digits : large_digits;
  size_t digit_count = s.native || all_of_type(layers, count, SAP_BF16) ? 1 : 2;
  for (size_t d = 0; d < digit_count; d++) {
    s.shift = digits[d].shift;
    s.bits = digits[d].bits;
    count_layers(&s, layers, count, scratch);
    if (!take_digit(&s, scratch->total))
      return sap__fail(err, SAP_ERROR_ARGUMENT, "c is %llu, expected at most the number of kept weights",
                       (unsigned long long)c);
  }
  *selection = selection_of(&s, c);
  return SAP_OK;
}

sap_status sap_select_smallest(const sap_layer *layers, size_t count, uint64_t c, sap_selection *selection,
                               sap_error *err) {
  sap_status status = sap__layers_check(layers, count, 0, err);
  if (status) return status;
  uint64_t weights = sap__words_total(layers, count) * 64;
  sap__select_scratch scratch;
  status = sap__select_scratch_take(&scratch, weights, err);
  if (status) return status;
  status = sap__select_with(layers, count, c, &scratch, selection, err);
  sap__select_scratch_drop(&scratch);
  return status;
}
