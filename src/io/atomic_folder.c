/* Writing a folder of files, whole or not at all. */
#define _DEFAULT_SOURCE /* flock, gethostname */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "io/atomic.h"
#include "io/file.h"

enum {
  TRIES = 100,    /* temporary folders that another process takes for abandoned before they are locked */
  KEPT_MOST = 256 /* files held open, or half of what the system allows if that is less */
};

struct sap__kept {
  int descriptor;
  const char *name;
};

static sap_status fail(sap_error *err, const sap__folder *folder, int number) {
  if (number == EEXIST || number == ENOTEMPTY)
    return sap__fail(err, SAP_ERROR_EXISTS, "%s: exists already, expected a place for a new folder",
                     sap__path_tail(folder->requested));
  sap_status code = sap__fail_system(err, folder->requested, number);
  if (code != SAP_ERROR_NOT_FOUND) return code;
  return sap__fail(err, SAP_ERROR_IO, "%s: the folder to write into does not exist", sap__path_tail(folder->requested));
}

/* ---- entries ---- */

enum { FOLDER = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };

/* Calls visit for every entry but "." and ".." of an open folder, which is closed. Returns how many there are, -1 on an
 * error. */
static int each_entry(int directory, void (*visit)(int directory, const char *name)) {
  DIR *entries = directory < 0 ? NULL : fdopendir(directory);
  int count = 0;
  if (!entries) {
    if (directory >= 0) close(directory);
    return -1;
  }
  for (struct dirent *entry; (entry = readdir(entries));) {
    if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
    if (visit) visit(dirfd(entries), entry->d_name);
    count++;
  }
  closedir(entries);
  return count;
}

static void remove_entry(int directory, const char *name) { (void)unlinkat(directory, name, 0); }

void sap__folder_remove(const char *path) {
  (void)each_entry(open(path, FOLDER), remove_entry);
  (void)rmdir(path);
}

/* ---- the temporary folder ---- */

/* "HOST-": a lock may be seen on its own machine only. */
static const char *host_mark(char *mark, size_t room) {
  if (gethostname(mark, room - 1)) *mark = 0;
  mark[room - 2] = 0;
  for (char *c = mark; *c; c++)
    if (*c == '/') *c = '_';
  return strcat(mark, "-");
}

enum { MARK_ROOM = 66 };

static int create(const char *temporary, int unused) {
  (void)unused;
  return mkdir(temporary, 0777);
}

static int same_file(int descriptor, const char *path) {
  struct stat open_one, named;
  return !fstat(descriptor, &open_one) && !stat(path, &named) && open_one.st_dev == named.st_dev &&
         open_one.st_ino == named.st_ino;
}

/* Makes and locks it. Another process may take it for abandoned before it is locked: then the next one is made. Where
 * folders cannot be locked none is ever taken for abandoned. 0 or -1 with errno. */
