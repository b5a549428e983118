#define _XOPEN_SOURCE 700 /* realpath */
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

#define NAME_ROOM 64            /* bytes that the temporary file's name may take */
#define TRIES 10000             /* temporary names of killed processes with our id to count past */
#define PIECE ((size_t)1 << 30) /* one write(): systems refuse or cut longer ones */

static sap_status fail(sap_error *err, const sap__atomic *file, int number) {
  sap_status code = sap__fail_system(err, file->requested, number);
  if (code != SAP_ERROR_NOT_FOUND) return code;
  return sap__fail(err, SAP_ERROR_IO, "%s: the folder to write into does not exist", sap__path_tail(file->requested));
}

/* Bytes of the path up to and with the last '/'; 0 without one. */
static size_t folder_length(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? (size_t)(slash - path) + 1 : 0;
}

/* The place behind a symbolic link: renaming over the link itself would leave the real file stale. */
static char *resolve(const char *path) {
  char *real = realpath(path, NULL);
  if (!real && errno == ENOMEM) return NULL;
  char *copy = sap__strdup(real ? real : path);
  free(real); /* from the C library */
  return copy;
}

static int create(sap__atomic *file, mode_t mode, size_t room) {
  size_t folder = folder_length(file->path);
  memcpy(file->temporary, file->path, folder);
  for (unsigned n = 0; n < TRIES; n++) {
    snprintf(file->temporary + folder, room - folder, ".sapwood-%ld-%u.tmp", (long)getpid(), n);
    int fd = open(file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd >= 0 || errno != EEXIST) return fd;
  }
  return -1;
}

sap_status sap__atomic_open(sap__atomic *file, const char *path, sap_error *err) {
  *file = (sap__atomic){.descriptor = -1, .requested = path};
  struct stat status;
  int exists = !stat(path, &status);
  if (exists && !S_ISREG(status.st_mode))
    return sap__fail(err, SAP_ERROR_IO, "%s: %s, expected a place for a file", sap__path_tail(path),
                     S_ISDIR(status.st_mode) ? "a folder" : "a pipe or device");
  size_t room = 0;
  file->path = exists ? resolve(path) : sap__strdup(path);
  if (file->path) {
    room = strlen(file->path) + NAME_ROOM;
    file->temporary = sap__alloc(room, 1);
  }
  if (!file->temporary) {
    sap__atomic_abort(file);
    return sap__fail_memory(err, room ? room : strlen(path) + 1);
  }
  file->descriptor = create(file, 0666, room);
  if (file->descriptor < 0) {
    int number = errno;
    sap__atomic_abort(file);
    return fail(err, file, number);
  }
  if (exists) (void)fchmod(file->descriptor, status.st_mode & 07777); /* a courtesy: some file systems have no modes */
  return SAP_OK;
}

sap_status sap__atomic_write(sap__atomic *file, const void *bytes, size_t size, sap_error *err) {
  const char *next = bytes;
  while (size) {
    ssize_t done = write(file->descriptor, next, size < PIECE ? size : PIECE);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return fail(err, file, errno);
    next += done;
    size -= (size_t)done;
  }
  return SAP_OK;
}

/* The rename has happened and cannot be taken back; where a folder cannot be flushed (some network file
 * systems) it reaches the disk with the system's next flush, so that is not a failure. `path` names a file
 * in the folder and is cut to the folder's own. */
static void flush_folder(char *path) {
  size_t folder = folder_length(path);
  path[folder > 1 ? folder - 1 : folder] = 0;
  int fd = open(folder ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  (void)fsync(fd);
  close(fd);
}

sap_status sap__atomic_commit(sap__atomic *file, sap_error *err) {
  int number = fsync(file->descriptor) ? errno : 0;
  if (close(file->descriptor) && !number && errno != EINTR) number = errno;
  file->descriptor = -1;
  if (!number && rename(file->temporary, file->path)) number = errno;
  if (number) {
    (void)unlink(file->temporary);
    sap_status code = fail(err, file, number);
    sap__atomic_abort(file);
    return code;
  }
  flush_folder(file->temporary); /* the name has served */
  sap__atomic_abort(file);
  return SAP_OK;
}

void sap__atomic_abort(sap__atomic *file) {
  if (file->descriptor >= 0) {
    close(file->descriptor);
    (void)unlink(file->temporary);
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
