/* A folder in memory for the files of a target that reads by path; removed at exit. */
#ifndef SAP_TESTS_FUZZ_FOLDER_H
#define SAP_TESTS_FUZZ_FOLDER_H

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "sapwood/dataset.h"

static char fuzz_folder[64];

static inline const char *fuzz_path(const char *name) {
  static char path[512];
  snprintf(path, sizeof path, "%s/%s", fuzz_folder, name);
  return path;
}

static inline void fuzz_remove_folder(void) {
  DIR *entries = opendir(fuzz_folder);
  for (struct dirent *entry; entries && (entry = readdir(entries));) (void)unlink(fuzz_path(entry->d_name));
  if (entries) closedir(entries);
  (void)rmdir(fuzz_folder);
}

static inline void fuzz_make_folder(void) {
  if (fuzz_folder[0]) return;
  snprintf(fuzz_folder, sizeof fuzz_folder, "%s/sapwood-fuzz-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
  FUZZ_CHECK(mkdtemp(fuzz_folder));
  atexit(fuzz_remove_folder);
}

static inline void fuzz_write(const char *name, const uint8_t *bytes, size_t size) {
  FILE *file = fopen(fuzz_path(name), "wb");
  FUZZ_CHECK(file && fwrite(bytes, 1, size, file) == size && !fclose(file));
}

/* Opens the set NAME:FOLDER/FILE: refused in one line, or a set whose every byte can be read. 1 if it was opened. */
static inline int fuzz_open_set(const char *name, const char *file) {
  char spec[600];
  snprintf(spec, sizeof spec, "%s:%s", name, fuzz_path(file));
  sap_dataset *set = NULL;
  sap_error err = {.text = ""};
  sap_status status = sap_dataset_open(spec, NULL, &set, &err);
  if (status) {
    FUZZ_CHECK(!set && err.code == status && err.text[0] && status != SAP_ERROR_ARGUMENT);
    for (const char *c = err.text; *c; c++) FUZZ_CHECK((unsigned char)*c >= 0x20 && *c != 0x7F);
    return 0;
  }
  volatile double sum = 0;
  const sap_split *halves[2] = {&set->train, &set->test};
  for (int half = 0; half < 2; half++) {
    const sap_split *split = halves[half];
    size_t pixels = (size_t)split->count * (size_t)set->channels * (size_t)set->height * (size_t)set->width;
    for (size_t i = 0; i < pixels; i++) sum += split->pixels ? split->pixels[i] : (double)split->floats[i];
    for (size_t i = 0; i < split->count; i++) FUZZ_CHECK(split->labels[i] < set->classes);
  }
  sap_dataset_free(set);
  return 1;
}

#endif
