/* Checkpoints: named tensors in a file or folder of any known format.
 *
 *   safetensors    one file, or a folder with model.safetensors; tensors in sparse form (docs/sparse-format.md), and
 *                  the formats sparse-bitmask and sparse-24-bitmask of compressed-tensors
 *   safetensors shards    NAME.safetensors.index.json, or the folder that holds one, with its files beside it
 *   onnx           initializers, raw and typed, external data, sparse_initializer
 *   npy, npz       NumPy
 *   pytorch        .pt, .pth zip files that hold a state dict of tensors and nothing else
 *
 * Files are mapped, checked when opened and read where they lie; a tensor that has to be decoded (deflated,
 * sparse, byte-swapped, Fortran order) is decoded when it is first asked for. Files are not trusted.
 */
#ifndef SAPWOOD_CHECKPOINT_H
#define SAPWOOD_CHECKPOINT_H

#include <stddef.h>
#include <stdint.h>

#include "sapwood/safetensors.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sap_checkpoint sap_checkpoint;

typedef struct sap_checkpoint_options {
  int lenient;       /* 1: accept bytes behind the end of the data, which some writers leave; and an index of shards
                        that lacks a tensor of its files, or whose total size is wrong */
  double max_expand; /* decoded tensors may take this many times the bytes of the file; > 0 */
} sap_checkpoint_options;

/* lenient 0, max_expand 1000. */
SAP_API sap_checkpoint_options sap_checkpoint_options_default(void);

/* Opens and checks; the format is found by content, then by name. options NULL: the defaults.
 * Errors: SAP_ERROR_NOT_FOUND, SAP_ERROR_IO, SAP_ERROR_FORMAT (file, tensor, found, expected),
 * SAP_ERROR_UNSUPPORTED, SAP_ERROR_MEMORY. Cost: the headers; no tensor is read. */
SAP_API sap_status sap_checkpoint_open(const char *path, const sap_checkpoint_options *options,
                                       sap_checkpoint **checkpoint, sap_error *err) SAP_WARN_UNUSED;

/* NULL is fine. Pointers from the checkpoint live until then. */
SAP_API void sap_checkpoint_close(sap_checkpoint *checkpoint);

/* "safetensors", "onnx", "npz" … Static storage. */
SAP_API const char *sap_checkpoint_format(const sap_checkpoint *checkpoint);

/* The path it was opened with. */
SAP_API const char *sap_checkpoint_path(const sap_checkpoint *checkpoint);

/* Tensors in the order of the file. Their `data` is NULL until sap_checkpoint_load. */
SAP_API size_t sap_checkpoint_count(const sap_checkpoint *checkpoint);
SAP_API const sap_tensor *sap_checkpoint_at(const sap_checkpoint *checkpoint, size_t i);

/* The index of a name; the count if there is none. O(1), or O(log count) if a file was made to slow it. */
SAP_API size_t sap_checkpoint_find(const sap_checkpoint *checkpoint, const char *name);

/* Makes tensor i readable and sets its data: little-endian, row-major, of the tensor's dtype. Where the
 * file has it so, this costs nothing; else it is decoded into memory that lives until close.
 * Errors: SAP_ERROR_FORMAT, SAP_ERROR_MEMORY. Not for two threads at once on one checkpoint. */
SAP_API sap_status sap_checkpoint_load(sap_checkpoint *checkpoint, size_t i, sap_error *err) SAP_WARN_UNUSED;

/* 1 if the tensor's data lies in a mapped file, whose pages the system can drop and read again; 0 if it
 * was decoded into memory. */
SAP_API int sap_checkpoint_mapped(const sap_checkpoint *checkpoint, size_t i);

/* How tensor i is stored: "dense", "sparse", "deflated" …; *bytes receives how many of the file's bytes it takes. NULL
 * past the last. Static storage. */
SAP_API const char *sap_checkpoint_stored(const sap_checkpoint *checkpoint, size_t i, uint64_t *bytes);

/* The mask that a sparse layout carries for tensor i, as sap_mask bits; NULL where the format has none. */
SAP_API const uint64_t *sap_checkpoint_mask(const sap_checkpoint *checkpoint, size_t i);

/* Key and value pairs that the format carries beside the tensors; *count receives how many. */
SAP_API const sap_metadata *sap_checkpoint_metadata(const sap_checkpoint *checkpoint, size_t *count);

/* ---- writing ---- */

/* Writes the checkpoint again, in its own format, to `path`: every byte as it was, but that weights whose
 * bit in masks[i] is 0 are written as zero. masks: one pointer a tensor, NULL: all kept.
 * Streams: memory does not grow with the file. The output is whole or not there; never onto the input. Shards
 * become a folder at `path`, with the index and its files and nothing else. Tensors in a sparse layout of
 * compressed-tensors become dense ones of the same names and types, and an index of shards names these.
 * Errors: SAP_ERROR_IO, SAP_ERROR_ARGUMENT (output is the input, or its name ends as files of another format do),
 * SAP_ERROR_EXISTS (a folder that is not empty, or a file where a folder is to be), SAP_ERROR_UNSUPPORTED,
 * SAP_ERROR_MEMORY. */
SAP_API sap_status sap_checkpoint_rewrite(sap_checkpoint *checkpoint, const uint64_t *const *masks, const char *path,
                                          sap_error *err) SAP_WARN_UNUSED;

/* How tensors are stored. */
typedef enum sap_encoding {
  SAP_ENCODING_DENSE,
  SAP_ENCODING_SPARSE, /* each tensor in the smaller of the two forms; for .safetensors and .onnx. In .safetensors one
                        * with a mask that prunes anything is always sparse: a dense form has no place for masks */
  SAP_ENCODING_AS_IS   /* sparse if the checkpoint has a sparse tensor and the format a sparse form, else dense */
} sap_encoding;

/* Writes the tensors in the format that `path` ends in: .safetensors or .npz, and .onnx where the checkpoint is a model
 * in ONNX. masks as above; NULL: the mask that the tensor carries. In sparse form a tensor without any keeps what is
 * not zero; .safetensors keeps -0, too. Streams, and each tensor is decoded only while it is written. Errors as above.
 */
SAP_API sap_status sap_checkpoint_convert(sap_checkpoint *checkpoint, const uint64_t *const *masks,
                                          sap_encoding encoding, const char *path, sap_error *err) SAP_WARN_UNUSED;

/* For a program that ends in the middle, as when it is interrupted: removes what unfinished outputs of this process
 * have on the disk, checkpoints and others. From then on every write waits for ever: no output is left half, and none
 * becomes whole. Not in a signal handler. */
SAP_API void sap_outputs_discard(void);

/* Writes one tensor, whose data is in memory, as a .npy file; its name is not written. Whole or not there.
 * Errors: SAP_ERROR_IO, SAP_ERROR_UNSUPPORTED (a type that NumPy lacks), SAP_ERROR_MEMORY. */
SAP_API sap_status sap_npy_write(const char *path, const sap_tensor *tensor, sap_error *err) SAP_WARN_UNUSED;

#ifdef __cplusplus
}
#endif
#endif
