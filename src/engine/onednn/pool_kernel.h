/* The template of the pools' loops: the includer defines SAP_KERNEL(name) and its instruction set by compiler flags.
 * Bound by bytes. */
#include "engine/onednn/lanes.h"
#include "engine/onednn/pool.h"

/* The part of window (row, column) that lies inside the picture. */
typedef struct inside {
  int64_t top, bottom, left, right; /* pixels [top, bottom) × [left, right) */
  int64_t y, x;                     /* where the window begins, padding included */
  int64_t area;                     /* what a mean divides by */
} inside;

static inline inside window(const sap__pool *pool, const sap__format *in, int64_t row, int64_t column) {
  inside w = {.y = row * pool->stride[0] - pool->pad[0], .x = column * pool->stride[1] - pool->pad[1]};
  w.top = larger(w.y, 0), w.bottom = smaller(w.y + pool->kernel[0], in->height);
  w.left = larger(w.x, 0), w.right = smaller(w.x + pool->kernel[1], in->width);
  w.area = (w.bottom - w.top) * (w.right - w.left);
  if (pool->count_include_pad)
    w.area = (smaller(w.y + pool->kernel[0], in->height + pool->pad[2]) - w.y) *
             (smaller(w.x + pool->kernel[1], in->width + pool->pad[3]) - w.x);
  return w;
}

#define SAP_BODY "engine/onednn/pool_body.h"
#include "engine/onednn/lanes_both.h"

extern const sap__pool_pair SAP_KERNEL(sap__pools);
const sap__pool_pair SAP_KERNEL(sap__pools) = {
    {max_f32, max_backward_f32, mean_f32, mean_backward_f32},
    {max_bf16, max_backward_bf16, mean_bf16, mean_backward_bf16},
};
