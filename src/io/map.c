/* Mapped files, and giving their pages back. */
#define _GNU_SOURCE /* madvise */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "io/file.h"
#include "io/format.h"

sap_status sap__map_open(const char *path, sap__map *map, sap_error *err) {
  int descriptor;
  uint64_t size;
  sap_status status = sap__file_open(path, &descriptor, &size, err);
  if (status) return status;
  void *bytes = NULL; /* an empty file cannot be mapped */
  if (size > SIZE_MAX)
    status = sap__fail(err, SAP_ERROR_UNSUPPORTED, "%s: larger than this machine can map", sap__path_tail(path));
  else if (size && (bytes = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, descriptor, 0)) == MAP_FAILED)
    status = sap__fail_system(err, path, errno);
  close(descriptor);
  if (status) return status;
  *map = (sap__map){.path = sap__strdup(path), .bytes = bytes, .size = size};
  if (map->path) return SAP_OK;
  sap__map_close(map);
  return sap__fail_memory(err, (size_t)size);
}

void sap__map_close(sap__map *map) {
  if (map->bytes) munmap((void *)(uintptr_t)map->bytes, (size_t)map->size);
  sap__free(map->path);
  *map = (sap__map){0};
}

void sap__map_release(const uint8_t *bytes, size_t size) {
  uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), first = ((uintptr_t)bytes + page - 1) / page * page;
  uintptr_t last = ((uintptr_t)bytes + size) / page * page;
  if (last > first) (void)madvise((void *)first, last - first, MADV_DONTNEED);
}
