#include "sapwood/norms.h"

#include <math.h>

#include "base/error.h"
#include "base/threads.h"
#include "index/kernel.h"
#include "index/span.h"
#include "index/wide.h"
#include "sapwood/cpu.h"
#include "tensor/widen.h"

sap_norms sap_norms_empty(double p, double q) { return (sap_norms){.p = p, .q = q}; }

sap_status sap_pq_check(double p, double q, sap_error *err) {
  if (p > 0 && p < q && q <= 64) return SAP_OK;
  return sap__fail(err, SAP_ERROR_ARGUMENT, "p %g, q %g: expected 0 < p < q <= 64", p, q);
}

void sap_norms_merge(sap_norms *norms, const sap_norms *other) {
  sap_norms a = *norms, b = *other;
  norms->count = a.count + b.count;
  norms->zeros = a.zeros + b.zeros;
  if (b.max == 0) return;
  if (a.max < b.max) { /* the scale of the larger part stays: the other's sums only shrink */
    a = b;
    b = *norms;
    norms->max = a.max;
    norms->exponent = a.exponent;
  }
  double shrink_p = 1, shrink_q = 1;
  if (b.max > 0 && b.exponent != a.exponent) {
    int32_t shift = b.exponent - a.exponent;
    shrink_p = exp2(norms->p * shift);
    shrink_q = exp2(norms->q * shift);
  }
  norms->sum_p = a.sum_p + b.sum_p * shrink_p;
  norms->sum_q = a.sum_q + b.sum_q * shrink_q;
}

/* The fast kernel of 0.5 and 1 loses digits outside 2^-64 … 2^120. */
#define HALF_ONE_MIN 0x1f800000u
#define HALF_ONE_MAX 0x7b800000u

/* The sums of a block relative to 2^exponent, its exponent being that of its largest magnitude: any p and q. */
static void add_power(sap_norms *block, const sap__span *span, const uint64_t *keep, sap__sums *sums) {
  double largest = (double)sap__float_from_bits(sums->largest);
  int exponent = ilogb(largest);
  double lead = ldexp(largest, -exponent); /* 1 … 2 */
  const sap__index_kernels *kernels = block->p < SAP__POWER_MIN ? &sap__index_scalar : sap__index_kernels_active();
  kernels->power(span->w, span->dtype, (size_t)span->n, keep, block->p, block->q, sums);
  block->sum_p = sums->sum_p * pow(lead, block->p);
  block->sum_q = sums->sum_q * pow(lead, block->q);
  block->exponent = exponent;
}

/* 1 if the sums of the fast kernel of 0.5 and 1 are good enough. They are not where the index of the block is so
 * near 0 that their own error shows in it: (Σ√x)² / (n · Σx) is 1 less the index. */
static int half_one_good(const sap__sums *sums) {
  double flatness = sums->sum_p * sums->sum_p / ((double)(sums->count - sums->zeros) * sums->sum_q);
  return sums->largest >= HALF_ONE_MIN && sums->largest <= HALF_ONE_MAX && flatness < 0.999999;
}

/* 1 if the words keep all of n weights. */
static int all_kept(const uint64_t *keep, size_t n) {
  uint64_t all = ~(uint64_t)0;
  for (size_t i = 0; i < n / 64; i++) all &= keep[i];
  return all == ~(uint64_t)0 && (n % 64 == 0 || keep[n / 64] == ((uint64_t)1 << n % 64) - 1);
}

/* Adds a span of at most SAP__BLOCK weights; 0 if a kept weight is not finite. *last: the sums of the block before,
 * from which the kernels guess at the next. */
static int add_block(sap_norms *norms, const sap__span *stored, sap__sums *last) {
  float room[SAP__BLOCK];
  if (stored->dtype == SAP_F64) return sap__wide_add_block(norms, stored);
  const sap__span narrow = sap__span_narrow(stored, room), *span = &narrow;
  const sap__index_kernels *kernels = sap__index_kernels_active();
  uint64_t words[SAP__BLOCK_WORDS];
  const uint64_t *keep = sap__span_keep(span, words);
  size_t n = (size_t)span->n;
  if (keep && all_kept(keep, n)) keep = NULL;
  int half_one = norms->p == 0.5 && norms->q == 1, one_two = norms->p == 1 && norms->q == 2;
  sap__sums sums = *last;
  (half_one ? kernels->half_one : one_two ? kernels->one_two : kernels->extent)(span->w, span->dtype, n, keep, &sums);
  if (sums.largest >= SAP__KEY_INFINITY) return 0;
  *last = sums;
  sap_norms block = sap_norms_empty(norms->p, norms->q);
  block.count = sums.count;
  block.zeros = sums.zeros;
  block.max = (double)sap__float_from_bits(sums.largest);
  if (sums.largest != 0) {
    if (one_two || (half_one && half_one_good(&sums))) {
      block.sum_p = sums.sum_p;
      block.sum_q = sums.sum_q;
    } else {
      add_power(&block, span, keep, &sums);
    }
  }
  sap_norms_merge(norms, &block);
  return 1;
}

