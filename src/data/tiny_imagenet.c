/* TinyImageNet as its archive unpacks: wnids.txt names the classes, train/CLASS/images/ holds their pictures,
 * val/images/ those of the test set, whose classes val/val_annotations.txt tells. http://cs231n.stanford.edu/ */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "data/listing.h"
#include "data/paths.h"
#include "io/file.h"

enum { SIDE = 64, TEXT_MAX = 16 << 20 };
#define EXPECTED "one with wnids.txt, train/CLASS/images and val/val_annotations.txt"

/* A text file's lines, one after another. */
typedef struct lines {
  char *text;
  const char *next, *end;
  unsigned number; /* of the line given last */
} lines;

static sap_status open_lines(const char *path, lines *from, sap_error *err) {
  size_t size;
  *from = (lines){0};
  sap_status code = sap__file_read(path, TEXT_MAX, &from->text, &size, err);
  if (code) return code;
  from->next = from->text;
  from->end = from->text + size;
  return SAP_OK;
}

/* The next line that is not empty, without its end. */
static int next_line(lines *from, const char **line, size_t *length) {
  while (from->next < from->end) {
    const char *begin = from->next, *stop = memchr(begin, '\n', (size_t)(from->end - begin));
    from->next = stop ? stop + 1 : from->end;
    from->number++;
    *line = begin;
    *length = (size_t)((stop ? stop : from->end) - begin);
    while (*length && (begin[*length - 1] == '\r' || begin[*length - 1] == ' ')) --*length;
    if (*length) return 1;
  }
  return 0;
}

