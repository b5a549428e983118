/* MNIST and Fashion-MNIST: the same four IDX files, other pictures. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "data/dataset.h"
#include "data/idx.h"
#include "data/paths.h"
#include "io/file.h"

#define SIDE 28
#define CLASSES 10

#define IMAGES_FILE "images-idx3-ubyte"
#define LABELS_FILE "labels-idx1-ubyte"
#define FILES "train-" IMAGES_FILE ".gz, train-" LABELS_FILE ".gz, t10k-" IMAGES_FILE ".gz and t10k-" LABELS_FILE ".gz"
static const char *const prefixes[2] = {"train-", "t10k-"};

/* Reads FOLDER/PREFIXFILE.gz or, without .gz, the plain file; elements NULL: only its header. */
static sap_status read_part(const char *folder, const char *prefix, const char *file, uint32_t magic,
                            uint8_t **elements, uint32_t *count, sap_error *err) {
  size_t room = strlen(folder) + 64;
  char *path = sap__alloc(room, 1);
  if (!path) return sap__fail_memory(err, room);
  snprintf(path, room, "%s/%s%s.gz", folder, prefix, file);
  sap_status code = sap__idx_read(path, magic, SIDE, SIDE, elements, count, err);
  if (code == SAP_ERROR_NOT_FOUND) {
    path[strlen(path) - 3] = 0;
    code = sap__idx_read(path, magic, SIDE, SIDE, elements, count, err);
    if (code == SAP_ERROR_NOT_FOUND)
      code = sap__fail(err, SAP_ERROR_NOT_FOUND, "%s: not there, neither plain nor as .gz", sap__path_tail(path));
  }
  sap__free(path);
  return code;
}

/* Reads one half, 0 train or 1 test, and checks that images and labels belong together. */
static sap_status read_split(const char *folder, int half, sap__dataset *dataset, sap_split *split, sap_error *err) {
  const char *prefix = prefixes[half], *shown = sap__path_tail(folder);
  uint32_t images = 0, labels = 0;
  sap_status code = read_part(folder, prefix, IMAGES_FILE, SAP__IDX_IMAGES, &dataset->pixels[half], &images, err);
  if (!code) code = read_part(folder, prefix, LABELS_FILE, SAP__IDX_LABELS, &dataset->labels[half], &labels, err);
  if (code) return code;
  if (images != labels)
    return sap__fail(err, SAP_ERROR_FORMAT, "%s/%s" LABELS_FILE ": %u labels, expected %u as there are pictures", shown,
                     prefix, labels, images);
  for (uint32_t i = 0; i < labels; i++)
    if (dataset->labels[half][i] >= CLASSES)
      return sap__fail(err, SAP_ERROR_FORMAT, "%s/%s" LABELS_FILE ": label %u is %u, expected at most %d", shown,
                       prefix, i, dataset->labels[half][i], CLASSES - 1);
  *split = (sap_split){.count = images, .pixels = dataset->pixels[half], .labels = dataset->labels[half]};
  return SAP_OK;
}

static const char folder_text[] = "one with " FILES;

static sap_status open_folder(const char *folder, float mean, float stddev, sap__dataset *dataset, sap_error *err) {
  sap_status code = sap__path_folder(folder, folder_text, err);
  if (code) return code;
  sap_dataset *set = &dataset->set;
  set->channels = 1;
  set->height = set->width = SIDE;
  set->classes = CLASSES;
  set->mean[0] = mean;
  set->stddev[0] = stddev;
  code = read_split(folder, 0, dataset, &set->train, err);
  return code ? code : read_split(folder, 1, dataset, &set->test, err);
}

static sap_status describe_folder(const char *folder, sap_dataset_summary *summary, sap_error *err) {
  sap_status code = sap__path_folder(folder, folder_text, err);
  uint32_t counts[4] = {0};
  for (int i = 0; i < 4 && !code; i++)
    code = read_part(folder, prefixes[i / 2], i % 2 ? LABELS_FILE : IMAGES_FILE,
                     i % 2 ? SAP__IDX_LABELS : SAP__IDX_IMAGES, NULL, &counts[i], err);
  *summary = (sap_dataset_summary){1, SIDE, SIDE, CLASSES, counts[0], counts[2]};
  return code;
}

/* ---- the sets: mean and standard deviation of the training pixels in [0, 1] ---- */

static sap_status open_fashion_mnist(const char *path, const sap_dataset_options *options, sap__dataset *dataset,
                                     sap_error *err) {
  (void)options;
  return open_folder(path, 0.2860f, 0.3530f, dataset, err);
}

static sap_status open_mnist(const char *path, const sap_dataset_options *options, sap__dataset *dataset,
                             sap_error *err) {
  (void)options;
  return open_folder(path, 0.1307f, 0.3081f, dataset, err);
}

const sap__dataset_kind sap__dataset_fashion_mnist = {
    .name = "fashion-mnist",
    .text = "grey 28x28 pictures of clothes, 10 classes; PATH is the folder of the four IDX files",
    .path = "the folder of the four IDX files",
    .get = "install the package dataset-fashion-mnist, get it with scripts/fetch-data.sh fashion-mnist",
    .open = open_fashion_mnist,
    .describe = describe_folder,
};

const sap__dataset_kind sap__dataset_mnist = {
    .name = "mnist",
    .text = "grey 28x28 handwritten digits, 10 classes; PATH is the folder of the four IDX files",
    .path = "the folder that holds " FILES,
    .get = "get it with scripts/fetch-data.sh mnist",
    .open = open_mnist,
    .describe = describe_folder,
};
