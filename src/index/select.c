/* Selection over many layers.
 *
 * The key is hardly ever looked for among all keys: a sample of the weights says where it must be nearly, and one
 * pass then counts what lies below that interval and, bin by bin, what lies inside. Should the key lie outside
 * after all, the search begins again with all keys; so the sample decides the time, never the result.
 */
#include "sapwood/select.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/threads.h"
#include "index/search.h"
#include "index/wide.h"
#include "sapwood/cpu.h"

#define BINS 65536u
/* Bins that stay in the nearest cache, taken where a second pass can finish. */
#define BINS_NEAR 4096u
/* Bins where a pass over the weights takes longer than these: then the first pass is mostly the last. So many as long
 * as those of all threads stay within so many bytes. */
#define BINS_MANY ((size_t)1 << 20)
#define BINS_BYTES ((size_t)64 << 20)
#define MANY_MIN ((uint64_t)1 << 26) /* weights */
/* A bin of 32 bits counts a whole piece of this many mask words without overflow. */
#define PIECE_WORDS ((uint64_t)1 << 24)

/* A sample costs a cache miss a weight: it pays from this many weights on. */
#define SAMPLE 16384u
/* Where the bins are many, not one weight is taken for each miss but a line of the cache. Neighbours are more alike
 * than weights far apart: they count as this many fewer. */
#define SAMPLE_RUN 16u
#define SAMPLE_ALIKE 3.0
#define SAMPLE_MIN ((uint64_t)1 << 20)
/* Bytes of a mapped file that it passes before their pages are given back: some hundred weights. */
#define SAMPLE_REACH ((size_t)8 << 20)

