/* A folder for a test's files, removed with all that is in it. */
#ifndef SAP_TESTS_SCRATCH_H
#define SAP_TESTS_SCRATCH_H

#include <dirent.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char scratch_folder[64];

/* Setup and teardown of a cmocka group. */
static inline int scratch_setup(void **state) {
  (void)state;
  snprintf(scratch_folder, sizeof scratch_folder, "/tmp/sapwood-test-XXXXXX");
  return mkdtemp(scratch_folder) ? 0 : -1;
}

static inline void scratch_remove(const char *folder) {
  DIR *entries = opendir(folder);
  if (!entries) return;
  for (struct dirent *entry; (entry = readdir(entries));) {
    char path[512];
    if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
    if (snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) >= (int)sizeof path) continue;
    if (unlink(path)) scratch_remove(path); /* it was a folder */
  }
  closedir(entries);
  rmdir(folder);
}

static inline int scratch_teardown(void **state) {
  (void)state;
  scratch_remove(scratch_folder);
  return 0;
}

/* The path of a file in the folder; valid until the eighth call after this one. */
static inline const char *scratch_path(const char *name) {
  static char paths[8][512];
  static unsigned next;
  char *path = paths[next++ % 8];
  snprintf(path, sizeof paths[0], "%s/%s", scratch_folder, name);
  return path;
}

/* Writes a file directly, without the code under test. */
static inline void scratch_write(const char *path, const void *bytes, size_t size) {
  FILE *file = fopen(path, "wb");
  if (!file || fwrite(bytes, 1, size, file) != size || fclose(file)) {
    perror(path);
    abort();
  }
}

/* Reads a whole file; the block is freed with free(). NULL if it is not there. */
static inline char *scratch_read(const char *path, size_t *size) {
  *size = 0;
  FILE *file = fopen(path, "rb");
  if (!file) return NULL;
  fseek(file, 0, SEEK_END);
  *size = (size_t)ftell(file);
  rewind(file);
  char *bytes = malloc(*size + 1);
  if (!bytes || fread(bytes, 1, *size, file) != *size) abort();
  bytes[*size] = 0;
  fclose(file);
  return bytes;
}

/* Entries of a folder that are not "." and "..". */
static inline size_t scratch_entries(const char *folder) {
  size_t count = 0;
  DIR *entries = opendir(folder);
  if (!entries) abort();
  for (struct dirent *entry; (entry = readdir(entries));)
    count += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
  closedir(entries);
  return count;
}

#endif
