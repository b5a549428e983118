/* What the reader of PyTorch files and the walk through their pickle share. */
#ifndef SAP_IO_PYTORCH_H
#define SAP_IO_PYTORCH_H

#include "io/pickle.h"
#include "io/view.h"
#include "io/zip.h"

/* Where a tensor lies. */
typedef struct sap__pytorch_source {
  uint32_t member; /* that holds its storage */
  sap__view view;  /* its offset is counted from the file's start */
} sap__pytorch_source;

/* The format's own part of a checkpoint. */
typedef struct sap__pytorch {
  sap__zip zip;
  const char *prefix; /* of the members' names, with its slash; not terminated */
  size_t prefix_length;
  int swapped;                  /* 1: big-endian */
  sap__pytorch_source *sources; /* one an entry */
  size_t source_count, source_room;
} sap__pytorch;

/* The member of the name behind the prefix; NULL if there is none. */
const sap__zip_member *sap__pytorch_member(const sap__pytorch *own, const char *name, size_t length);

/* Adds an entry for each tensor that the root of the pickle, of `size` bytes, leads to. */
sap_status sap__pytorch_walk(sap_checkpoint *checkpoint, const sap__pickle *pickle, uint64_t size,
                             sap_error *err) SAP_WARN_UNUSED;

#endif
