/* Batches: which pictures, in which order, as normalised floats.
 *
 * A loader is a list of picture numbers over one split. The training order of each epoch follows from
 * (seed, iteration, epoch) alone, and so does what augmentation does to a picture: a resumed run needs no saved
 * random state.
 */
#ifndef SAP_DATA_LOADER_H
#define SAP_DATA_LOADER_H

#include <stddef.h>
#include <stdint.h>

#include "sapwood/dataset.h"

typedef struct sap__loader {
  const sap_dataset *set;
  const sap_split *split;
  uint32_t count;     /* pictures in the list */
  uint32_t *pictures; /* (count), rising */
  uint32_t *order;    /* (count), the list as the next batches take it */
  int augments;       /* 1: pictures are cropped and flipped at random; the owner sets it */
  uint64_t seed;      /* of the last shuffle, as the next two */
  int iteration, epoch;
} sap__loader;

/* A loader over all pictures of a split. Freed with sap__loader_free; `loader` may then be reused. */
sap_status sap__loader_new(const sap_dataset *set, const sap_split *split, sap__loader *loader, sap_error *err);

/* Moves `held` pictures, chosen by the seed, from `loader` into a new loader `other`. held < count. */
sap_status sap__loader_hold_out(sap__loader *loader, uint32_t held, uint64_t seed, sap__loader *other, sap_error *err);

void sap__loader_free(sap__loader *loader);

/* Shuffles the order for one epoch. */
void sap__loader_shuffle(sap__loader *loader, uint64_t seed, int iteration, int epoch);

/* Pictures order[first … first + n) as x (n, C, H, W) = (u/255 − mean)/stddev, and their labels (n). */
void sap__loader_fill(const sap__loader *loader, uint32_t first, uint32_t n, float *x, uint8_t *labels);

/* ---- the same in two steps, of which another thread can do the first ---- */

/* Bytes of an element before it is normalised: 1, or 4 of a set of floats. */
size_t sap__loader_element(const sap__loader *loader);

/* Copies pictures order[first … first + n), cropped and flipped, to elements (n, C, H, W) and their labels (n). */
void sap__loader_prepare(const sap__loader *loader, uint32_t first, uint32_t n, void *elements, uint8_t *labels);

/* Normalises n pictures: x (n, C, H, W) from elements as prepared. */
void sap__loader_finish(const sap__loader *loader, const void *elements, uint32_t n, float *x);

#endif
