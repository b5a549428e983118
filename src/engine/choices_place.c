/* Where a machine's choices are kept between programs. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "engine/choices.h"

int sap__choices_place(const char *prefix, const char *machine, char path[SAP__CHOICES_PATH], int make) {
  const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
  char folder[SAP__CHOICES_PATH / 2], name[256];
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
  int used = snprintf(path, SAP__CHOICES_PATH, "%s/sapwood", folder);
  if (make) {
    mkdir(folder, 0777);
    mkdir(path, 0777);
  }
  return snprintf(path + used, SAP__CHOICES_PATH - (size_t)used, "/%s-%s.json", prefix, name) <
         SAP__CHOICES_PATH - used;
}
