/* Stretches of weights, and the walk over many layers as if they were one vector. */
#ifndef SAP_INDEX_SPAN_H
#define SAP_INDEX_SPAN_H

#include <stddef.h>
#include <stdint.h>

#include "base/pages.h"
#include "sapwood/layer.h"
#include "sapwood/norms.h"
#include "sapwood/select.h"
#include "tensor/widen.h"

/* n weights in a row and their mask bits; mask NULL: all kept. */
typedef struct sap__span {
  const void *w;
  sap_dtype dtype;
  uint64_t n;
  uint64_t *mask;
  uint64_t mask_offset; /* the bit of w[0] */
  int mapped;           /* as sap_layer.mapped */
} sap__span;

/* Work on a vector is cut in at most this many chunks, whatever the number of threads, and the results are
 * combined in order: so they do not depend on it. */
#define SAP__CHUNKS 256

/* Below this many weights a second thread costs more than it saves. */
#define SAP__PARALLEL_MIN (256 * 1024)

static inline sap__span sap__layer_span(const sap_layer *layer) {
  return (sap__span){layer->data, layer->dtype, layer->count, layer->mask, 0, layer->mapped};
}

/* `n` weights from `start` on. */
static inline sap__span sap__subspan(const sap__span *span, uint64_t start, uint64_t n) {
  const char *w = (const char *)span->w + start * sap__dtype_size(span->dtype);
  return (sap__span){w, span->dtype, n, span->mask, span->mask_offset + start, span->mapped};
}

static inline const char *sap__span_end(const sap__span *span) {
  return (const char *)span->w + span->n * sap__dtype_size(span->dtype);
}

/* A span of at most SAP__BLOCK weights as the kernels take it: types of one byte are widened into room[SAP__BLOCK].
 * Not for F64. */
sap__span sap__span_narrow(const sap__span *span, float *room);

/* The mask words of a span of at most SAP__BLOCK weights: copied into `words` unless they can be used in place.
 * NULL: all kept. */
const uint64_t *sap__span_keep(const sap__span *span, uint64_t *words);

/* Many layers as one vector, in units of mask words: 64 weights, fewer at the end of a layer. */
uint64_t sap__words_total(const sap_layer *layers, size_t count);

typedef struct sap__walk {
  const sap_layer *layers;
  size_t count, layer; /* layer: where the walk stands */
  uint64_t word;       /* of this layer */
  uint64_t left;       /* words to go */
  sap__pages pages;    /* of the mapped layer where it stands */
} sap__walk;

/* A walk over the words [first, first + words). */
sap__walk sap__walk_start(const sap_layer *layers, size_t count, uint64_t first, uint64_t words);

/* The next stretch, of at most SAP__BLOCK weights of one layer, that starts on a mask word; 0 when there is none, and
 * then the pages of mapped layers are given back. */
int sap__walk_next(sap__walk *walk, sap__span *span);

/* SAP_ERROR_ARGUMENT unless each layer has a prunable type and data; with_mask: a mask as well. */
sap_status sap__layers_check(const sap_layer *layers, size_t count, int with_mask, sap_error *err);

/* Puts the layer's name, or its position, before the text in *err. */
sap_status sap__fail_layer(sap_error *err, sap_status code, const sap_layer *layer, size_t position);

/* sap_norms_add without its argument checks; threads only if `parallel`. */
sap_status sap__norms_add_span(sap_norms *norms, const sap__span *span, int parallel, sap_error *err);

/* The same for each of many layers, norms[count]; the error names the layer. Takes memory. */
sap_status sap__norms_add_layers(sap_norms *norms, const sap_layer *layers, size_t count, sap_error *err);

/* How many chunks a span of n weights is cut in, and: adds each of [first, last) to its own of parts[chunks], on the
 * calling thread; 0 if a kept weight is not finite. */
unsigned sap__norms_chunks(uint64_t n);
int sap__norms_add_chunks(sap_norms *parts, const sap__span *span, unsigned first, unsigned last, unsigned chunks);

/* The magnitude of the c-th smallest weight. */
static inline double sap__selection_magnitude(const sap_selection *selection) {
  return selection->wide ? sap__double_from_bits(selection->key)
                         : (double)sap__float_from_bits((uint32_t)selection->key);
}

/* ---- selection in one span, on the calling thread, without memory: a neuron ---- */

/* The c smallest kept weights; c does not exceed them. */
sap_selection sap__select_span(const sap__span *span, uint64_t c);

/* Clears their mask bits. */
void sap__select_clear_span(const sap__span *span, const sap_selection *selection);

/* ---- scratch of sap_select_smallest, for who calls it many times ---- */

typedef struct sap__select_scratch {
  uint64_t *total; /* bins */
  uint32_t *local; /* (threads, bins) */
  int threads;
  size_t bins;
} sap__select_scratch;

sap_status sap__select_scratch_take(sap__select_scratch *scratch, uint64_t weights, sap_error *err);
void sap__select_scratch_drop(sap__select_scratch *scratch);
sap_status sap__select_with(const sap_layer *layers, size_t count, uint64_t c, sap__select_scratch *scratch,
                            sap_selection *selection, sap_error *err);

#endif
