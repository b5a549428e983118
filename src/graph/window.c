#include "graph/window.h"

#include "base/error.h"

/* Lengths of windows are kept below this, so that no sum or product of them overflows. */
enum { LIMIT = 1 << 20 };

sap_status sap__window_count(const char *op, const sap__window *w, int64_t length, int64_t *out, sap_error *err) {
  if (w->kernel < 1 || w->stride < 1 || w->dilation < 1 || w->kernel > LIMIT || w->stride > LIMIT ||
      w->dilation > LIMIT)
    return sap__fail(err, SAP_ERROR_MISMATCH, "%s: kernel %lld, stride %lld, dilation %lld: expected 1 to %d", op,
                     (long long)w->kernel, (long long)w->stride, (long long)w->dilation, LIMIT);
  if (w->before < 0 || w->after < 0 || w->before > LIMIT || w->after > LIMIT)
    return sap__fail(err, SAP_ERROR_MISMATCH, "%s: padding %lld and %lld: expected 0 to %d", op, (long long)w->before,
                     (long long)w->after, LIMIT);
  int64_t extent = (w->kernel - 1) * w->dilation + 1, room = length + w->before + w->after - extent;
  if (room < 0)
    return sap__fail(err, SAP_ERROR_MISMATCH, "%s: a window of %lld on %lld pixels with padding %lld and %lld", op,
                     (long long)extent, (long long)length, (long long)w->before, (long long)w->after);
  int64_t count = (room + (w->ceil ? w->stride - 1 : 0)) / w->stride + 1;
  /* The last window must begin inside the picture or its padding before. */
  if (w->ceil && (count - 1) * w->stride >= length + w->before) count--;
  *out = count;
  return SAP_OK;
}

sap_status sap__pool_infer(const char *op, const sap__pool *pool, const sap__shape *input, sap__shape *output,
                           sap_error *err) {
  if (input->rank != 3) return sap__fail(err, SAP_ERROR_MISMATCH, "%s: input of rank %d, expected 3", op, input->rank);
  sap__shape shape = *input;
  for (int axis = 0; axis < 2; axis++) {
    sap__window window = {.kernel = pool->kernel[axis],
                          .stride = pool->stride[axis],
                          .dilation = 1,
                          .before = pool->pad[axis],
                          .after = pool->pad[axis + 2],
                          .ceil = pool->ceil};
    /* Else a window may hold no pixel at all: no largest, and no mean without the padding. */
    if (window.before >= window.kernel || window.after >= window.kernel)
      return sap__fail(err, SAP_ERROR_MISMATCH, "%s: padding %lld and %lld: expected less than the kernel, %lld", op,
                       (long long)window.before, (long long)window.after, (long long)window.kernel);
    sap_status status = sap__window_count(op, &window, input->dim[axis + 1], &shape.dim[axis + 1], err);
    if (status) return status;
  }
  *output = shape;
  return SAP_OK;
}
