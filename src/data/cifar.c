/* CIFAR-10 and CIFAR-100, the binary version: records of one or two label bytes and 3 × 32 × 32 pixels, channel by
 * channel and row by row, nothing else. https://www.cs.toronto.edu/~kriz/cifar.html */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "data/dataset.h"
#include "data/paths.h"
#include "io/file.h"
#include "io/format.h"

enum { SIDE = 32, PIXELS = 3 * SIDE * SIDE, FILES_MAX = 6 };
#define BYTES_MAX ((uint64_t)1 << 30) /* of all files; the real ones have 184 MB */
#define U64(x) ((unsigned long long)(x))

typedef struct layout {
  const char *folder;           /* what the official archive unpacks to */
  const char *files[FILES_MAX]; /* training files, then the test file */
  int file_count;
  int label_bytes, label; /* bytes before the pixels, and which of them is the class */
  int limits[2];          /* each label byte is below its limit */
  int classes;
  float mean[3], stddev[3]; /* of the training pixels in [0, 1] */
} layout;

static const layout cifar10 = {
    "cifar-10-batches-bin",
    {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin",
     "test_batch.bin"},
    6,
    1,
    0,
    {10, 0},
    10,
    {0.4914f, 0.4822f, 0.4465f},
    {0.2023f, 0.1994f, 0.2010f},
};

static const layout cifar100 = {
    "cifar-100-binary",          {"train.bin", "test.bin"},   2, 2, 1, {20, 100}, 100,
    {0.5071f, 0.4865f, 0.4409f}, {0.2673f, 0.2564f, 0.2762f},
};

/* The mapped files of a set; all zero before. */
typedef struct files {
  sap__map maps[FILES_MAX];
  char paths[FILES_MAX][SAP__PATH_SIZE];
  uint64_t counts[FILES_MAX]; /* pictures */
} files;

static void close_files(files *set) {
  for (int i = 0; set && i < FILES_MAX; i++) sap__map_close(&set->maps[i]);
  sap__free(set);
}

/* Whole records, and as many in each training file: a file cut off between two records is noticed, too. */
static sap_status count_pictures(const layout *form, files *set, int i, sap_error *err) {
  const char *shown = sap__path_tail(set->paths[i]);
  uint64_t size = set->maps[i].size, record = (uint64_t)form->label_bytes + PIXELS, count = size / record;
  if (!size) return sap__fail(err, SAP_ERROR_FORMAT, "%s: an empty file, expected pictures", shown);
  if (size > BYTES_MAX)
    return sap__fail(err, SAP_ERROR_FORMAT, "%s: %llu bytes, expected at most %llu", shown, U64(size), U64(BYTES_MAX));
  if (size % record)
    return sap__fail(err, SAP_ERROR_FORMAT, "%s: %llu bytes, expected whole pictures of %llu bytes", shown, U64(size),
                     U64(record));
  if (i && i < form->file_count - 1 && count != set->counts[0])
    return sap__fail(err, SAP_ERROR_FORMAT, "%s: %llu pictures, expected %llu as in %s", shown, U64(count),
                     U64(set->counts[0]), form->files[0]);
  set->counts[i] = count;
  return SAP_OK;
}

/* Maps the files of the folder, or of the official archive's folder in it. */
static sap_status map_files(const layout *form, const char *path, files **out, sap_error *err) {
  char expected[96], inner[SAP__PATH_SIZE];
  snprintf(expected, sizeof expected, "one with %s … %s", form->files[0], form->files[form->file_count - 1]);
  sap_status code = sap__path_folder(path, expected, err);
  if (!code) code = sap__path_join(inner, path, form->folder, err);
  if (code) return code;
  files *set = sap__calloc(1, sizeof *set);
  if (!set) return sap__fail_memory(err, sizeof *set);
  const char *folder = sap__path_kind(inner) == 2 ? inner : path;
  for (int i = 0; i < form->file_count && !code; i++) {
    code = sap__path_join(set->paths[i], folder, form->files[i], err);
    if (!code) code = sap__map_open(set->paths[i], &set->maps[i], err);
    if (!code) code = count_pictures(form, set, i, err);
  }
  if (code)
    close_files(set);
  else
    *out = set;
  return code;
}

