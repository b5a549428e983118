/* What is kept of choices between programs. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/error.h"
#include "engine/choices.h"

enum { PATH_SIZE = 1024 };

/* The path of the file; its folders are made if `make` is set. 0 if there is no place for it. */
static int place(const char *prefix, const char *machine, char path[PATH_SIZE], int make) {
  const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
  char folder[PATH_SIZE / 2], name[256];
  if (cache && *cache == '/')
    snprintf(folder, sizeof folder, "%s", cache);
  else if (home && *home == '/')
    snprintf(folder, sizeof folder, "%s/.cache", home);
  else
    return 0;
  size_t length = 0;
  for (const char *c = machine; *c && length < sizeof name - 1; c++)
    if (isalnum((unsigned char)*c) || *c == '.')
      name[length++] = *c;
    else if (length && name[length - 1] != '-')
      name[length++] = '-';
  name[length] = 0;
  int used = snprintf(path, PATH_SIZE, "%s/sapwood", folder);
  if (make) {
    mkdir(folder, 0777);
    mkdir(path, 0777);
  }
  return snprintf(path + used, PATH_SIZE - (size_t)used, "/%s-%s.json", prefix, name) < PATH_SIZE - used;
}

/* Adds what the file has. */
static sap_status recall(sap__choices *choices, const char *path, const char *machine, sap_error *err) {
  sap_error passed_over;
  sap_status status = sap__choices_read(choices, path, machine, &passed_over);
  return status == SAP_ERROR_MEMORY ? sap__fail(err, status, "%s", passed_over.text) : SAP_OK;
}

sap_status sap__choices_recall(sap__choices *choices, const char *prefix, const char *machine, sap_error *err) {
  char path[PATH_SIZE];
  return place(prefix, machine, path, 0) ? recall(choices, path, machine, err) : SAP_OK;
}

void sap__choices_keep(const sap__choices *choices, const char *prefix, const char *machine) {
  char path[PATH_SIZE];
  sap__choices *all = sap__choices_new();
  if (all && place(prefix, machine, path, 1) && !recall(all, path, machine, NULL)) {
    const char *key, *choice;
    sap_status status = SAP_OK;
    for (size_t i = 0; !status && sap__choices_at(choices, i, &key, &choice); i++)
      status = sap__choices_add(all, key, choice, NULL);
    if (!status) status = sap__choices_write(all, path, machine, NULL);
    (void)status;
  }
  sap__choices_free(all);
}
