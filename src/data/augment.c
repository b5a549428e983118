#include "data/augment.h"

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
