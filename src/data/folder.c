/* Pictures in folders: PATH/train/CLASS/… and PATH/test/CLASS/… (or PATH/val), the classes in byte order. */
#include <string.h>

#include "base/error.h"
#include "data/listing.h"
#include "data/paths.h"
#include "io/file.h"

enum { DEFAULT_SIDE = 32 };

/* PATH/train or PATH/test; PATH/val where there is no PATH/test. */
static sap_status half_folder(const char *path, int half, char folder[SAP__PATH_SIZE], sap_error *err) {
  char other[SAP__PATH_SIZE];
  sap_status code = sap__path_join(folder, path, half ? "test" : "train", err);
  if (!code && half && !sap__path_kind(folder)) {
    code = sap__path_join(other, path, "val", err);
    if (!code && sap__path_kind(other) == 2) code = sap__path_join(folder, path, "val", err);
  }
  return code ? code : sap__path_folder(folder, "one with a folder of pictures for each class", err);
}

/* The class folders of training. */
static sap_status list_classes(const char *path, sap__names *classes, sap_error *err) {
  char folder[SAP__PATH_SIZE];
  *classes = (sap__names){0};
  sap_status code = half_folder(path, 0, folder, err);
  if (!code) code = sap__names_of_folders(folder, classes, err);
  if (code) return code;
  if (!classes->count)
    return sap__fail(err, SAP_ERROR_FORMAT, "%s: no folders, expected one of pictures for each class",
                     sap__path_tail(folder));
  if (classes->count > SAP_DATASET_MAX_CLASSES)
    return sap__fail(err, SAP_ERROR_UNSUPPORTED, "%s: %zu class folders, expected at most %d", sap__path_tail(folder),
                     classes->count, SAP_DATASET_MAX_CLASSES);
  return SAP_OK;
}

static sap_status list_half(const char *path, int half, const sap__names *classes, sap__files *files, sap_error *err) {
  char folder[SAP__PATH_SIZE], inner[SAP__PATH_SIZE];
  sap__names found = {0};
  sap_status code = half_folder(path, half, folder, err);
  if (!code) code = sap__names_of_folders(folder, &found, err);
  if (!code && !found.count)
    code = sap__fail(err, SAP_ERROR_FORMAT, "%s: no folders, expected one of pictures for each class",
                     sap__path_tail(folder));
  for (size_t i = 0; i < found.count && !code; i++) {
    int label = sap__names_find(classes, found.list[i], strlen(found.list[i]));
    if (!code) code = sap__path_join(inner, folder, found.list[i], err);
    if (!code && label < 0)
      code = sap__fail(err, SAP_ERROR_MISMATCH, "%s: a class that training lacks, expected the folder in train, too",
                       sap__path_tail(inner));
    if (!code) code = sap__files_add_folder(files, inner, (uint8_t)label, err);
  }
  sap__names_free(&found);
  return code;
}

static sap_status open_folder(const char *path, const sap_dataset_options *options, sap__dataset *dataset,
                              sap_error *err) {
  sap_dataset *set = &dataset->set;
  sap__names classes;
  sap__files files[2] = {{0}};
  sap_status code = list_classes(path, &classes, err);
  for (int half = 0; half < 2 && !code; half++) code = list_half(path, half, &classes, &files[half], err);
  set->classes = (int)classes.count;
  set->height = set->width = options->image_size ? options->image_size : DEFAULT_SIDE;
  set->channels = options->channels == 1 || options->channels == 3 ? options->channels : 0;
  if (!code && !set->channels) code = sap__files_channels(&files[0], &set->channels, err);
  if (!code) code = sap__files_read(files, sap__path_tail(path), dataset, err);
  sap__names_free(&classes);
  for (int half = 0; half < 2; half++) sap__files_free(&files[half]);
  if (!code) sap__dataset_measure(dataset);
  return code;
}

static sap_status describe_folder(const char *path, sap_dataset_summary *summary, sap_error *err) {
  sap__names classes;
  sap_status code = list_classes(path, &classes, err);
  summary->classes = (int)classes.count;
  sap__names_free(&classes);
  return code;
}

const sap__dataset_kind sap__dataset_folder = {
    .name = "folder",
    .text = "your pictures (JPEG, PNG) in PATH/train/CLASS and PATH/test/CLASS",
    .path = "the folder that holds train/CLASS/… and test/CLASS/…",
    .resizes = 1,
    .open = open_folder,
    .describe = describe_folder,
};
