/* Batches prepared ahead by threads in the background, in a few buffers that are taken once.
 *
 * Preparing is gathering, cropping and mirroring; the result is what sap__loader_prepare writes, byte for byte, so
 * batches do not depend on the number of threads. Nobody waits: a batch that is not ready when it is asked for is
 * prepared by whoever asked.
 */
#ifndef SAP_DATA_PREFETCH_H
#define SAP_DATA_PREFETCH_H

#include "data/loader.h"

typedef struct sap__prefetch sap__prefetch;

/* Batches of `batch` pictures (the last may be shorter) of the loader, which outlives this, by `threads` >= 1
 * threads. Memory: threads + 2 batches, as elements of the set. SAP_ERROR_MEMORY, also when no thread can be made. */
sap_status sap__prefetch_new(const sap__loader *loader, uint32_t batch, int threads, sap__prefetch **prefetch,
                             sap_error *err) SAP_WARN_UNUSED;

/* Ends the threads. NULL is fine. */
void sap__prefetch_free(sap__prefetch *prefetch);

/* Stops preparing; returns when nobody reads the loader any more, at most a batch later. Before the order changes. */
void sap__prefetch_pause(sap__prefetch *prefetch);

/* Prepares batches of the loader's order as it is now, from `step` on. */
void sap__prefetch_start(sap__prefetch *prefetch, uint32_t step);

/* The elements of batch `step` and its labels, valid until the next call; NULL if it is not ready. Steps are asked for
 * in rising order. */
const void *sap__prefetch_take(sap__prefetch *prefetch, uint32_t step, const uint8_t **labels);

#endif
