/* MNIST and Fashion-MNIST: the same four IDX files, other pictures. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/memory.h"
#include "data/dataset.h"
#include "data/idx.h"
#include "io/file.h"

#define SIDE 28
#define CLASSES 10

#define IMAGES_FILE "images-idx3-ubyte"
#define LABELS_FILE "labels-idx1-ubyte"
#define FILES "train-" IMAGES_FILE ".gz, train-" LABELS_FILE ".gz, t10k-" IMAGES_FILE ".gz and t10k-" LABELS_FILE ".gz"
static const char *const prefixes[2] = {"train-", "t10k-"};

/* Reads FOLDER/PREFIXFILE.gz or, without .gz, the plain file. */
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

static sap_status open_folder(const char *folder, float mean, float stddev, sap__dataset *dataset, sap_error *err) {
  struct stat status;
  if (stat(folder, &status) && (errno == ENOENT || errno == ENOTDIR))
    return sap__fail(err, SAP_ERROR_NOT_FOUND, "%s: no such folder; expected one with " FILES, sap__path_tail(folder));
  if (stat(folder, &status)) return sap__fail_system(err, folder, errno);
  if (!S_ISDIR(status.st_mode))
    return sap__fail(err, SAP_ERROR_NOT_FOUND, "%s: a file, expected the folder of the four IDX files",
                     sap__path_tail(folder));
  sap_dataset *set = &dataset->set;
  set->channels = 1;
  set->height = set->width = SIDE;
  set->classes = CLASSES;
  set->mean[0] = mean;
  set->stddev[0] = stddev;
  sap_status code = read_split(folder, 0, dataset, &set->train, err);
  return code ? code : read_split(folder, 1, dataset, &set->test, err);
}

/* ---- the sets: where they are, and mean and standard deviation of the training pixels in [0, 1] ---- */

sap_status sap__fashion_mnist_open(const char *name, const char *path, sap__dataset *dataset, sap_error *err) {
  static const char place[] = "/usr/share/datasets/fashion-mnist";
  struct stat status;
  if (!path && stat(place, &status))
    return sap__fail(
        err, SAP_ERROR_NOT_FOUND,
        "%s: not in %s; install the package dataset-fashion-mnist, or name the folder of the four IDX files: "
        "%s:DIR",
        name, place, name);
  return open_folder(path ? path : place, 0.2860f, 0.3530f, dataset, err);
}

sap_status sap__mnist_open(const char *name, const char *path, sap__dataset *dataset, sap_error *err) {
  if (!path) return sap__fail(err, SAP_ERROR_NOT_FOUND, "%s: name the folder (%s:DIR) that holds " FILES, name, name);
  return open_folder(path, 0.1307f, 0.3081f, dataset, err);
}
