/* IDX files, the format of the MNIST family: a magic number that gives element type and rank, the length of
 * each axis (32 bits, big-endian), then the elements in row-major order. Plain, or compressed with gzip.
 * http://yann.lecun.com/exdb/mnist/ ("The IDX file format") */
#ifndef SAP_DATA_IDX_H
#define SAP_DATA_IDX_H

#include <stdint.h>

#include "sapwood/status.h"

#define SAP__IDX_IMAGES 0x00000803u /* bytes, (count, height, width) */
#define SAP__IDX_LABELS 0x00000801u /* bytes, (count) */
#define SAP__IDX_MAX_BYTES ((uint64_t)1 << 30)

/* Reads a whole file of bytes whose magic number is `magic`, one of the two above; images must be
 * `height` x `width`. Trailing bytes are an error. *elements (freed with sap__free) gets *count pictures or labels,
 * at least one; elements NULL: only the header is read. Takes no more memory than the file can fill, and at most
 * SAP__IDX_MAX_BYTES. Errors: SAP_ERROR_NOT_FOUND, SAP_ERROR_IO, SAP_ERROR_FORMAT, SAP_ERROR_MEMORY. */
sap_status sap__idx_read(const char *path, uint32_t magic, uint32_t height, uint32_t width, uint8_t **elements,
                         uint32_t *count, sap_error *err) SAP_WARN_UNUSED;

/* The same over an open descriptor of a file of `size` bytes, which it closes; `path` is for error texts. */
sap_status sap__idx_read_descriptor(int descriptor, uint64_t size, const char *path, uint32_t magic, uint32_t height,
                                    uint32_t width, uint8_t **elements, uint32_t *count,
                                    sap_error *err) SAP_WARN_UNUSED;

#endif
