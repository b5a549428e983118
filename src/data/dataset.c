#include "data/dataset.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"

static const struct kind {
  const char *name, *text;
  sap__dataset_opener *open;
} kinds[] = {
    {"fashion-mnist", "grey 28x28 pictures of clothes, 10 classes; DIR holds the four IDX files",
     sap__fashion_mnist_open},
    {"mnist", "grey 28x28 handwritten digits, 10 classes; DIR holds the four IDX files", sap__mnist_open},
};

static const size_t kind_count = sizeof kinds / sizeof kinds[0];

static sap_status unknown(const char *name, size_t length, sap_error *err) {
  char known[128] = "";
  size_t used = 0;
  for (size_t i = 0; i < kind_count && used < sizeof known; i++)
    used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", kinds[i].name);
  return sap__fail(err, SAP_ERROR_ARGUMENT, "no data set is called \"%.*s\", expected one of: %s",
                   (int)(length < 60 ? length : 60), name, known);
}

sap_status sap_dataset_open(const char *spec, sap_dataset **dataset, sap_error *err) {
  const char *colon = strchr(spec, ':');
  const char *path = colon ? colon + 1 : NULL;
  size_t length = colon ? (size_t)(colon - spec) : strlen(spec);
  const struct kind *kind = NULL;
  for (size_t i = 0; i < kind_count; i++)
    if (strlen(kinds[i].name) == length && !memcmp(kinds[i].name, spec, length)) kind = &kinds[i];
  if (!kind) return unknown(spec, length, err);
  if (path && !*path) return sap__fail(err, SAP_ERROR_ARGUMENT, "%s: no path after the colon", kind->name);
  sap__dataset *opened = sap__calloc(1, sizeof *opened);
  if (!opened) return sap__fail_memory(err, sizeof *opened);
  opened->set.name = kind->name;
  opened->set.memory = opened;
  sap_status code = kind->open(kind->name, path, opened, err);
  if (code)
    sap_dataset_free(&opened->set);
  else
    *dataset = &opened->set;
  return code;
}

void sap_dataset_free(sap_dataset *dataset) {
  if (!dataset) return;
  sap__dataset *opened = dataset->memory;
  for (int i = 0; i < 2; i++) {
    sap__free(opened->pixels[i]);
    sap__free(opened->labels[i]);
  }
  sap__free(opened);
}

const char *sap_dataset_name_at(size_t i) { return i < kind_count ? kinds[i].name : NULL; }

const char *sap_dataset_text_at(size_t i) { return i < kind_count ? kinds[i].text : NULL; }
