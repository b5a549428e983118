#include "io/run_files.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "io/file.h"

static const char weights[] = ".safetensors";

void sap__run_file(const char *run, const char *name, char *text, size_t size) {
  const size_t length = strlen(run);
  snprintf(text, size, "%s%s%s", run, length && run[length - 1] == '/' ? "" : "/", name);
}

void sap__run_iteration(const char *run, int iteration, const char *ending, char *text, size_t size) {
  char name[48];
  snprintf(name, sizeof name, "iteration-%02d%s", iteration, ending);
  sap__run_file(run, name, text, size);
}

static int exists(const char *path) {
  struct stat info;
  return !stat(path, &info);
}

sap_status sap__run_find_iteration(const char *run, int *iteration, char *text, size_t size, sap_error *err) {
  int last = *iteration;
  if (last < 0) {
    do sap__run_iteration(run, ++last, weights, text, size);
    while (exists(text));
    last--;
  }
  if (last < 0) {
    sap__run_file(run, "config.json", text, size);
    return sap__fail(err, SAP_ERROR_NOT_FOUND,
                     exists(text) ? "%s: no finished iteration" : "%s: not a run: it has no config.json",
                     sap__path_tail(run));
  }
  sap__run_iteration(run, last, weights, text, size);
  if (!exists(text)) return sap__fail_system(err, text, ENOENT);
  *iteration = last;
  return SAP_OK;
}
