#include "data/listing.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/memory.h"
#include "data/paths.h"
#include "data/picture.h"
#include "io/file.h"

/* ---- names ---- */

sap_status sap__names_add(sap__names *names, const char *name, size_t length, sap_error *err) {
  char *copy = sap__alloc(length + 1, 1);
  if (!copy || !sap__grow(&names->list, names->count, sizeof *names->list)) {
    sap__free(copy);
    return sap__fail_memory(err, length + 1);
  }
  memcpy(copy, name, length);
  copy[length] = 0;
  names->list[names->count++] = copy;
  return SAP_OK;
}

void sap__names_free(sap__names *names) {
  for (size_t i = 0; i < names->count; i++) sap__free(names->list[i]);
  sap__free(names->list);
  *names = (sap__names){0};
}

static int by_bytes(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

int sap__names_find(const sap__names *names, const char *name, size_t length) {
  size_t low = 0, high = names->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    int order = strncmp(name, names->list[middle], length);
    if (!order && names->list[middle][length]) order = -1;
    if (!order) return (int)middle;
    if (order < 0)
      high = middle;
    else
      low = middle + 1;
  }
  return -1;
}

static int is_picture(const char *name) {
  const char *dot = strrchr(name, '.');
  return dot && (!strcasecmp(dot, ".jpg") || !strcasecmp(dot, ".jpeg") || !strcasecmp(dot, ".png"));
}

static sap_status list_folder(const char *folder, int folders, sap__names *names, sap_error *err) {
  *names = (sap__names){0};
  DIR *entries = opendir(folder);
  if (!entries) return sap__fail_system(err, folder, errno);
  sap_status code = SAP_OK;
  struct dirent *entry;
  while (!code && (errno = 0, entry = readdir(entries))) {
    char path[SAP__PATH_SIZE];
    if (entry->d_name[0] == '.' || (!folders && !is_picture(entry->d_name))) continue;
    if (folders) code = sap__path_join(path, folder, entry->d_name, err);
    if (!code && (!folders || sap__path_kind(path) == 2))
      code = sap__names_add(names, entry->d_name, strlen(entry->d_name), err);
  }
  if (!code && errno) code = sap__fail_system(err, folder, errno);
  closedir(entries);
  if (names->count) qsort(names->list, names->count, sizeof *names->list, by_bytes);
  return code;
}

sap_status sap__names_of_folders(const char *folder, sap__names *names, sap_error *err) {
  return list_folder(folder, 1, names, err);
}

sap_status sap__names_of_pictures(const char *folder, sap__names *names, sap_error *err) {
  return list_folder(folder, 0, names, err);
}

/* ---- files ---- */

sap_status sap__files_add(sap__files *files, const char *path, uint8_t label, sap_error *err) {
  char *copy = sap__strdup(path);
  if (!copy || !sap__grow(&files->list, files->count, sizeof *files->list)) {
    sap__free(copy);
    return sap__fail_memory(err, strlen(path));
  }
  files->list[files->count++] = (sap__file){copy, label};
  return SAP_OK;
}

sap_status sap__files_add_folder(sap__files *files, const char *folder, uint8_t label, sap_error *err) {
  sap__names names;
  sap_status code = sap__names_of_pictures(folder, &names, err);
  if (!code && !names.count)
    code = sap__fail(err, SAP_ERROR_FORMAT, "%s: no pictures, expected files that end in .jpg, .jpeg or .png",
                     sap__path_tail(folder));
  for (size_t i = 0; i < names.count && !code; i++) {
    char path[SAP__PATH_SIZE];
    code = sap__path_join(path, folder, names.list[i], err);
    if (!code) code = sap__files_add(files, path, label, err);
  }
  sap__names_free(&names);
  return code;
}

void sap__files_free(sap__files *files) {
  for (size_t i = 0; i < files->count; i++) sap__free(files->list[i].path);
  sap__free(files->list);
  *files = (sap__files){0};
}

/* ---- pictures ---- */

static sap_status probe_file(const char *path, sap__picture_info *info, sap_error *err) {
  char *bytes;
  size_t size;
  sap_status code = sap__file_read(path, SAP__PICTURE_MAX_BYTES, &bytes, &size, err);
  if (code) return code;
  code = sap__picture_probe((const uint8_t *)bytes, size, sap__path_tail(path), info, err);
  sap__free(bytes);
  return code;
}

sap_status sap__files_channels(const sap__files *files, int *channels, sap_error *err) {
  *channels = 1;
  sap_status code = SAP_OK;
  for (size_t i = 0; i < files->count && *channels == 1 && !code; i++) {
    sap__picture_info info = {0};
    code = probe_file(files->list[i].path, &info, err);
    if (!code) *channels = info.channels;
  }
  return code;
}

static sap_status read_file(const char *path, sap__scaler *scaler, int channels, uint8_t *pixels, sap_error *err) {
  char *bytes;
  size_t size;
  sap_status code = sap__file_read(path, SAP__PICTURE_MAX_BYTES, &bytes, &size, err);
  if (code) return code;
  code = sap__picture_decode((const uint8_t *)bytes, size, sap__path_tail(path), scaler, channels, pixels, err);
  sap__free(bytes);
  return code;
}

static sap_status read_half(const sap__files *files, int half, const char *name, sap__dataset *dataset,
                            sap_error *err) {
  sap_status code = sap__dataset_take(dataset, half, files->count, 0, name, err);
  if (code) return code;
  const int channels = dataset->set.channels, side = dataset->set.width;
  const size_t picture = (size_t)channels * (size_t)side * (size_t)side;
  const int64_t count = (int64_t)files->count;
  int64_t failed = count; /* the first file that could not be read */
  sap_error first = {0};
#pragma omp parallel
  {
    sap__scaler scaler = {.side = side};
#pragma omp for schedule(dynamic, 16)
    for (int64_t i = 0; i < count; i++) {
      int64_t before;
#pragma omp atomic read
      before = failed;
      if (i > before) continue;
      sap_error own;
      dataset->labels[half][i] = files->list[i].label;
      if (!read_file(files->list[i].path, &scaler, channels, dataset->pixels[half] + (size_t)i * picture, &own))
        continue;
#pragma omp critical
      if (i < failed) {
#pragma omp atomic write
        failed = i;
        first = own;
      }
    }
    sap__scaler_free(&scaler);
  }
  return failed < count ? sap__fail(err, first.code, "%s", first.text) : SAP_OK;
}

sap_status sap__files_read(const sap__files halves[2], const char *name, sap__dataset *dataset, sap_error *err) {
  const sap_status code = read_half(&halves[0], 0, name, dataset, err);
  return code ? code : read_half(&halves[1], 1, name, dataset, err);
}
