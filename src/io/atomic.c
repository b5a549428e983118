#define _GNU_SOURCE /* realpath, sync_file_range, O_TMPFILE */
#include "io/atomic.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "io/file.h"

#define TRIES 10000                  /* temporary names of killed processes with our id to count past */
#define PIECE ((size_t)1 << 30)      /* one write(): systems refuse or cut longer ones */
#define FLUSHED ((uint64_t)32 << 20) /* bytes after which the system is asked to begin with their way to the disk */

static sap_status fail(sap_error *err, const sap__atomic *file, int number) {
  sap_status code = sap__fail_system(err, file->requested, number);
  if (code != SAP_ERROR_NOT_FOUND) return code;
  return sap__fail(err, SAP_ERROR_IO, "%s: the folder to write into does not exist", sap__path_tail(file->requested));
}

size_t sap__folder_length(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? (size_t)(slash - path) + 1 : 0;
}

void sap__folder_text(const char *path, char *room) {
  const size_t length = sap__folder_length(path);
  memcpy(room, length ? path : ".", length ? length : 1);
  room[length ? length : 1] = 0;
}

char *sap__place_resolve(const char *path) {
  char *real = realpath(path, NULL);
  if (!real && errno == ENOMEM) return NULL;
  char *copy = sap__strdup(real ? real : path);
  free(real); /* from the C library */
  return copy;
}

int sap__temporary_make(const char *path, const char *mark, char *temporary,
                        int (*make)(const char *temporary, int descriptor), int descriptor) {
  size_t folder = sap__folder_length(path);
  memcpy(temporary, path, folder);
  for (unsigned n = 0; n < TRIES; n++) {
    snprintf(temporary + folder, SAP__TEMPORARY_ROOM, ".sapwood-%s%ld-%u.tmp", mark, (long)getpid(), n);
    int result = make(temporary, descriptor);
    if (result >= 0 || errno != EEXIST) return result;
  }
  return -1;
}

/* ---- files without a name ---- */

int sap__atomic_always_named;

enum { LINK_ROOM = 40 };

/* Where the system shows an open file, so that it can be given a name. */
static void link_text(char text[LINK_ROOM], int descriptor) {
  snprintf(text, LINK_ROOM, "/proc/self/fd/%d", descriptor);
}

int sap__unnamed_make(const char *path, char *room) {
#ifdef O_TMPFILE
  if (sap__atomic_always_named) return -1;
  sap__folder_text(path, room);
  const int descriptor = open(room, O_WRONLY | O_TMPFILE | O_CLOEXEC, 0666);
  char text[LINK_ROOM];
  link_text(text, descriptor);
  if (descriptor < 0 || !access(text, F_OK)) return descriptor;
  close(descriptor); /* without /proc it could never be named */
#else
  (void)path;
  (void)room;
#endif
  return -1;
}

int sap__unnamed_link(int descriptor, int directory, const char *name) {
  char text[LINK_ROOM];
  link_text(text, descriptor);
  return linkat(AT_FDCWD, text, directory, name, AT_SYMLINK_FOLLOW);
}

static int link_here(const char *name, int descriptor) { return sap__unnamed_link(descriptor, AT_FDCWD, name); }

/* Puts the file without a name in its place. Over an old file only a rename goes, and for that it needs another name.
 * 0 or -1 with errno. */
static int place_unnamed(sap__atomic *file) {
  if (!link_here(file->path, file->descriptor)) return 0;
  if (errno != EEXIST || sap__temporary_make(file->path, "", file->temporary, link_here, file->descriptor)) return -1;
  file->unnamed = 0;
  sap__unfinished_add(&file->unfinished, file->temporary);
  return rename(file->temporary, file->path);
}

/* ---- writing ---- */

static int create(const char *temporary, int unused) {
  (void)unused;
  return open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
}

/* A temporary file that has a name from the start; -1 with errno. */
static int create_named(sap__atomic *file) {
  sap__unfinished_lock();
  const int descriptor = sap__temporary_make(file->path, "", file->temporary, create, -1);
  if (descriptor >= 0) sap__unfinished_add(&file->unfinished, file->temporary);
  sap__unfinished_unlock();
  return descriptor;
}

