/* How a value lies in memory: (pictures, channels / block, height, width, block) elements.
 *
 * block 1 is PyTorch's NCHW, block = channels its channels-last; 8 and 16 keep the channels of a vector together,
 * which oneDNN calls nChw8c and nChw16c. The block divides the channels. Features, (F), have height and width 1 and
 * block 1.
 */
#ifndef SAP_ENGINE_FORMAT_H
#define SAP_ENGINE_FORMAT_H

#include "graph/graph.h"

typedef struct sap__format {
  int bytes; /* of an element: 8 double, 4 float, 2 bf16 */
  int last;  /* 1: channels-last, even where the block of another layout is as long */
  int64_t block;
  int64_t channels, height, width;
} sap__format;

/* A value of that shape, rank 1 or 3, row-major. */
static inline sap__format sap__format_of(const sap__shape *shape, int bytes) {
  sap__format f = {.bytes = bytes, .block = 1, .channels = shape->dim[0], .height = 1, .width = 1};
  if (shape->rank == 3) f.height = shape->dim[1], f.width = shape->dim[2];
  return f;
}

/* Pixels of a channel. */
static inline int64_t sap__format_pixels(const sap__format *f) { return f->height * f->width; }

/* Elements and bytes of a picture. */
static inline int64_t sap__format_count(const sap__format *f) { return f->channels * f->height * f->width; }
static inline size_t sap__format_bytes(const sap__format *f) { return (size_t)sap__format_count(f) * (size_t)f->bytes; }

/* 1 if the elements of a picture lie as in (C,H,W), row-major. */
static inline int sap__format_plain(const sap__format *f) { return f->block == 1 || sap__format_pixels(f) == 1; }

/* 1 if the elements of a picture lie in the same order, whatever the block says. */
static inline int sap__format_same_order(const sap__format *a, const sap__format *b) {
  return (sap__format_plain(a) && sap__format_plain(b)) || (a->block == b->block && a->channels == b->channels);
}

/* 1 if the bytes are the same. */
static inline int sap__format_same(const sap__format *a, const sap__format *b) {
  return a->bytes == b->bytes && sap__format_same_order(a, b);
}

/* Channel c, pixel p of a picture. */
double sap__format_get(const sap__format *f, const void *picture, int64_t c, int64_t p);

/* Copies `count` pictures of x into the other format, or adds them to what is there. One picture has as many elements
 * as the other; where one is (C,H,W) and the other (C·H·W), the latter's are those of the former row-major. */
void sap__format_copy(const sap__format *from, const sap__format *to, int64_t count, const void *x, void *y,
                      int accumulate);

#endif
