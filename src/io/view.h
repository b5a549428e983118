/* Views: tensors that lie in bytes in another order than the checkpoint's: strided, byte-swapped, or both. And
 * regions of a file in which the masked weights of any views are zero: what a rewritten file holds.
 */
#ifndef SAP_IO_VIEW_H
#define SAP_IO_VIEW_H

#include "io/format.h"

typedef struct sap__view {
  uint64_t offset;                       /* of the first element, in bytes from wherever the user of the view counts */
  uint64_t strides[SAP_TENSOR_MAX_RANK]; /* in elements, an axis each; axes of length 1 may have any */
  int swapped;                           /* 1: big-endian */
} sap__view;

/* The strides of a row-major tensor. */
void sap__view_rows(sap__view *view, const sap_tensor *tensor);

/* 1 if the elements lie one behind the other in row-major order. */
int sap__view_contiguous(const sap__view *view, const sap_tensor *tensor);

/* Bytes from the first element to the end of the last; 0 for a tensor without elements. -1 when they exceed 64
 * bits. The elements are of whole bytes. */
int sap__view_extent(const sap__view *view, const sap_tensor *tensor, uint64_t *bytes);

/* Copies the elements, little-endian and row-major, to `to`. base + view->offset: the first element. */
void sap__view_gather(const sap__view *view, const sap_tensor *tensor, const uint8_t *base, void *to);

/* A view with a mask: bit 0 of the tensor's element i means that it is written as zero. */
typedef struct sap__masked {
  const sap__view *view;
  const sap_tensor *tensor;
  const uint64_t *mask;
} sap__masked;

/* Sets the masked elements in base[0, …) to zero. */
void sap__masked_clear(const sap__masked *masked, uint8_t *base);

/* Sends base[begin, end) to the sink with the masked elements of all views, which may overlap and lie wholly within,
 * as zero. Memory: 1 MiB, and the region's size if a masked view is not contiguous. mapped: base is a mapping, whose
 * pages are given back. */
sap_status sap__masked_send(const sap__masked *masked, size_t count, const uint8_t *base, uint64_t begin, uint64_t end,
                            int mapped, sap__sink *sink, void *user, sap_error *err) SAP_WARN_UNUSED;

#endif
