/* How data sets come into the table: each kind is a file of its own and one line in dataset.c. */
#ifndef SAP_DATA_DATASET_H
#define SAP_DATA_DATASET_H

#include <stdint.h>

#include "sapwood/dataset.h"

/* A data set under construction, and what sap_dataset_free releases: the blocks, then this struct. An
 * opener stores each block here as soon as it has it, also when it fails later, and never frees one. */
typedef struct sap__dataset {
  sap_dataset set;
  uint8_t *pixels[2], *labels[2]; /* train, test; from base/memory.h */
  float *floats[2];
} sap__dataset;

typedef struct sap__dataset_kind {
  const char *name; /* "cifar10" */
  const char *text; /* a line of help */
  const char *path; /* what PATH is, for error texts: "the folder that holds …" */
  int resizes;      /* 1: pictures are files, and become the size and channels that are asked for */
  const char *get;  /* how to get the set, "install the package …"; NULL: there is no usual place to look for it */
  /* Reads the set at `path` and fills in everything of dataset->set but name and memory, which is zero before. */
  sap_status (*open)(const char *path, const sap_dataset_options *options, sap__dataset *dataset, sap_error *err);
  /* Fills in the summary, which is zero before. */
  sap_status (*describe)(const char *path, sap_dataset_summary *summary, sap_error *err);
} sap__dataset_kind;

extern const sap__dataset_kind sap__dataset_fashion_mnist, sap__dataset_mnist, sap__dataset_cifar10,
    sap__dataset_cifar100, sap__dataset_tiny_imagenet, sap__dataset_folder, sap__dataset_npz;

/* 1 if the pictures of the set that `spec` names become the size and channels that are asked for. */
int sap__dataset_resizes(const char *spec);

/* Takes the pixels of one half, 0 train or 1 test: count pictures of the set's shape, and their labels. Sets the
 * split. SAP_ERROR_MEMORY, also where the machine has less memory than that (`name` is for the text). */
sap_status sap__dataset_take(sap__dataset *dataset, int half, uint64_t count, int floats, const char *name,
                             sap_error *err);

/* Sets mean and stddev of each channel to those of the training pictures (in [0, 1] if they are bytes); a
 * channel of one value gets stddev 1. */
void sap__dataset_measure(sap__dataset *dataset);

#endif