/* The file is not trusted: a word of letters, digits and few signs leads nowhere else. */
static int is_name(const char *word, size_t length) {
  if (!length || length > 100 || word[0] == '.') return 0;
  for (size_t i = 0; i < length; i++)
    if (!memchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", word[i], 65)) return 0;
  return 1;
}

/* PATH, or the archive's folder in it. */
static sap_status find_root(const char *path, char root[SAP__PATH_SIZE], sap_error *err) {
  sap_status code = sap__path_folder(path, EXPECTED, err);
  if (!code) code = sap__path_join(root, path, "tiny-imagenet-200", err);
  if (!code && sap__path_kind(root) != 2) code = sap__path_join(root, path, ".", err);
  return code;
}

static int by_bytes(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* The classes in byte order. */
static sap_status read_classes(const char *root, sap__names *classes, sap_error *err) {
  char path[SAP__PATH_SIZE];
  const char *line;
  size_t length;
  lines from;
  *classes = (sap__names){0};
  sap_status code = sap__path_join(path, root, "wnids.txt", err);
  if (!code) code = open_lines(path, &from, err);
  if (code) return code;
  while (!code && next_line(&from, &line, &length)) {
    if (!is_name(line, length))
      code = sap__fail(err, SAP_ERROR_FORMAT, "%s: line %u is no name of a class", sap__path_tail(path), from.number);
    else if (classes->count == SAP_DATASET_MAX_CLASSES)
      code = sap__fail(err, SAP_ERROR_UNSUPPORTED, "%s: more than %d classes", sap__path_tail(path),
                       SAP_DATASET_MAX_CLASSES);
    else
      code = sap__names_add(classes, line, length, err);
  }
  sap__free(from.text);
  if (!code && !classes->count) code = sap__fail(err, SAP_ERROR_FORMAT, "%s: no classes", sap__path_tail(path));
  if (!code) qsort(classes->list, classes->count, sizeof *classes->list, by_bytes);
  for (size_t i = 1; i < classes->count && !code; i++)
    if (!strcmp(classes->list[i - 1], classes->list[i]))
      code = sap__fail(err, SAP_ERROR_FORMAT, "%s: class %.40s twice", sap__path_tail(path), classes->list[i]);
  return code;
}

static sap_status list_training(const char *root, const sap__names *classes, sap__files *files, sap_error *err) {
  char train[SAP__PATH_SIZE], class[SAP__PATH_SIZE], images[SAP__PATH_SIZE];
  sap_status code = sap__path_join(train, root, "train", err);
  for (size_t i = 0; i < classes->count && !code; i++) {
    code = sap__path_join(class, train, classes->list[i], err);
    if (!code) code = sap__path_join(images, class, "images", err);
    if (!code) code = sap__files_add_folder(files, images, (uint8_t)i, err);
  }
  return code;
}

/* A line "FILE <tab> CLASS <tab> box": adds val/images/FILE. */
static sap_status add_test(const char *path, const char *images, const lines *from, const char *line, size_t length,
                           const sap__names *classes, sap__files *files, sap_error *err) {
  const char *tab = memchr(line, '\t', length);
  size_t name = tab ? (size_t)(tab - line) : length, class = 0;
  if (tab) class = strcspn(tab + 1, "\t\r\n");
  if (!tab || !is_name(line, name))
    return sap__fail(err, SAP_ERROR_FORMAT, "%s: line %u: expected the name of a picture, a tab and its class",
                     sap__path_tail(path), from->number);
  int label = sap__names_find(classes, tab + 1, class);
  if (label < 0)
    return sap__fail(err, SAP_ERROR_MISMATCH, "%s: line %u: class %.*s, expected one of wnids.txt",
                     sap__path_tail(path), from->number, (int)(class < 40 ? class : 40), tab + 1);
  char file[128], picture[SAP__PATH_SIZE];
  memcpy(file, line, name);
  file[name] = 0;
  sap_status code = sap__path_join(picture, images, file, err);
  return code ? code : sap__files_add(files, picture, (uint8_t)label, err);
}

static sap_status list_test(const char *root, const sap__names *classes, sap__files *files, sap_error *err) {
  char path[SAP__PATH_SIZE], images[SAP__PATH_SIZE];
  const char *line;
  size_t length;
  lines from;
  sap_status code = sap__path_join(path, root, "val/val_annotations.txt", err);
  if (!code) code = sap__path_join(images, root, "val/images", err);
  if (!code) code = open_lines(path, &from, err);
  if (code) return code;
  while (!code && next_line(&from, &line, &length))
    code = add_test(path, images, &from, line, length, classes, files, err);
  sap__free(from.text);
  if (!code && !files->count) code = sap__fail(err, SAP_ERROR_FORMAT, "%s: no pictures", sap__path_tail(path));
  return code;
}

static sap_status open_set(const char *path, const sap_dataset_options *options, sap__dataset *dataset,
                           sap_error *err) {
  static const float mean[3] = {0.485f, 0.456f, 0.406f}, stddev[3] = {0.229f, 0.224f, 0.225f};
  sap_dataset *set = &dataset->set;
  char root[SAP__PATH_SIZE];
  sap__names classes = {0};
  sap__files files[2] = {{0}};
  sap_status code = find_root(path, root, err);
  if (!code) code = read_classes(root, &classes, err);
  if (!code) code = list_training(root, &classes, &files[0], err);
  if (!code) code = list_test(root, &classes, &files[1], err);
  set->channels = 3;
  set->height = set->width = options->image_size ? options->image_size : SIDE;
  set->classes = (int)classes.count;
  memcpy(set->mean, mean, sizeof mean);
  memcpy(set->stddev, stddev, sizeof stddev);
  if (!code) code = sap__files_read(files, sap__path_tail(path), dataset, err);
  sap__names_free(&classes);
  for (int half = 0; half < 2; half++) sap__files_free(&files[half]);
  return code;
}

/* The pictures are not counted: that would list 200 folders. */
static sap_status describe_set(const char *path, sap_dataset_summary *summary, sap_error *err) {
  char root[SAP__PATH_SIZE];
  sap__names classes = {0};
  sap_status code = find_root(path, root, err);
  if (!code) code = read_classes(root, &classes, err);
  *summary = (sap_dataset_summary){.channels = 3, .height = SIDE, .width = SIDE, .classes = (int)classes.count};
  sap__names_free(&classes);
  return code;
}

const sap__dataset_kind sap__dataset_tiny_imagenet = {
    .name = "tiny-imagenet",
    .text = "colour 64x64 photographs, 200 classes; PATH is the folder that its archive unpacks to",
    .path = "the folder that holds wnids.txt, train and val",
    .get = "get it with scripts/fetch-data.sh tiny-imagenet",
    .resizes = 1,
    .open = open_set,
    .describe = describe_set,
};
