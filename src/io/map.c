/* Mapped files. */
#define _GNU_SOURCE /* madvise */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/pages.h"
#include "io/atomic.h"
#include "io/file.h"
#include "io/format.h"

/* Bytes written, and given back, at a time. */
enum { PIECE = 1 << 20 };

/* Maps an open file. */
static sap_status map_file(const char *path, int descriptor, uint64_t size, sap__map *map, sap_error *err) {
  void *bytes = NULL; /* an empty file cannot be mapped */
  if (size > SIZE_MAX)
    return sap__fail(err, SAP_ERROR_UNSUPPORTED, "%s: larger than this machine can map", sap__path_tail(path));
  if (size && (bytes = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, descriptor, 0)) == MAP_FAILED)
    return sap__fail_system(err, path, errno);
  *map = (sap__map){.path = sap__strdup(path), .bytes = bytes, .size = size};
  if (map->path) return SAP_OK;
  sap__map_close(map);
  return sap__fail_memory(err, strlen(path) + 1);
}

sap_status sap__map_open_any(const char *path, sap__map *map, int *is_folder, sap_error *err) {
  int descriptor;
  uint64_t size;
  sap_status status = sap__file_open_any(path, &descriptor, &size, is_folder, err);
  if (status || *is_folder) return status;
  status = map_file(path, descriptor, size, map, err);
  close(descriptor);
  return status;
}

sap_status sap__map_open(const char *path, sap__map *map, sap_error *err) {
  int descriptor;
  uint64_t size;
  sap_status status = sap__file_open(path, &descriptor, &size, err);
  if (status) return status;
  status = map_file(path, descriptor, size, map, err);
  close(descriptor);
  return status;
}

void sap__map_close(sap__map *map) {
  if (map->bytes) munmap((void *)(uintptr_t)map->bytes, (size_t)map->size);
  sap__free(map->path);
  *map = (sap__map){0};
}

sap_status sap__map_copy(const sap__map *map, uint64_t from, uint64_t to, sap__atomic *file, sap_error *err) {
  sap_status status = SAP_OK;
  while (from < to && !status) {
    size_t now = to - from < PIECE ? (size_t)(to - from) : PIECE;
    status = sap__atomic_write(file, map->bytes + from, now, err);
    sap__pages_drop(map->bytes + from, now);
    from += now;
  }
  return status;
}
