#include "data/paths.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/error.h"
#include "io/file.h"

sap_status sap__path_join(char path[SAP__PATH_SIZE], const char *folder, const char *name, sap_error *err) {
  if (snprintf(path, SAP__PATH_SIZE, "%s/%s", folder, name) < SAP__PATH_SIZE) return SAP_OK;
  return sap__fail(err, SAP_ERROR_ARGUMENT, "%s: a path of more than %d bytes", sap__path_tail(folder), SAP__PATH_SIZE);
}

int sap__path_kind(const char *path) {
  struct stat status;
  return stat(path, &status) ? 0 : S_ISDIR(status.st_mode) ? 2 : 1;
}

sap_status sap__path_folder(const char *path, const char *expected, sap_error *err) {
  struct stat status;
  const char *shown = sap__path_tail(path);
  if (stat(path, &status) && (errno == ENOENT || errno == ENOTDIR))
    return sap__fail(err, SAP_ERROR_NOT_FOUND, "%s: no such folder; expected %s", shown, expected);
  if (stat(path, &status)) return sap__fail_system(err, path, errno);
  if (!S_ISDIR(status.st_mode))
    return sap__fail(err, SAP_ERROR_NOT_FOUND, "%s: not a folder; expected %s", shown, expected);
  return SAP_OK;
}

int sap__path_usual(char path[SAP__PATH_SIZE], const char *name) {
  const char *own = getenv("SAPWOOD_DATA"), *shared = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
  const struct {
    const char *base, *below;
  } places[] = {
      {own, ""},
      {shared, "/sapwood"},
      {shared && *shared ? NULL : home, "/.local/share/sapwood"},
      {"/usr/share/datasets", ""},
  };
  for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
    if (!places[i].base || !*places[i].base) continue;
    int length = snprintf(path, SAP__PATH_SIZE, "%s%s/%s", places[i].base, places[i].below, name);
    if (length < SAP__PATH_SIZE && sap__path_kind(path)) return 1;
  }
  return 0;
}