sap_status sap__atomic_open(sap__atomic *file, const char *path, sap_error *err) {
  *file = (sap__atomic){.descriptor = -1, .requested = path};
  struct stat status;
  int exists = !stat(path, &status);
  if (exists && !S_ISREG(status.st_mode))
    return sap__fail(err, SAP_ERROR_IO, "%s: %s, expected a place for a file", sap__path_tail(path),
                     S_ISDIR(status.st_mode) ? "a folder" : "a pipe or device");
  size_t room = 0;
  file->path = exists ? sap__place_resolve(path) : sap__strdup(path);
  if (file->path) {
    room = strlen(file->path) + SAP__TEMPORARY_ROOM;
    file->temporary = sap__alloc(room, 1);
  }
  if (!file->temporary) {
    sap__atomic_abort(file);
    return sap__fail_memory(err, room ? room : strlen(path) + 1);
  }
  file->descriptor = sap__unnamed_make(file->path, file->temporary);
  file->unnamed = file->descriptor >= 0;
  if (!file->unnamed) file->descriptor = create_named(file);
  if (file->descriptor < 0) {
    int number = errno;
    sap__atomic_abort(file);
    return fail(err, file, number);
  }
  if (exists) (void)fchmod(file->descriptor, status.st_mode & 07777); /* a courtesy: some file systems have no modes */
  return SAP_OK;
}

/* Begins to flush what was written before `end`, without waiting, whenever a stretch of FLUSHED bytes is complete: the
 * less is left to wait for at the commit. */
static void begin_flush(const sap__atomic *file, uint64_t start, uint64_t end) {
#ifdef SYNC_FILE_RANGE_WRITE
  if (start / FLUSHED == end / FLUSHED) return;
  start -= start % FLUSHED;
  (void)sync_file_range(file->descriptor, (off_t)start, (off_t)(end - start), SYNC_FILE_RANGE_WRITE);
#else
  (void)file;
  (void)start;
  (void)end;
#endif
}

sap_status sap__atomic_write_at(const sap__atomic *file, uint64_t offset, const void *bytes, size_t size,
                                sap_error *err) {
  const char *next = bytes;
  while (size) {
    const ssize_t done = pwrite(file->descriptor, next, size < PIECE ? size : PIECE, (off_t)offset);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return fail(err, file, errno);
    begin_flush(file, offset, offset + (uint64_t)done);
    offset += (uint64_t)done;
    next += done;
    size -= (size_t)done;
  }
  return SAP_OK;
}

sap_status sap__atomic_write(sap__atomic *file, const void *bytes, size_t size, sap_error *err) {
  const sap_status status = sap__atomic_write_at(file, file->written, bytes, size, err);
  if (!status) file->written += size;
  return status;
}

/* Where a folder cannot be flushed (some network file systems) the rename reaches the disk with the system's next
 * flush, so that is not a failure. */
void sap__folder_flush(char *path) {
  size_t folder = sap__folder_length(path);
  path[folder > 1 ? folder - 1 : folder] = 0;
  int fd = open(folder ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  (void)fsync(fd);
  close(fd);
}

/* 0, or an errno. */
static int place(sap__atomic *file) {
  sap__unfinished_lock();
  const int number = (file->unnamed ? place_unnamed(file) : rename(file->temporary, file->path)) ? errno : 0;
  if (!number) sap__unfinished_remove(&file->unfinished);
  sap__unfinished_unlock();
  return number;
}

sap_status sap__atomic_commit(sap__atomic *file, sap_error *err) {
  int number = fsync(file->descriptor) ? errno : 0;
  if (!number) number = place(file);
  if (number) {
    sap_status code = fail(err, file, number);
    sap__atomic_abort(file);
    return code;
  }
  (void)close(file->descriptor); /* its bytes are on the disk */
  file->descriptor = -1;
  sap__folder_flush(file->path); /* which has served */
  sap__atomic_abort(file);
  return SAP_OK;
}

void sap__atomic_abort(sap__atomic *file) {
  if (file->descriptor >= 0) {
    close(file->descriptor);
    sap__unfinished_lock();
    if (!file->unnamed) (void)unlink(file->temporary);
    sap__unfinished_remove(&file->unfinished);
    sap__unfinished_unlock();
  }
  sap__free(file->path);
  sap__free(file->temporary);
  file->descriptor = -1;
  file->path = file->temporary = NULL;
}

sap_status sap__file_write(const char *path, const void *bytes, size_t size, sap_error *err) {
  sap__atomic file;
  sap_status code = sap__atomic_open(&file, path, err);
  if (code) return code;
  code = sap__atomic_write(&file, bytes, size, err);
  if (!code) code = sap__atomic_commit(&file, err);
  sap__atomic_abort(&file);
  return code;
}
