/* What the reader and the writer of safetensors share. */
#ifndef SAP_IO_SAFETENSORS_H
#define SAP_IO_SAFETENSORS_H

#include <stdint.h>

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

#endif