/* Splits the records of a file in pixels (count, 3, 32, 32) and labels (count). */
static sap_status copy_records(const layout *form, const files *set, int i, uint8_t *pixels, uint8_t *labels,
                               sap_error *err) {
  const uint8_t *record = set->maps[i].bytes;
  for (uint64_t picture = 0; picture < set->counts[i]; picture++) {
    for (int k = 0; k < form->label_bytes; k++)
      if (record[k] >= form->limits[k])
        return sap__fail(err, SAP_ERROR_FORMAT, "%s: picture %llu has label %u, expected at most %d",
                         sap__path_tail(set->paths[i]), U64(picture), record[k], form->limits[k] - 1);
    labels[picture] = record[form->label];
    memcpy(pixels + picture * PIXELS, record + form->label_bytes, PIXELS);
    record += form->label_bytes + PIXELS;
  }
  return SAP_OK;
}

static uint64_t training_pictures(const layout *form, const files *set) {
  uint64_t count = 0;
  for (int i = 0; i < form->file_count - 1; i++) count += set->counts[i];
  return count;
}

static sap_status open_set(const layout *form, const char *path, sap__dataset *dataset, sap_error *err) {
  sap_dataset *set = &dataset->set;
  set->channels = 3;
  set->height = set->width = SIDE;
  set->classes = form->classes;
  memcpy(set->mean, form->mean, sizeof form->mean);
  memcpy(set->stddev, form->stddev, sizeof form->stddev);
  files *found;
  sap_status code = map_files(form, path, &found, err);
  if (code) return code;
  int last = form->file_count - 1;
  const char *shown = sap__path_tail(path);
  code = sap__dataset_take(dataset, 0, training_pictures(form, found), 0, shown, err);
  if (!code) code = sap__dataset_take(dataset, 1, found->counts[last], 0, shown, err);
  uint64_t done = 0;
  for (int i = 0; i <= last && !code; i++) {
    int half = i == last;
    if (half) done = 0;
    code = copy_records(form, found, i, dataset->pixels[half] + done * PIXELS, dataset->labels[half] + done, err);
    done += found->counts[i];
  }
  close_files(found);
  return code;
}

static sap_status describe_set(const layout *form, const char *path, sap_dataset_summary *summary, sap_error *err) {
  files *found;
  sap_status code = map_files(form, path, &found, err);
  if (code) return code;
  *summary = (sap_dataset_summary){.channels = 3,
                                   .height = SIDE,
                                   .width = SIDE,
                                   .classes = form->classes,
                                   .train = (uint32_t)training_pictures(form, found),
                                   .test = (uint32_t)found->counts[form->file_count - 1]};
  close_files(found);
  return SAP_OK;
}

/* ---- the two sets ---- */

static sap_status open_cifar10(const char *path, const sap_dataset_options *options, sap__dataset *dataset,
                               sap_error *err) {
  (void)options;
  return open_set(&cifar10, path, dataset, err);
}

static sap_status open_cifar100(const char *path, const sap_dataset_options *options, sap__dataset *dataset,
                                sap_error *err) {
  (void)options;
  return open_set(&cifar100, path, dataset, err);
}

static sap_status describe_cifar10(const char *path, sap_dataset_summary *summary, sap_error *err) {
  return describe_set(&cifar10, path, summary, err);
}

static sap_status describe_cifar100(const char *path, sap_dataset_summary *summary, sap_error *err) {
  return describe_set(&cifar100, path, summary, err);
}

const sap__dataset_kind sap__dataset_cifar10 = {
    .name = "cifar10",
    .text = "colour 32x32 photographs, 10 classes; PATH is the folder of the binary version",
    .path = "the folder that holds data_batch_1.bin … data_batch_5.bin and test_batch.bin",
    .get = "get it with scripts/fetch-data.sh cifar10",
    .open = open_cifar10,
    .describe = describe_cifar10,
};

const sap__dataset_kind sap__dataset_cifar100 = {
    .name = "cifar100",
    .text = "colour 32x32 photographs, 100 classes; PATH is the folder of the binary version",
    .path = "the folder that holds train.bin and test.bin",
    .get = "get it with scripts/fetch-data.sh cifar100",
    .open = open_cifar100,
    .describe = describe_cifar100,
};
