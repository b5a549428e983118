/* safetensors files as checkpoints, and for the formats that are made of such files. */
#ifndef SAP_IO_FORMAT_SAFETENSORS_H
#define SAP_IO_FORMAT_SAFETENSORS_H

#include "io/format.h"

/* Maps and checks the file and appends an entry in place for each of its tensors, in the order of their data. */
sap_status sap__safetensors_add(sap_checkpoint *checkpoint, const char *path, int with_metadata, sap_error *err);

/* sap_safetensors_parse; lenient 1: bytes behind the last tensor are allowed. */
sap_status sap__safetensors_parse(const void *bytes, size_t size, const char *name, int lenient, sap_safetensors **file,
                                  sap_error *err);

/* Writes the tensors of any checkpoint as one safetensors file, each dense or in sparse form as `encoding` says. */
sap_status sap__safetensors_convert(sap_checkpoint *from, const uint64_t *const *masks, sap_encoding encoding,
                                    const char *path, sap_error *err);

/* Writes a file again: in place where all of it is dense, else anew. Our own sparse form is kept; a layout of
 * compressed-tensors, which nobody writes any more, becomes dense. */
sap_status sap__safetensors_rewrite(sap_checkpoint *checkpoint, const uint64_t *const *masks, const char *path,
                                    sap_error *err);

/* The same for one mapped file of several. 1 if it holds packed tensors and is to be written anew, *encoding says how;
 * 0 if sap__checkpoint_patch_map will do. */
int sap__safetensors_packed(const sap_checkpoint *checkpoint, uint32_t map, sap_encoding *encoding);

/* Writes it anew with its own metadata into an open file, and tells written() of each tensor of the new file. */
typedef sap_status sap__written(void *user, const sap_tensor *tensor, sap_error *err);
sap_status sap__safetensors_rewrite_map(sap_checkpoint *checkpoint, uint32_t map, sap_encoding encoding,
                                        const uint64_t *const *masks, sap__atomic *file, sap__written *written,
                                        void *user, sap_error *err);

#endif
