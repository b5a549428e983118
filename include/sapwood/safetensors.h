/* Reading and writing safetensors files.
 *
 * Format: https://github.com/huggingface/safetensors (README "Format" and the reference reader's checks).
 * The reader maps the file and checks everything before it hands out a pointer; files are not trusted.
 */
#ifndef SAPWOOD_SAFETENSORS_H
#define SAPWOOD_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "sapwood/dtype.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SAP_TENSOR_MAX_RANK 8

/* A tensor in an open file, or one to be written: a borrowed view. */
typedef struct sap_tensor {
  const char *name; /* UTF-8 */
  sap_dtype dtype;
  int rank;                            /* 0 … SAP_TENSOR_MAX_RANK */
  uint64_t shape[SAP_TENSOR_MAX_RANK]; /* row-major; a length may be 0 */
  uint64_t count;                      /* product of the shape; 1 for rank 0 */
  uint64_t bytes;
  const void *data; /* little-endian; aligned to nothing in files of other writers */
} sap_tensor;

/* Key and value of "__metadata__". */
typedef struct sap_metadata {
  const char *key, *value; /* UTF-8 */
} sap_metadata;

/* ---- reading ---- */

typedef struct sap_safetensors sap_safetensors;

/* Maps and checks the file. The handle is closed with sap_safetensors_close. Pointers from it live until then.
 * Errors: SAP_ERROR_NOT_FOUND, SAP_ERROR_IO, SAP_ERROR_FORMAT (text: file, tensor, found, expected),
 * SAP_ERROR_UNSUPPORTED (a rank above SAP_TENSOR_MAX_RANK), SAP_ERROR_MEMORY. Another process that shortens
 * the file while it is open makes reads of its data fail with a signal: replace files, never rewrite them. Cost:
 * O(header); tensor data is not read. */
SAP_API sap_status sap_safetensors_open(const char *path, sap_safetensors **file, sap_error *err) SAP_WARN_UNUSED;

/* The same over bytes in memory, which the caller keeps alive. `name` is used in error texts. */
SAP_API sap_status sap_safetensors_parse(const void *bytes, size_t size, const char *name, sap_safetensors **file,
                                         sap_error *err) SAP_WARN_UNUSED;

SAP_API void sap_safetensors_close(sap_safetensors *file);

/* Tensors in the order of their data. */
SAP_API size_t sap_safetensors_count(const sap_safetensors *file);
SAP_API const sap_tensor *sap_safetensors_at(const sap_safetensors *file, size_t i);

/* NULL if there is none of that name. O(1), or O(log count) if a file was made to slow it. */
SAP_API const sap_tensor *sap_safetensors_find(const sap_safetensors *file, const char *name);

/* Value of a key of "__metadata__"; NULL if absent. */
SAP_API const char *sap_safetensors_metadata(const sap_safetensors *file, const char *key);

/* All of "__metadata__" in the file's order; *count receives the length, 0 without any. */
SAP_API const sap_metadata *sap_safetensors_metadata_all(const sap_safetensors *file, size_t *count);

/* ---- writing ---- */

/* The tensor of rank 1 with `count` elements at `data`, which it borrows as it does the name. For types of whole bytes.
 */
SAP_API sap_tensor sap_tensor_vector(const char *name, sap_dtype dtype, const void *data, uint64_t count);

/* Writes a whole file: beside its place, flushed to the disk, then renamed over `path`. On any error
 * `path` is what it was before. Tensors are laid out by falling alignment, then name, as the reference
 * writer does; the header is padded to 64 bytes, so every tensor is aligned for its type.
 * The same arguments give the same bytes; metadata stays in the given order. Data is written straight
 * from the caller's memory.
 * Errors: SAP_ERROR_IO with the system's reason, SAP_ERROR_ARGUMENT for a duplicate or malformed name or a
 * tensor whose count or bytes do not follow from its shape, SAP_ERROR_MEMORY. */
SAP_API sap_status sap_safetensors_write(const char *path, const sap_tensor *tensors, size_t count,
                                         const sap_metadata *metadata, size_t metadata_count,
                                         sap_error *err) SAP_WARN_UNUSED;

#ifdef __cplusplus
}
#endif
#endif