sap_status sap__select_scratch_take(sap__select_scratch *scratch, uint64_t weights, sap_error *err) {
  *scratch = (sap__select_scratch){.threads = weights < SAP__PARALLEL_MIN ? 1 : sap_threads_get()};
  const size_t threads = (size_t)scratch->threads;
  scratch->bins = weights < MANY_MIN ? BINS : BINS_MANY;
  while (scratch->bins > BINS && scratch->bins * threads * sizeof *scratch->local > BINS_BYTES) scratch->bins /= 2;
  const size_t bins = scratch->bins;
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

/* ---- the sample ---- */

static uint64_t hash(uint64_t x) {
  x = (x ^ x >> 31) * 0x9e3779b97f4a7c15u;
  return x ^ x >> 29;
}

/* What a sample has touched of a mapped layer since pages were last given back. */
typedef struct sampled {
  const char *first;
  const sap_layer *layer;
  size_t bytes;
} sampled;

/* Gives the pages back now and then: the system brings in several around each that is touched. */
static void sample_pages(sampled *pages, const sap_layer *layer, uint64_t place) {
  const size_t size = sap__dtype_size(layer->dtype), most = SAMPLE_REACH;
  const char *at = (const char *)layer->data + place * size;
  if (pages->layer != layer || pages->bytes > most) {
    sap__pages_drop(pages->first, pages->bytes);
    *pages = (sampled){at, layer, 0};
  }
  pages->bytes = (size_t)(at - pages->first) + size;
}

/* Keys of kept weights, `run` from each of SAMPLE stretches of equal length, at a place that no pattern in the
 * weights follows. Returns how many: at most SAMPLE * run. */
static size_t take_sample(const sap_layer *layers, size_t count, uint64_t weights, unsigned run, uint32_t *keys) {
  uint64_t stride = weights / SAMPLE, before = 0; /* before: weights of the layers passed */
  size_t layer = 0, taken = 0;
  sampled pages = {NULL, NULL, 0};
  for (uint64_t i = 0; i < SAMPLE; i++) {
    const uint64_t place = i * stride + hash(i + 1) % stride;
    while (layer < count && place - before >= layers[layer].count) before += layers[layer++].count;
    if (layer == count) break;
    const sap_layer *at = &layers[layer];
    const uint64_t first = (place - before) / run * run;
    for (uint64_t j = first; j < first + run && j < at->count; j++)
      if (!at->mask || sap_mask_get(at->mask, j)) keys[taken++] = sap__key(at->data, at->dtype, (size_t)j);
    if (at->mapped) sample_pages(&pages, at, first);
  }
  sap__pages_drop(pages.first, pages.bytes);
  return taken;
}

/* The interval that holds the c-th of `kept` keys but for one case in some 100 000: 4.5 standard deviations of the
 * sample's rank to both sides. */
static sap__search aim_by_sample(const sap_layer *layers, size_t count, uint64_t weights, uint64_t kept, uint64_t c,
                                 uint32_t unit, sap__select_scratch *scratch) {
  sap__search s = sap__search_all(c, unit);
  uint32_t *keys = scratch->local;
  const int in_runs = scratch->bins >= SAMPLE * SAMPLE_RUN;
  const size_t taken = take_sample(layers, count, weights, in_runs ? SAMPLE_RUN : 1, keys);
  double n = (double)taken, share = (double)c / (double)kept;
  double spread = 4.5 * sqrt(n * share * (1 - share) * (in_runs ? SAMPLE_ALIKE : 1)) + 4;
  double first = floor(n * share - spread), last = ceil(n * share + spread);
  sap__span sample = {keys, SAP_F32, taken, NULL, 0, 0};
  if (first >= 1) s.low = (uint32_t)sap__select_span(&sample, (uint64_t)first).key & ~(unit - 1);
  if (last <= n && taken) s.high = (uint32_t)sap__select_span(&sample, (uint64_t)last).key | (unit - 1);
  return s;
}

/* ---- one pass ---- */

/* One thread's share: the words [first, last) of the layers, added to `total` piece by piece. Returns how many keys
 * lie below the interval. */
static uint64_t count_share(const sap__search *s, const sap_layer *layers, size_t count, uint64_t first, uint64_t last,
                            uint32_t *local, uint64_t *total) {
  size_t bins = ((s->high - s->low) >> s->shift) + 1;
  uint64_t below = 0;
  while (first < last) {
    uint64_t words = last - first < PIECE_WORDS ? last - first : PIECE_WORDS;
    sap__walk walk = sap__walk_start(layers, count, first, words);
    sap__span span;
    memset(local, 0, bins * sizeof *local);
    while (sap__walk_next(&walk, &span)) below += sap__search_count(s, &span, local);
#pragma omp critical
    for (size_t i = 0; i < bins; i++) total[i] += local[i];
    first += words;
  }
  return below;
}

static uint64_t count_layers(const sap__search *s, const sap_layer *layers, size_t count,
                             sap__select_scratch *scratch) {
  uint64_t words = sap__words_total(layers, count), below = 0;
  int threads = words < SAP__PARALLEL_MIN / 64 ? 1 : scratch->threads;
  memset(scratch->total, 0, (((s->high - s->low) >> s->shift) + 1) * sizeof *scratch->total);
#pragma omp parallel for num_threads(threads) schedule(static, 1) reduction(+ : below) if (threads > 1)
  for (int t = 0; t < threads; t++)
    below += count_share(s, layers, count, sap__part(words, (unsigned)t, (unsigned)threads),
                         sap__part(words, (unsigned)t + 1, (unsigned)threads),
                         scratch->local + (size_t)t * scratch->bins, scratch->total);
  return below;
}

/* ---- the whole ---- */

/* All keys are multiples of this. */
static uint32_t key_unit(const sap_layer *layers, size_t count) {
  uint32_t unit = 1u << 16;
  for (size_t i = 0; i < count; i++) {
    const sap_dtype dtype = layers[i].dtype;
    uint32_t own = dtype == SAP_BF16 || sap__dtype_f8(dtype) ? 1u << 16 : dtype == SAP_F16 ? 1u << 13 : 1;
    if (own < unit) unit = own;
  }
  return unit;
}

static uint64_t kept_weights(const sap_layer *layers, size_t count) {
  uint64_t kept = 0;
  for (size_t i = 0; i < count; i++)
    kept += layers[i].mask ? sap_mask_count(layers[i].mask, layers[i].count) : layers[i].count;
  return kept;
}

sap_status sap__select_with(const sap_layer *layers, size_t count, uint64_t c, sap__select_scratch *scratch,
                            sap_selection *selection, sap_error *err) {
  if (!c) {
    *selection = (sap_selection){0};
    return SAP_OK;
  }
  uint64_t kept = kept_weights(layers, count), weights = 0;
  if (c > kept)
    return sap__fail(err, SAP_ERROR_ARGUMENT, "c is %llu, expected at most the %llu kept weights",
                     (unsigned long long)c, (unsigned long long)kept);
  for (size_t i = 0; i < count; i++) weights += layers[i].count;
  if (sap__wide_needed(layers, count)) return sap__wide_select(layers, count, c, selection, err);
  uint32_t unit = key_unit(layers, count);
  sap__search s = sap__search_all(c, unit);
  if (weights >= SAMPLE_MIN) s = aim_by_sample(layers, count, weights, kept, c, unit, scratch);
  for (int counted = 0; !counted || !sap__search_done(&s); counted = 1) {
    const uint32_t bins = (uint32_t)scratch->bins, keys = (s.high - s.low) / s.unit;
    sap__search_aim(&s, keys >= bins && s.high - s.low < BINS_NEAR * BINS ? BINS_NEAR : bins);
    uint64_t below = count_layers(&s, layers, count, scratch);
    if (!counted) s.rank = c > below ? c - below : 0;
    if (s.rank && sap__search_narrow(&s, scratch->total, ((s.high - s.low) >> s.shift) + 1)) continue;
    if (s.low == 0 && s.high == SAP__KEY_MASK)
      return sap__fail(err, SAP_ERROR_NONFINITE, "a weight is not finite, expected them measured first");
    s = sap__search_all(c, unit); /* the sample was misleading */
    sap__search_aim(&s, BINS);
    (void)count_layers(&s, layers, count, scratch);
    (void)sap__search_narrow(&s, scratch->total, ((s.high - s.low) >> s.shift) + 1);
  }
  *selection = sap__search_result(&s, c);
  return SAP_OK;
}

sap_status sap_select_smallest(const sap_layer *layers, size_t count, uint64_t c, sap_selection *selection,
                               sap_error *err) {
  sap_status status = sap__layers_check(layers, count, 0, err);
  if (status) return status;
  sap__select_scratch scratch;
  status = sap__select_scratch_take(&scratch, sap__words_total(layers, count) * 64, err);
  if (status) return status;
  status = sap__select_with(layers, count, c, &scratch, selection, err);
  sap__select_scratch_drop(&scratch);
  return status;
}
