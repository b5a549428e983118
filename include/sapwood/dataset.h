/* Labelled pictures for training and testing. */
#ifndef SAPWOOD_DATASET_H
#define SAPWOOD_DATASET_H

#include <stddef.h>
#include <stdint.h>

#include "sapwood/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SAP_DATASET_MAX_CHANNELS 4
#define SAP_DATASET_MAX_SIDE 4096   /* pixels of height or width */
#define SAP_DATASET_MAX_CLASSES 256 /* a label is a byte */

/* One part of a data set, held in memory: as bytes or, where the set brings floats, as those. */
typedef struct sap_split {
  uint32_t count;        /* pictures */
  const uint8_t *pixels; /* (count, channels, height, width); NULL: floats */
  const float *floats;   /* the same, finite; NULL: pixels */
  const uint8_t *labels; /* (count), each below classes */
} sap_split;

/* An opened data set. Read-only for users; freed with sap_dataset_free.
 * A byte u enters a network as (u/255 − mean[channel]) / stddev[channel], a float v as (v − mean) / stddev. */
typedef struct sap_dataset {
  const char *name; /* as in the table of data sets, "fashion-mnist" */
  int channels, height, width;
  int classes;
  float mean[SAP_DATASET_MAX_CHANNELS];
  float stddev[SAP_DATASET_MAX_CHANNELS];
  sap_split train, test;
  void *memory; /* what sap_dataset_free releases */
} sap_dataset;

typedef struct sap_dataset_options {
  int image_size; /* height and width. JPEG and PNG pictures are resized to it (shorter side) and cropped around their
                   * middle; a set of another kind must have it. 1 … 4096; 0: the set's own, for a folder 32 */
  int channels;   /* 1 grey, 3 colour, likewise; 0: the set's own, for a folder 1 if all training pictures are grey */
} sap_dataset_options;

/* All 0. */
SAP_API sap_dataset_options sap_dataset_options_default(void);

/* Opens the set that `spec` names: "NAME" or "NAME:PATH". With a bare name the usual places are tried:
 * $SAPWOOD_DATA/NAME, $XDG_DATA_HOME/sapwood/NAME (~/.local/share if unset), /usr/share/datasets/NAME. options NULL:
 * the defaults. Files are not trusted: magic numbers, sizes, counts, label range; pictures beyond 2^26 pixels are
 * refused before they are decoded.
 * Cost: reads and decodes the whole set, with sap_threads_get() threads.
 * Errors: SAP_ERROR_ARGUMENT for an unknown name (the text lists the known ones), SAP_ERROR_NOT_FOUND (the text says
 * which package or files to get), SAP_ERROR_FORMAT, SAP_ERROR_MISMATCH (training and test pictures of different shape,
 * or another shape than asked for), SAP_ERROR_UNSUPPORTED (JPEG or PNG in a build without them), SAP_ERROR_IO,
 * SAP_ERROR_MEMORY. */
SAP_API sap_status sap_dataset_open(const char *spec, const sap_dataset_options *options, sap_dataset **dataset,
                                    sap_error *err) SAP_WARN_UNUSED;

SAP_API void sap_dataset_free(sap_dataset *dataset);

/* What can be said about a set without reading it. 0 where the number is known only after that. */
typedef struct sap_dataset_summary {
  int channels, height, width;
  int classes;
  uint32_t train, test; /* pictures */
} sap_dataset_summary;

/* Finds the set and looks at sizes and headers of its files. Errors as above, of what it looks at. */
SAP_API sap_status sap_dataset_describe(const char *spec, sap_dataset_summary *summary, sap_error *err) SAP_WARN_UNUSED;

/* Names of the known data sets with a one-line description, for help texts; NULL past the last. */
SAP_API const char *sap_dataset_name_at(size_t i);
SAP_API const char *sap_dataset_text_at(size_t i);

#ifdef __cplusplus
}
#endif
#endif
