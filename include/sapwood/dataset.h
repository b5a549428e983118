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

/* One part of a data set, held in memory as bytes. */
typedef struct sap_split {
  uint32_t count;        /* pictures */
  const uint8_t *pixels; /* (count, channels, height, width) */
  const uint8_t *labels; /* (count), each below classes */
} sap_split;

/* An opened data set. Read-only for users; freed with sap_dataset_free.
 * A pixel u enters a network as (u/255 − mean[channel]) / stddev[channel]. */
typedef struct sap_dataset {
  const char *name; /* as in the table of data sets, "fashion-mnist" */
  int channels, height, width;
  int classes;
  float mean[SAP_DATASET_MAX_CHANNELS];
  float stddev[SAP_DATASET_MAX_CHANNELS];
  sap_split train, test;
  void *memory; /* what sap_dataset_free releases */
} sap_dataset;

/* Opens the set that `spec` names: "NAME" or "NAME:PATH". With a bare name the usual system places are
 * tried. Files are checked: magic numbers, sizes, counts, label range.
 * Errors: SAP_ERROR_ARGUMENT for an unknown name (the text lists the known ones), SAP_ERROR_NOT_FOUND
 * (the text says which package or files to get), SAP_ERROR_FORMAT, SAP_ERROR_IO, SAP_ERROR_MEMORY. */
SAP_API sap_status sap_dataset_open(const char *spec, sap_dataset **dataset, sap_error *err) SAP_WARN_UNUSED;

SAP_API void sap_dataset_free(sap_dataset *dataset);

/* Names of the known data sets with a one-line description, for help texts; NULL past the last. */
SAP_API const char *sap_dataset_name_at(size_t i);
SAP_API const char *sap_dataset_text_at(size_t i);

#ifdef __cplusplus
}
#endif
#endif