static int make(sap__folder *folder) {
  char mark[MARK_ROOM];
  host_mark(mark, sizeof mark);
  for (int n = 0; n < TRIES; n++) {
    if (sap__temporary_make(folder->path, mark, folder->temporary, create, -1)) return -1;
    const int descriptor = open(folder->temporary, FOLDER);
    const int number = errno;
    if (descriptor < 0 && number == ENOENT) continue;
    const int taken = descriptor >= 0 && flock(descriptor, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK;
    if (descriptor >= 0 && !taken && same_file(descriptor, folder->temporary)) {
      sap__unfinished_add(&folder->unfinished, folder->temporary);
      folder->descriptor = descriptor;
      return 0;
    }
    if (descriptor >= 0) {
      close(descriptor);
      continue;
    }
    (void)rmdir(folder->temporary);
    errno = number;
    return -1;
  }
  errno = EBUSY;
  return -1;
}

/* Gives the files that were kept their names in the temporary folder, which is made if need be. 0 or -1 with errno. */
static int name_kept(sap__folder *folder) {
  if (folder->descriptor < 0 && make(folder)) return -1;
  for (; folder->kept_count; folder->kept_count--) {
    const struct sap__kept *file = &folder->kept[folder->kept_count - 1];
    if (sap__unnamed_link(file->descriptor, folder->descriptor, file->name)) return -1;
    close(file->descriptor);
  }
  return 0;
}

static sap_status settle(sap__folder *folder, sap_error *err) {
  sap__unfinished_lock();
  const int number = name_kept(folder) ? errno : 0;
  sap__unfinished_unlock();
  return number ? fail(err, folder, number) : SAP_OK;
}

/* ".sapwood-HOST-PID-N.tmp". */
static int is_temporary(const char *name) {
  static const char ending[] = ".tmp";
  char start[MARK_ROOM + 16], mark[MARK_ROOM];
  snprintf(start, sizeof start, ".sapwood-%s", host_mark(mark, sizeof mark));
  const size_t begin = strlen(start), length = strlen(name);
  return !strncmp(name, start, begin) && length > begin + strlen(ending) &&
         !strcmp(name + length - strlen(ending), ending);
}

static void remove_abandoned(int directory, const char *name) {
  if (!is_temporary(name)) return;
  const int descriptor = openat(directory, name, FOLDER);
  if (descriptor < 0) return;
  if (flock(descriptor, LOCK_EX | LOCK_NB)) {
    close(descriptor); /* its process lives */
    return;
  }
  (void)each_entry(descriptor, remove_entry);
  (void)unlinkat(directory, name, AT_REMOVEDIR);
}

/* Removes what killed processes of this machine left beside the place. */
static void clean_up(const char *place, char *room) {
  sap__folder_text(place, room);
  (void)each_entry(open(room, FOLDER & ~O_NOFOLLOW), remove_abandoned);
}

/* ---- writing ---- */

/* The place without the '/' at its end, and through links. */
static char *place_of(const char *path) {
  char *place = sap__place_resolve(path);
  size_t length = place ? strlen(place) : 0;
  while (length > 1 && place[length - 1] == '/') place[--length] = 0;
  return place;
}

sap_status sap__folder_open(sap__folder *folder, const char *path, sap_error *err) {
  *folder = (sap__folder){.descriptor = -1, .requested = path};
  struct stat status;
  if (!stat(path, &status) && (!S_ISDIR(status.st_mode) || each_entry(open(path, FOLDER & ~O_NOFOLLOW), NULL)))
    return fail(err, folder, EEXIST);
  folder->path = place_of(path);
  const size_t room = folder->path ? strlen(folder->path) + SAP__TEMPORARY_ROOM : 0;
  folder->temporary = folder->path ? sap__alloc(room, 1) : NULL;
  if (folder->temporary) {
    clean_up(folder->path, folder->temporary);
    return SAP_OK;
  }
  sap__folder_abort(folder);
  return sap__fail_memory(err, room ? room : strlen(path) + 1);
}

/* "FOLDER/NAME"; NULL without memory. */
static char *path_in(const char *folder, const char *name) {
  const size_t length = strlen(folder), room = length + strlen(name) + 2;
  char *path = sap__alloc(room, 1);
  if (path) snprintf(path, room, "%s%s%s", folder, length && folder[length - 1] == '/' ? "" : "/", name);
  return path;
}

/* A file with a name in the temporary folder. */
static sap_status create_named(sap__folder *folder, const char *name, sap__atomic *file, sap_error *err) {
  char *path = path_in(folder->temporary, name);
  sap_status code = path ? sap__atomic_open(file, path, err) : sap__fail_memory(err, strlen(name) + 1);
  sap__free(path);
  return code;
}

sap_status sap__folder_create(sap__folder *folder, const char *name, sap__atomic *file, sap_error *err) {
  *file = (sap__atomic){.descriptor = -1};
  sap__free(folder->shown);
  folder->shown = path_in(folder->requested, name);
  folder->name = name;
  if (!folder->shown) return sap__fail_memory(err, strlen(name) + 1);
  if (folder->descriptor < 0) file->descriptor = sap__unnamed_make(folder->path, folder->temporary);
  file->unnamed = file->descriptor >= 0;
  sap_status code = SAP_OK;
  if (!file->unnamed && folder->descriptor < 0) code = settle(folder, err);
  if (!file->unnamed && !code) code = create_named(folder, name, file, err);
  file->requested = folder->shown;
  return code;
}

static size_t kept_most(void) {
  const long open_files = sysconf(_SC_OPEN_MAX);
  return open_files > 0 && open_files / 2 < KEPT_MOST ? (size_t)open_files / 2 : KEPT_MOST;
}

sap_status sap__folder_keep(sap__folder *folder, sap__atomic *file, sap_error *err) {
  if (folder->descriptor >= 0) return sap__atomic_commit(file, err);
  if (fsync(file->descriptor)) return sap__fail_system(err, folder->shown, errno);
  if (!sap__grow(&folder->kept, folder->kept_count, sizeof *folder->kept))
    return sap__fail_memory(err, sizeof *folder->kept);
  folder->kept[folder->kept_count++] = (struct sap__kept){file->descriptor, folder->name};
  file->descriptor = -1; /* the folder's from now on */
  return folder->kept_count < kept_most() ? SAP_OK : settle(folder, err);
}

sap_status sap__folder_commit(sap__folder *folder, sap_error *err) {
  sap__unfinished_lock();
  int number = name_kept(folder) ? errno : 0;
  if (!number) {
    (void)fsync(folder->descriptor); /* as in sap__folder_flush */
    if (rename(folder->temporary, folder->path)) number = errno;
  }
  if (!number) sap__unfinished_remove(&folder->unfinished);
  sap__unfinished_unlock();
  sap_status code = number ? fail(err, folder, number) : SAP_OK;
  if (!code) {
    sap__folder_flush(folder->temporary); /* the name has served */
    close(folder->descriptor);
    folder->descriptor = -1;
  }
  sap__folder_abort(folder);
  return code;
}

void sap__folder_abort(sap__folder *folder) {
  for (size_t i = 0; i < folder->kept_count; i++) close(folder->kept[i].descriptor);
  if (folder->descriptor >= 0) {
    sap__unfinished_lock();
    sap__folder_remove(folder->temporary);
    sap__unfinished_remove(&folder->unfinished);
    sap__unfinished_unlock();
    close(folder->descriptor);
  }
  sap__free(folder->kept);
  sap__free(folder->path);
  sap__free(folder->temporary);
  sap__free(folder->shown);
  *folder = (sap__folder){.descriptor = -1, .requested = folder->requested};
}
