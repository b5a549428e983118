/* The forms a tensor of an ONNX model can be written in: as a dense TensorProto with raw data, or as a
 * SparseTensorProto with the kept values as raw data and their positions as packed varints (int64_data), which
 * take half of what raw indices do. What else the tensor's message held, documentation say, goes along.
 */
#ifndef SAP_IO_ONNX_FORM_H
#define SAP_IO_ONNX_FORM_H

#include "io/atomic.h"
#include "io/onnx.h"

/* Bytes on their way to a file. The first error stays and stops all that follows. */
typedef struct sap__onnx_out {
  sap__atomic *file;
  uint8_t *buffer;
  size_t used;
  uint64_t written;
  sap_status status;
  sap_error *err;
} sap__onnx_out;

/* Takes a buffer; freed by sap__onnx_out_finish. */
sap_status sap__onnx_out_start(sap__onnx_out *out, sap__atomic *file, sap_error *err);
void sap__onnx_put(sap__onnx_out *out, const void *bytes, size_t size);

/* Writes what is left, frees the buffer and returns the first error. */
sap_status sap__onnx_out_finish(sap__onnx_out *out);

/* A tensor in one of the forms, and what that takes. */
typedef struct sap__onnx_form {
  const sap__onnx_tensor *tensor;
  int sparse;
  uint64_t value_bytes;
  uint64_t nnz, index_bytes; /* of the sparse form */
  uint64_t values;           /* of the sparse form: size of the TensorProto of the values */
  uint64_t indices;          /* and of the indices */
  uint64_t message;          /* size of the TensorProto or SparseTensorProto */
  uint64_t attribute;        /* size of the AttributeProto around a constant */
  uint64_t size;             /* of the whole field, with key and length */
} sap__onnx_form;

sap__onnx_form sap__onnx_form_dense(const sap_checkpoint *checkpoint, const sap__onnx_tensor *tensor);

/* mask: the values to store. */
sap__onnx_form sap__onnx_form_sparse(const sap_checkpoint *checkpoint, const sap__onnx_tensor *tensor,
                                     const uint64_t *mask);

/* Writes the field. mask: of the dense form, weights to write as zero (NULL: none); of the sparse form as above. */
void sap__onnx_form_write(sap_checkpoint *checkpoint, const sap__onnx_form *form, const uint64_t *mask,
                          sap__onnx_out *out);

#endif