/* Adds the blocks [first, last) of a span; 0 if a kept weight is not finite. */
static int add_blocks(sap_norms *norms, const sap__span *span, uint64_t first, uint64_t last, sap__pages *pages) {
  sap__sums before = {0};
  int finite = 1;
  for (uint64_t b = first; b < last && finite; b++) {
    uint64_t start = b * SAP__BLOCK, n = span->n - start < SAP__BLOCK ? span->n - start : SAP__BLOCK;
    sap__span block = sap__subspan(span, start, n);
    if (span->mapped) sap__pages_read(pages, block.w, sap__span_end(&block));
    finite = add_block(norms, &block, &before);
  }
  return finite;
}

static uint64_t blocks_of(uint64_t n) { return (n + SAP__BLOCK - 1) / SAP__BLOCK; }

unsigned sap__norms_chunks(uint64_t n) { return blocks_of(n) < SAP__CHUNKS ? (unsigned)blocks_of(n) : SAP__CHUNKS; }

int sap__norms_add_chunks(sap_norms *parts, const sap__span *span, unsigned first, unsigned last, unsigned chunks) {
  const uint64_t blocks = blocks_of(span->n);
  sap__pages pages = SAP__PAGES_NONE;
  int finite = 1;
  for (unsigned c = first; c < last && finite; c++)
    finite = add_blocks(&parts[c], span, sap__part(blocks, c, chunks), sap__part(blocks, c + 1, chunks), &pages);
  sap__pages_done(&pages);
  return finite;
}

/* Chunks that a thread takes at a time: of a mapped file so many as make a piece of pages. */
static unsigned chunks_together(const sap__span *span, unsigned chunks) {
  const uint64_t bytes = span->n * sap__dtype_size(span->dtype) / chunks + 1;
  const unsigned fit = (unsigned)(sap__pages_piece() / bytes);
  const unsigned fair = chunks / (8 * (unsigned)sap_threads_get()); /* no thread waits long for the last */
  return !span->mapped || fit < 4 || fair < 4 ? 4 : fit < fair ? fit : fair;
}

/* The error for the first kept weight that is NaN or infinite. */
static sap_status fail_nonfinite(const sap__span *span, sap_error *err) {
  for (uint64_t i = 0; i < span->n; i++) {
    uint64_t key = sap__wide_key(span->w, span->dtype, i);
    if (key < SAP__WIDE_INFINITY || (span->mask && !sap_mask_get(span->mask, span->mask_offset + i))) continue;
    const char *what = key > SAP__WIDE_INFINITY ? "nan" : "infinite";
    return sap__fail(err, SAP_ERROR_NONFINITE, "index %llu is %s, expected a finite weight", (unsigned long long)i,
                     what);
  }
  return sap__fail(err, SAP_ERROR_NONFINITE, "a weight changed while it was read");
}

sap_status sap__norms_add_span(sap_norms *norms, const sap__span *span, int parallel, sap_error *err) {
  const unsigned chunks = sap__norms_chunks(span->n);
  sap_norms sum = sap_norms_empty(norms->p, norms->q), parts[SAP__CHUNKS];
  int finite = 1;
  for (unsigned c = 0; c < chunks; c++) parts[c] = sum;
  if (!parallel || span->n < SAP__PARALLEL_MIN) {
    finite = !chunks || sap__norms_add_chunks(parts, span, 0, chunks, chunks);
  } else {
    const unsigned together = chunks_together(span, chunks);
#pragma omp parallel for schedule(dynamic, 1) reduction(&& : finite)
    for (unsigned c = 0; c < chunks; c += together) {
      const int ok = sap__norms_add_chunks(parts, span, c, c + together < chunks ? c + together : chunks, chunks);
      finite = finite && ok;
    }
  }
  for (unsigned c = 0; c < chunks; c++) sap_norms_merge(&sum, &parts[c]);
  /* where a chunk of another thread begins, the system brings in some pages of it, too, maybe after it was done */
  if (span->mapped) sap__pages_drop(span->w, (size_t)(sap__span_end(span) - (const char *)span->w));
  if (!finite) return fail_nonfinite(span, err);
  sap_norms_merge(norms, &sum);
  return SAP_OK;
}

static sap_status add_checked(sap_norms *norms, const sap__span *span, sap_error *err) {
  sap_status status = sap_pq_check(norms->p, norms->q, err);
  if (status) return status;
  if (!sap_dtype_prunable(span->dtype))
    return sap__fail(err, SAP_ERROR_ARGUMENT, "dtype %s, expected " SAP__PRUNABLE_TYPES, sap_dtype_name(span->dtype));
  return sap__norms_add_span(norms, span, 1, err);
}

sap_status sap_norms_add(sap_norms *norms, const void *w, sap_dtype dtype, uint64_t n, const uint64_t *mask,
                         uint64_t mask_offset, sap_error *err) {
  sap__span span = {w, dtype, n, (uint64_t *)mask, mask_offset, 0}; /* the mask is only read */
  return add_checked(norms, &span, err);
}

sap_status sap_norms_add_layer(sap_norms *norms, const sap_layer *layer, sap_error *err) {
  const sap__span span = sap__layer_span(layer);
  sap_status status = add_checked(norms, &span, err);
  return status && layer->name ? sap__fail_prefix(err, status, layer->name) : status;
}
