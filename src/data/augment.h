/* Augmentation of training pictures: mirrored at random, and shifted by up to four pixels each way, the border
 * filled by reflection: torchvision's RandomHorizontalFlip and RandomCrop(side, padding=4, padding_mode="reflect").
 *
 * What happens to a picture follows from (seed, iteration, epoch, its number) alone: batches are the same for any
 * number of threads, and nothing random has to be saved.
 */
#ifndef SAP_DATA_AUGMENT_H
#define SAP_DATA_AUGMENT_H

#include <stdint.h>

/* Pixel (y, x) of the result is pixel (y + down, x + right) of the picture, mirrored in x if flip. */
typedef struct sap__crop {
  int down, right; /* −4 … 4, less for pictures of under five pixels */
  int flip;
} sap__crop;

sap__crop sap__crop_draw(uint64_t seed, int iteration, int epoch, uint32_t picture, int height, int width);

/* Position `at` in −(n − 1) … 2n − 2 reflected into 0 … n − 1, the border not repeated. */
static inline int sap__reflect(int at, int n) { return at < 0 ? -at : at >= n ? 2 * (n - 1) - at : at; }

#endif
