#include "io/file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"

#define PATH_SHOWN 120

const char *sap__path_tail(const char *path) {
  size_t length = strlen(path);
  return length > PATH_SHOWN ? path + length - PATH_SHOWN : path;
}

sap_status sap__fail_system(sap_error *err, const char *path, int number) {
  char reason[96];
  snprintf(reason, sizeof reason, "%s", strerror(number));
  reason[0] = (char)tolower((unsigned char)reason[0]);
  sap_status code = number == ENOENT || number == ENOTDIR ? SAP_ERROR_NOT_FOUND
                    : number == ENOMEM                    ? SAP_ERROR_MEMORY
                                                          : SAP_ERROR_IO;
  return sap__fail(err, code, "%s: %s", sap__path_tail(path), reason);
}

static sap_status refuse(const char *path, const char *what, sap_error *err) {
  return sap__fail(err, SAP_ERROR_IO, "%s: %s, expected a file", sap__path_tail(path), what);
}

sap_status sap__file_open_any(const char *path, int *descriptor, uint64_t *size, int *is_folder, sap_error *err) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe without a writer must not block */
  if (fd < 0) return sap__fail_system(err, path, errno);
  struct stat status;
  sap_status code = SAP_OK;
  if (fstat(fd, &status))
    code = sap__fail_system(err, path, errno);
  else if (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode))
    code = refuse(path, "a pipe or device", err);
  if (code || S_ISDIR(status.st_mode)) close(fd);
  if (code) return code;
  *descriptor = fd;
  *size = (uint64_t)status.st_size;
  *is_folder = S_ISDIR(status.st_mode);
  return SAP_OK;
}

sap_status sap__file_open(const char *path, int *descriptor, uint64_t *size, sap_error *err) {
  int is_folder = 0;
  sap_status code = sap__file_open_any(path, descriptor, size, &is_folder, err);
  return !code && is_folder ? refuse(path, "a folder", err) : code;
}

/* Fills `text` with `size` bytes from the file. Unless it `may_grow`, one more than that must not be there. */
static sap_status read_all(int fd, const char *path, char *text, size_t size, int may_grow, sap_error *err) {
  /* The byte past the end, kept for the NUL, is asked for too: a file that grows is noticed. */
  const size_t asked = may_grow ? size : size + 1;
  size_t done = 0;
  while (done < asked) {
    ssize_t got = read(fd, text + done, asked - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return sap__fail_system(err, path, errno);
    if (!got) break;
    done += (size_t)got;
  }
  if (done != size) return sap__fail(err, SAP_ERROR_IO, "%s: changed while it was read", sap__path_tail(path));
  text[size] = 0;
  return SAP_OK;
}

static sap_status read_file(const char *path, size_t limit, int may_grow, char **text, size_t *size, sap_error *err) {
  int fd;
  uint64_t length;
  sap_status code = sap__file_open(path, &fd, &length, err);
  if (code) return code;
  char *block = NULL;
  if (length > limit)
    code = sap__fail(err, SAP_ERROR_FORMAT, "%s: %llu bytes, expected at most %zu", sap__path_tail(path),
                     (unsigned long long)length, limit);
  else if (!(block = sap__alloc((size_t)length + 1, 1)))
    code = sap__fail_memory(err, (size_t)length + 1);
  else
    code = read_all(fd, path, block, (size_t)length, may_grow, err);
  close(fd);
  if (code) {
    sap__free(block);
    return code;
  }
  *text = block;
  *size = (size_t)length;
  return SAP_OK;
}

sap_status sap__file_read(const char *path, size_t limit, char **text, size_t *size, sap_error *err) {
  return read_file(path, limit, 0, text, size, err);
}

sap_status sap__file_read_start(const char *path, size_t limit, char **text, size_t *size, sap_error *err) {
  return read_file(path, limit, 1, text, size, err);
}
