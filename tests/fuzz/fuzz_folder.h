/* A folder in memory for the files of a target that reads by path; removed at exit. */
#ifndef SAP_TESTS_FUZZ_FOLDER_H
#define SAP_TESTS_FUZZ_FOLDER_H

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

static char fuzz_folder[64];

/* The path of a file of the folder; valid for three calls more. */
static inline const char *fuzz_path(const char *name) {
  static char paths[4][512];
  static unsigned next;
  char *path = paths[next++ % 4];
  FUZZ_CHECK(snprintf(path, sizeof paths[0], "%s/%s", fuzz_folder, name) < (int)sizeof paths[0]);
  return path;
}

static inline void fuzz_remove(const char *path) {
  DIR *entries = opendir(path);
  for (struct dirent *entry; entries && (entry = readdir(entries));) {
    char inner[512];
    if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
    if (snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name) >= (int)sizeof inner) continue;
    if (unlink(inner)) fuzz_remove(inner);
  }
  if (entries) closedir(entries);
  (void)rmdir(path);
}

static inline void fuzz_remove_folder(void) { fuzz_remove(fuzz_folder); }

static inline void fuzz_make_folder(void) {
  if (fuzz_folder[0]) return;
  snprintf(fuzz_folder, sizeof fuzz_folder, "%s/sapwood-fuzz-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
  FUZZ_CHECK(mkdtemp(fuzz_folder));
  atexit(fuzz_remove_folder);
}

static inline void fuzz_write(const char *name, const void *bytes, size_t size) {
  FILE *file = fopen(fuzz_path(name), "wb");
  FUZZ_CHECK(file && fwrite(bytes, 1, size, file) == size && !fclose(file));
}

#endif
