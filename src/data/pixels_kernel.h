/* The template; the includer defines SAP_KERNEL(name). Where loops are plain, the compiler's vectors reach the memory's
 * limit; rows of small pictures are too short for those, and are copied and mirrored in blocks that may overlap. */
#include <stddef.h>
#include <string.h>

#include "data/pixels.h"

enum { BLOCK = 16 };
typedef uint8_t block __attribute__((vector_size(BLOCK)));

static void bytes(const uint8_t *restrict u, float *restrict x, int64_t n, float scale, float shift) {
  for (int64_t i = 0; i < n; i++) x[i] = (float)u[i] * scale + shift;
}

static void floats(const float *restrict v, float *restrict x, int64_t n, float scale, float shift) {
  for (int64_t i = 0; i < n; i++) x[i] = v[i] * scale + shift;
}

/* `size` bytes, at least one block. */
static inline void copy_blocks(const uint8_t *from, uint8_t *to, size_t size) {
  for (size_t i = 0; i < size - BLOCK; i += BLOCK) memcpy(to + i, from + i, BLOCK);
  memcpy(to + size - BLOCK, from + size - BLOCK, BLOCK);
}

/* A block's elements of `size` bytes in reverse order. */
static inline block mirrored(block x, size_t size) {
  if (size == 1) return __builtin_shufflevector(x, x, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  return __builtin_shufflevector(x, x, 12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
}

static inline void mirror_block(const uint8_t *from, uint8_t *to, size_t size) {
  block x;
  memcpy(&x, from, sizeof x);
  x = mirrored(x, size);
  memcpy(to, &x, sizeof x);
}

/* `length` bytes, at least one block. */
static inline void mirror_blocks(const uint8_t *from, uint8_t *to, size_t length, size_t size) {
  for (size_t i = 0; i < length - BLOCK; i += BLOCK) mirror_block(from + length - BLOCK - i, to + i, size);
  mirror_block(from, to + length - BLOCK, size);
}

/* Places [begin, end) of a row, one by one. */
static inline void crop_places(const sap__crop *crop, const uint8_t *from, int width, int begin, int end, uint8_t *to,
                               size_t size) {
  for (int x = begin; x < end; x++) {
    const size_t source = (size_t)sap__reflect(x + crop->right, width);
    const size_t target = (size_t)(crop->flip ? width - 1 - x : x);
    memcpy(to + target * size, from + source * size, size);
  }
}

/* Columns [begin, end) of the unmirrored row lie in the picture; at most four on one side do not. */
static inline void crop_row(const sap__crop *crop, const uint8_t *from, int width, uint8_t *to, size_t size) {
  const int begin = crop->right < 0 ? -crop->right : 0, end = crop->right > 0 ? width - crop->right : width;
  const size_t inner = (size_t)(end - begin) * size;
  const uint8_t *source = from + (size_t)(begin + crop->right) * size;
  if (inner < BLOCK)
    crop_places(crop, from, width, begin, end, to, size);
  else if (crop->flip)
    mirror_blocks(source, to + (size_t)(width - end) * size, inner, size);
  else
    copy_blocks(source, to + (size_t)begin * size, inner);
  crop_places(crop, from, width, 0, begin, to, size);
  crop_places(crop, from, width, end, width, to, size);
}

static inline __attribute__((always_inline)) void crop_rows(const sap__crop *crop, const uint8_t *from, int height,
                                                            int width, int begin, int end, uint8_t *to, size_t size) {
  const size_t row = (size_t)width * size;
  for (int y = begin; y < end; y++, to += row)
    crop_row(crop, from + (size_t)sap__reflect(y + crop->down, height) * row, width, to, size);
}

static void crop_bytes(const sap__crop *crop, const void *from, int height, int width, int begin, int end, void *to) {
  crop_rows(crop, from, height, width, begin, end, to, 1);
}

static void crop_floats(const sap__crop *crop, const void *from, int height, int width, int begin, int end, void *to) {
  crop_rows(crop, from, height, width, begin, end, to, sizeof(float));
}

extern const sap__pixels SAP_KERNEL(sap__pixels);
const sap__pixels SAP_KERNEL(sap__pixels) = {bytes, floats, crop_bytes, crop_floats};
