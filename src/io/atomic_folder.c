/* Writing a folder of files, whole or not at all. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "io/atomic.h"
#include "io/file.h"

static sap_status fail(sap_error *err, const sap__folder *folder, int number) {
  if (number == EEXIST || number == ENOTEMPTY)
    return sap__fail(err, SAP_ERROR_EXISTS, "%s: exists already, expected a place for a new folder",
                     sap__path_tail(folder->requested));
  sap_status code = sap__fail_system(err, folder->requested, number);
  if (code != SAP_ERROR_NOT_FOUND) return code;
  return sap__fail(err, SAP_ERROR_IO, "%s: the folder to write into does not exist", sap__path_tail(folder->requested));
}

/* Calls visit for every entry but "." and ".."; returns how many there are, -1 on an error. */
static int each_entry(const char *path, void (*visit)(int directory, const char *name)) {
  DIR *entries = opendir(path);
  int count = 0;
  if (!entries) return -1;
  for (struct dirent *entry; (entry = readdir(entries));) {
    if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
    if (visit) visit(dirfd(entries), entry->d_name);
    count++;
  }
  closedir(entries);
  return count;
}

static void remove_entry(int directory, const char *name) { (void)unlinkat(directory, name, 0); }

static int create(const char *temporary, int unused) {
  (void)unused;
  return mkdir(temporary, 0777);
}

/* The place without the '/' at its end, and through links. */
static char *place_of(const char *path) {
  char *place = sap__place_resolve(path);
  size_t length = place ? strlen(place) : 0;
  while (length > 1 && place[length - 1] == '/') place[--length] = 0;
  return place;
}

sap_status sap__folder_open(sap__folder *folder, const char *path, sap_error *err) {
  *folder = (sap__folder){.requested = path};
  struct stat status;
  if (!stat(path, &status) && (!S_ISDIR(status.st_mode) || each_entry(path, NULL))) return fail(err, folder, EEXIST);
  folder->path = place_of(path);
  const size_t room = folder->path ? strlen(folder->path) + SAP__TEMPORARY_ROOM : 0;
  char *temporary = folder->path ? sap__alloc(room, 1) : NULL;
  sap_status code = SAP_OK;
  if (!temporary)
    code = sap__fail_memory(err, room ? room : strlen(path) + 1);
  else if (sap__temporary_make(folder->path, temporary, create, -1))
    code = fail(err, folder, errno);
  if (!code) {
    folder->temporary = temporary;
    return SAP_OK;
  }
  sap__free(temporary);
  sap__folder_abort(folder);
  return code;
}

/* "FOLDER/NAME"; NULL without memory. */
static char *path_in(const char *folder, const char *name) {
  const size_t length = strlen(folder), room = length + strlen(name) + 2;
  char *path = sap__alloc(room, 1);
  if (path) snprintf(path, room, "%s%s%s", folder, length && folder[length - 1] == '/' ? "" : "/", name);
  return path;
}

sap_status sap__folder_create(sap__folder *folder, const char *name, sap__atomic *file, sap_error *err) {
  char *path = path_in(folder->temporary, name);
  sap__free(folder->shown);
  folder->shown = path_in(folder->requested, name);
  *file = (sap__atomic){.descriptor = -1};
  sap_status code = path && folder->shown ? sap__atomic_open(file, path, err) : sap__fail_memory(err, strlen(name) + 1);
  if (!code) file->requested = folder->shown;
  sap__free(path);
  return code;
}

/* The files have flushed the folder itself when they were renamed in it. */
sap_status sap__folder_commit(sap__folder *folder, sap_error *err) {
  sap_status code = rename(folder->temporary, folder->path) ? fail(err, folder, errno) : SAP_OK;
  if (!code) {
    sap__folder_flush(folder->temporary); /* the name has served */
    sap__free(folder->temporary);
    folder->temporary = NULL;
  }
  sap__folder_abort(folder);
  return code;
}

void sap__folder_abort(sap__folder *folder) {
  if (folder->temporary) {
    (void)each_entry(folder->temporary, remove_entry);
    (void)rmdir(folder->temporary);
  }
  sap__free(folder->path);
  sap__free(folder->temporary);
  sap__free(folder->shown);
  *folder = (sap__folder){.requested = folder->requested};
}
