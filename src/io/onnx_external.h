/* The files of external data that belong to a model, written again beside its copy. */
#ifndef SAP_IO_ONNX_EXTERNAL_H
#define SAP_IO_ONNX_EXTERNAL_H

#include "io/onnx.h"

/* Files that were written and can still be taken back. */
typedef struct sap__onnx_copies {
  char **paths;
  size_t count;
} sap__onnx_copies;

/* Writes each external file, masked weights zero, at its location relative to the folder of `path`; nothing
 * is overwritten: SAP_ERROR_EXISTS. Folders on the way are made. */
sap_status sap__onnx_copy_external(sap_checkpoint *checkpoint, const uint64_t *const *masks, const char *path,
                                   sap__onnx_copies *copies, sap_error *err);

/* Frees the list; with `remove` the files, too. */
void sap__onnx_copies_end(sap__onnx_copies *copies, int remove);

#endif
