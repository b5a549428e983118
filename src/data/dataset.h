/* How data sets come into the table: each has one opener, in a file of its own, and one line in dataset.c. */
#ifndef SAP_DATA_DATASET_H
#define SAP_DATA_DATASET_H

#include <stdint.h>

#include "sapwood/dataset.h"

/* A data set under construction, and what sap_dataset_free releases: the blocks, then this struct. An
 * opener stores each block here as soon as it has it, also when it fails later, and never frees one. */
typedef struct sap__dataset {
  sap_dataset set;
  uint8_t *pixels[2], *labels[2]; /* train, test; from base/memory.h */
} sap__dataset;

/* Reads the set from `path` (NULL: the usual system places) and fills in everything of dataset->set but name
 * and memory, which is zero before. `name` is for error texts. */
typedef sap_status sap__dataset_opener(const char *name, const char *path, sap__dataset *dataset, sap_error *err);

sap__dataset_opener sap__fashion_mnist_open, sap__mnist_open;

#endif
