/* Reading a tensor in sparse form (sparse_form.h) where it lies. */
#ifndef SAP_IO_SPARSE_TENSOR_H
#define SAP_IO_SPARSE_TENSOR_H

#include "sapwood/safetensors.h"

/* The two streams in a mapped file. */
typedef struct sap__sparse_view {
  const uint8_t *values, *index;
  uint64_t kept, index_bytes;
} sap__sparse_view;

/* A tensor whose head was read, and where it was. */
typedef struct sap__sparse_tensor {
  const sap__sparse_view *view;
  const sap_tensor *tensor;
} sap__sparse_tensor;

/* Reads rank and shape into the tensor, whose dtype is set, and checks that the index has room for its records. NULL,
 * or what is wrong. */
const char *sap__sparse_read_head(const sap__sparse_view *view, sap_tensor *tensor);

/* Decodes all elements into data (tensor->bytes; NULL: the mask alone) and the mask (sap_mask_words) of a tensor whose
 * head was read. *wrong: what is wrong with the index, NULL if nothing is. On all threads. Errors: SAP_ERROR_MEMORY. */
sap_status sap__sparse_read(const sap__sparse_view *view, const sap_tensor *tensor, void *data, uint64_t *mask,
                            const char **wrong, sap_error *err) SAP_WARN_UNUSED;

/* The kept positions of a tensor of at most 2^32 elements, view->kept of them, rising. *wrong and errors as above. On
 * all threads. */
sap_status sap__sparse_positions(const sap__sparse_tensor *from, uint32_t *positions, const char **wrong,
                                 sap_error *err) SAP_WARN_UNUSED;

/* Checks all that decoding would, of `count` tensors. *wrong: what is wrong with one that is not right, whose number is
 * *which; NULL if all are right. The values are not read. Errors: SAP_ERROR_MEMORY. */
sap_status sap__sparse_check_all(const sap__sparse_tensor *tensors, size_t count, size_t *which, const char **wrong,
                                 sap_error *err) SAP_WARN_UNUSED;

#endif
