#include "data/augment.h"

#include <string.h>

#include "base/random.h"
#include "data/streams.h"

enum { PADDING = 4 };

/* −reach … reach, where `reach` is what a reflected border of a side of n pixels can have, at most the padding. */
static int draw_shift(sap__random *random, int n) {
  int reach = n - 1 < PADDING ? n - 1 : PADDING;
  return (int)sap__random_below(random, 2 * (uint32_t)reach + 1) - reach;
}

sap__crop sap__crop_draw(uint64_t seed, int iteration, int epoch, uint32_t picture, int height, int width) {
  uint64_t moment = (uint64_t)iteration << 32 | (uint32_t)epoch;
  sap__random random = sap__random_stream(seed, SAP__STREAM_AUGMENT, moment, picture);
  sap__crop crop;
  crop.flip = (int)sap__random_below(&random, 2);
  crop.down = draw_shift(&random, height);
  crop.right = draw_shift(&random, width);
  return crop;
}

void sap__crop_row(const sap__crop *crop, const sap__pixels *kernels, const void *row, void *out, int width,
                   size_t size) {
  const uint8_t *from = row;
  uint8_t *to = out;
  /* Columns [begin, end) of the unmirrored result lie in the picture; at most four on one side do not. */
  int shift = crop->right, begin = shift < 0 ? -shift : 0, end = shift > 0 ? width - shift : width;
  const uint8_t *inner = from + (size_t)(begin + shift) * size;
  int place = crop->flip ? width - end : begin;
  if (!crop->flip)
    memcpy(to + (size_t)place * size, inner, (size_t)(end - begin) * size);
  else if (size == 1)
    kernels->mirror_bytes(inner, to + place, end - begin);
  else
    kernels->mirror_floats((const float *)(const void *)inner, (float *)out + place, end - begin);
  for (int x = begin ? 0 : end; x < (begin ? begin : width); x++) {
    int source = sap__reflect(x + shift, width), target = crop->flip ? width - 1 - x : x;
    memcpy(to + (size_t)target * size, from + (size_t)source * size, size);
  }
}
