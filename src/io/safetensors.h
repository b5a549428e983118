/* What the reader and the writer of safetensors share. */
#ifndef SAP_IO_SAFETENSORS_H
#define SAP_IO_SAFETENSORS_H

#include <stdint.h>

#include "io/format.h"
#include "sapwood/safetensors.h"

#define SAP__METADATA "__metadata__"
#define SAP__HEADER_MAX 100000000 /* bytes, padding included; the format's limit for reading and writing */

/* Elements and bytes that type and shape give. -1 when a product exceeds 64 bits, counting in bits as the
 * format does, or the elements do not fill whole bytes. */
static inline int sap__tensor_size(const sap_tensor *tensor, uint64_t *count, uint64_t *bytes) {
  uint64_t elements = 1, bits;
  for (int i = 0; i < tensor->rank; i++)
    if (__builtin_mul_overflow(elements, tensor->shape[i], &elements)) return -1;
  if (__builtin_mul_overflow(elements, (uint64_t)sap_dtype_bits(tensor->dtype), &bits) || bits % 8) return -1;
  *count = elements;
  *bytes = bits / 8;
  return 0;
}

/* The tensor named as the first `length` bytes of `stem` and then `suffix`; NULL if there is none. */
const sap_tensor *sap__safetensors_find_joined(const sap_safetensors *file, const char *stem, size_t length,
                                               const char *suffix);

/* From now on the names, keys and values, which stay where they are, are freed with the pieces of `to`. */
void sap__safetensors_move_pieces(sap_safetensors *file, sap__pieces *to);

/* Sends the data of tensors[i], all its bytes in any pieces, to the sink. */
typedef sap_status sap__safetensors_source(void *user, size_t i, sap__sink *sink, void *sink_user, sap_error *err);

/* sap_safetensors_write into an open file, for data that is made when it is written: the tensors' own `data` is not
 * used, `source` is called once for each in the order of the file. Memory does not grow with the data. Another number
 * of bytes than the tensor has is SAP_ERROR_IO: what was read has changed meanwhile. */
sap_status sap__safetensors_stream(sap__atomic *file, const sap_tensor *tensors, size_t count,
                                   const sap_metadata *metadata, size_t metadata_count, sap__safetensors_source *source,
                                   void *user, sap_error *err) SAP_WARN_UNUSED;

#endif
