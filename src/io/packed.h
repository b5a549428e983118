/* Packed tensors: ways to keep one tensor in several of a safetensors file. They are recognised by their names, and
 * seen from outside as the one tensor that they hold.
 */
#ifndef SAP_IO_PACKED_H
#define SAP_IO_PACKED_H

#include <string.h>

#include "io/format.h"
#include "io/sparse_tensor.h"

/* A file whose tensors are being added to a checkpoint. */
typedef struct sap__packed_file {
  sap_checkpoint *checkpoint;
  const sap_safetensors *file; /* its names are among the checkpoint's pieces */
  int whole_names;             /* sap__packed_whole_names(file) */
} sap__packed_file;

/* Looks at a tensor of the file. *taken: 1 if it is a part of a packed tensor of this kind; for one of its parts, an
 * entry is added for the whole. Errors: SAP_ERROR_FORMAT, SAP_ERROR_MEMORY. */
typedef sap_status sap__packed_kind(const sap__packed_file *from, const sap_tensor *part, int *taken, sap_error *err);

/* Our own, docs/sparse-format.md: NAME.sapwood.values and NAME.sapwood.index. */
sap__packed_kind sap__packed_sparse;

/* The `load` of its entries. */
sap_status sap__packed_load_sparse(sap_checkpoint *checkpoint, sap__entry *entry, sap_error *err);

/* For whoever wants the kept weights of one alone: where entry i lies in the mapped file, if it is one of them, else
 * NULL. Its codes are not checked yet. */
const sap__sparse_view *sap__packed_view(const sap_checkpoint *checkpoint, size_t i);

#define SAP__SPARSE_VALUES ".sapwood.values"
#define SAP__SPARSE_INDEX ".sapwood.index"
#define SAP__SPARSE_KEY "sapwood.sparse" /* in the file's metadata, with the version of the rules */
#define SAP__SPARSE_VERSION "1"

/* Those of the compressed-tensors library: NAME.compressed, NAME.bitmask and NAME.shape (packed_bitmask.c). */
sap__packed_kind sap__packed_bitmask;

/* 1 if that library wrote the file in the way of its first versions: NAME is the whole name of a tensor, not that of a
 * module. */
int sap__packed_whole_names(const sap_safetensors *file);

/* Notes that the entry is made of these tensors of the file, and counts their bytes as stored. */
sap_status sap__packed_note(sap_checkpoint *checkpoint, sap__entry *entry, const sap_tensor *const *parts, size_t count,
                            sap_error *err);

/* Bytes of a name of `length` before the suffix; 0 if it does not end in it, or is nothing else. */
static inline size_t sap__packed_stem(const char *name, size_t length, const char *suffix) {
  const size_t tail = strlen(suffix);
  return length > tail && name[length - 1] == suffix[tail - 1] && !memcmp(name + length - tail, suffix, tail)
             ? length - tail
             : 0;
}

#endif
