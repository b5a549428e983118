#include "io/view.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/pages.h"
#include "sapwood/mask.h"

enum { PIECE = 1 << 20, TILE = 32 };

void sap__view_rows(sap__view *view, const sap_tensor *tensor) {
  uint64_t stride = 1;
  for (int axis = tensor->rank - 1; axis >= 0; axis--) {
    view->strides[axis] = stride;
    if (tensor->shape[axis] > 1) stride *= tensor->shape[axis];
  }
}

int sap__view_contiguous(const sap__view *view, const sap_tensor *tensor) {
  sap__view rows;
  if (!tensor->count) return 1;
  sap__view_rows(&rows, tensor);
  for (int axis = 0; axis < tensor->rank; axis++)
    if (tensor->shape[axis] > 1 && view->strides[axis] != rows.strides[axis]) return 0;
  return 1;
}

int sap__view_extent(const sap__view *view, const sap_tensor *tensor, uint64_t *bytes) {
  uint64_t last = 0, step, total;
  *bytes = 0;
  if (!tensor->count) return 0;
  for (int axis = 0; axis < tensor->rank; axis++) {
    if (__builtin_mul_overflow(tensor->shape[axis] - 1, view->strides[axis], &step) ||
        __builtin_add_overflow(last, step, &last))
      return -1;
  }
  if (last == UINT64_MAX || __builtin_mul_overflow(last + 1, (uint64_t)sap_dtype_bits(tensor->dtype) / 8, &total))
    return -1;
  *bytes = total;
  return 0;
}

/* ---- copying ---- */

/* A complex number is two numbers to a byte swap. */
static size_t swap_unit(sap_dtype dtype) { return dtype == SAP_C64 ? 4 : sap_dtype_bits(dtype) / 8; }

static void swap_all(uint8_t *bytes, size_t size, size_t unit) {
  if (unit < 2) return;
  for (; size >= unit; bytes += unit, size -= unit)
    for (size_t i = 0; i < unit / 2; i++) {
      uint8_t byte = bytes[i];
      bytes[i] = bytes[unit - 1 - i];
      bytes[unit - 1 - i] = byte;
    }
}

/* n elements, `stride` elements apart in the source and `step` in the destination. */
static void copy_elements(const uint8_t *from, size_t stride, uint8_t *to, size_t step, size_t n, size_t size) {
#define COPY(bytes)                                                                                     \
  case bytes:                                                                                           \
    for (size_t i = 0; i < n; i++) memcpy(to + i * step * (bytes), from + i * stride * (bytes), bytes); \
    break
  switch (size) {
    COPY(1);
    COPY(2);
    COPY(4);
    COPY(8);
  }
#undef COPY
}

/* The axis whose elements lie closest together, of those longer than 1; the last if there is none. */
static int closest_axis(const sap__view *view, const sap_tensor *tensor) {
  int closest = tensor->rank - 1;
  for (int axis = tensor->rank - 1; axis >= 0; axis--)
    if (tensor->shape[axis] > 1 && (tensor->shape[closest] < 2 || view->strides[axis] < view->strides[closest]))
      closest = axis;
  return closest;
}

/* Copies the plane of two axes, a ≠ b, in tiles that stay in the cache whichever of the two is contiguous where. */
static void copy_plane(const sap__view *view, const sap__view *rows, const uint64_t *shape, int a, int b,
                       const uint8_t *from, uint8_t *to, size_t size) {
  for (uint64_t i = 0; i < shape[a]; i += TILE)
    for (uint64_t j = 0; j < shape[b]; j += TILE) {
      size_t high = shape[a] - i < TILE ? (size_t)(shape[a] - i) : TILE;
      size_t wide = shape[b] - j < TILE ? (size_t)(shape[b] - j) : TILE;
      for (size_t k = 0; k < high; k++)
        copy_elements(from + ((i + k) * view->strides[a] + j * view->strides[b]) * size, (size_t)view->strides[b],
                      to + ((i + k) * rows->strides[a] + j * rows->strides[b]) * size, (size_t)rows->strides[b], wide,
                      size);
    }
}

/* Calls of an odometer: moves `index` on by one over all axes but a and b; 0 after the last. */
static int advance(uint64_t *index, const sap_tensor *tensor, int a, int b) {
  for (int axis = tensor->rank - 1; axis >= 0; axis--) {
    if (axis == a || axis == b) continue;
    if (++index[axis] < tensor->shape[axis]) return 1;
    index[axis] = 0;
  }
  return 0;
}

static uint64_t position(const uint64_t *index, const uint64_t *strides, int rank) {
  uint64_t at = 0;
  for (int axis = 0; axis < rank; axis++) at += index[axis] * strides[axis];
  return at;
}

void sap__view_gather(const sap__view *view, const sap_tensor *tensor, const uint8_t *base, void *to) {
  size_t size = sap_dtype_bits(tensor->dtype) / 8;
  const uint8_t *from = base + view->offset;
  if (!tensor->count) return;
  if (sap__view_contiguous(view, tensor)) {
    memcpy(to, from, (size_t)tensor->bytes);
  } else {
    sap__view rows;
    sap__view_rows(&rows, tensor);
    int a = closest_axis(view, tensor), b = tensor->rank - 1; /* not contiguous: the rank is at least 1 */
    uint64_t index[SAP_TENSOR_MAX_RANK] = {0};
    if (a == b) a = b ? b - 1 : 0;
    do {
      const uint8_t *source = from + position(index, view->strides, tensor->rank) * size;
      uint8_t *target = (uint8_t *)to + position(index, rows.strides, tensor->rank) * size;
      if (a == b)
        copy_elements(source, (size_t)view->strides[b], target, 1, (size_t)tensor->shape[b], size);
      else
        copy_plane(view, &rows, tensor->shape, a, b, source, target, size);
    } while (advance(index, tensor, a, b));
  }
  if (view->swapped) swap_all(to, (size_t)tensor->bytes, swap_unit(tensor->dtype));
}

/* ---- masks ---- */

/* Zeroes what of the masked elements [first, last) of a contiguous view falls into the piece that holds [begin, end).
 */
static void clear_edge(const sap__masked *masked, uint64_t first, uint64_t last, uint8_t *piece, uint64_t begin,
                       uint64_t end) {
  uint64_t size = sap_dtype_bits(masked->tensor->dtype) / 8;
  for (uint64_t i = first; i < last; i++) {
    if (sap_mask_get(masked->mask, i)) continue;
    uint64_t from = masked->view->offset + i * size, to = from + size;
    if (from < begin) from = begin;
    if (to > end) to = end;
    if (from < to) memset(piece + (from - begin), 0, (size_t)(to - from));
  }
}

/* The piece may begin and end inside an element, and its first element need not begin a word of the mask. */
static void clear_piece(const sap__masked *masked, uint8_t *piece, uint64_t begin, uint64_t end) {
  uint64_t size = sap_dtype_bits(masked->tensor->dtype) / 8, at = masked->view->offset;
  if (at >= end || at + masked->tensor->bytes <= begin) return;
  uint64_t first = begin > at ? (begin - at) / size : 0, last = (end - at + size - 1) / size;
  if (last > masked->tensor->count) last = masked->tensor->count;
  uint64_t words = (first + 64) / 64 * 64, whole = (end - at) / size / 64 * 64; /* elements wholly in the piece */
  if (whole > last) whole = last / 64 * 64;
  if (whole <= words) {
    clear_edge(masked, first, last, piece, begin, end);
    return;
  }
  clear_edge(masked, first, words, piece, begin, end);
  sap_mask_apply(piece + (at + words * size - begin), masked->tensor->dtype, masked->mask + words / 64, whole - words);
  clear_edge(masked, whole, last, piece, begin, end);
}

void sap__masked_clear(const sap__masked *masked, uint8_t *base) {
  const sap_tensor *tensor = masked->tensor;
  const sap__view *view = masked->view;
  size_t size = sap_dtype_bits(tensor->dtype) / 8;
  if (!tensor->count) return;
  uint64_t index[SAP_TENSOR_MAX_RANK] = {0}, i = 0;
  do {
    if (!sap_mask_get(masked->mask, i++))
      memset(base + view->offset + position(index, view->strides, tensor->rank) * size, 0, size);
  } while (advance(index, tensor, -1, -1));
}

/* The whole region at once, for views whose elements come in any order. */
static sap_status send_whole(const sap__masked *masked, size_t count, const uint8_t *base, uint64_t begin, uint64_t end,
                             sap__sink *sink, void *user, sap_error *err) {
  uint8_t *region = sap__alloc((size_t)(end - begin), 1);
  if (!region) return sap__fail_memory(err, (size_t)(end - begin));
  memcpy(region, base + begin, (size_t)(end - begin));
  for (size_t i = 0; i < count; i++) {
    sap__view view = *masked[i].view;
    view.offset -= begin;
    sap__masked_clear(&(sap__masked){&view, masked[i].tensor, masked[i].mask}, region);
  }
  sap_status code = SAP_OK;
  for (uint64_t done = 0; !code && done < end - begin; done += PIECE)
    code = sink(user, region + done, end - begin - done < PIECE ? (size_t)(end - begin - done) : PIECE, err);
  sap__free(region);
  return code;
}

sap_status sap__masked_send(const sap__masked *masked, size_t count, const uint8_t *base, uint64_t begin, uint64_t end,
                            int mapped, sap__sink *sink, void *user, sap_error *err) {
  for (size_t i = 0; i < count; i++)
    if (!sap__view_contiguous(masked[i].view, masked[i].tensor))
      return send_whole(masked, count, base, begin, end, sink, user, err);
  uint8_t *piece = sap__alloc(PIECE, 1);
  if (!piece) return sap__fail_memory(err, PIECE);
  sap_status code = SAP_OK;
  for (uint64_t at = begin; !code && at < end; at += PIECE) {
    size_t now = end - at < PIECE ? (size_t)(end - at) : PIECE;
    memcpy(piece, base + at, now);
    for (size_t i = 0; i < count; i++) clear_piece(&masked[i], piece, at, at + now);
    code = sink(user, piece, now, err);
    if (mapped) sap__pages_drop(base + at, now);
  }
  sap__free(piece);
  return code;
}
