#define _GNU_SOURCE /* _SC_PHYS_PAGES */
#include "data/dataset.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "data/paths.h"

static const sap__dataset_kind *const kinds[] = {
    &sap__dataset_fashion_mnist, &sap__dataset_mnist,  &sap__dataset_cifar10, &sap__dataset_cifar100,
    &sap__dataset_tiny_imagenet, &sap__dataset_folder, &sap__dataset_npz,
};

static const size_t kind_count = sizeof kinds / sizeof kinds[0];

sap_dataset_options sap_dataset_options_default(void) { return (sap_dataset_options){0}; }

static sap_status unknown(const char *name, size_t length, sap_error *err) {
  char known[128] = "";
  size_t used = 0;
  for (size_t i = 0; i < kind_count && used < sizeof known; i++)
    used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", kinds[i]->name);
  return sap__fail(err, SAP_ERROR_ARGUMENT, "no data set is called \"%.*s\", expected one of: %s",
                   (int)(length < 60 ? length : 60), name, known);
}

/* The kind that the spec names; NULL if there is none. */
static const sap__dataset_kind *kind_of(const char *spec) {
  size_t length = strcspn(spec, ":");
  for (size_t i = 0; i < kind_count; i++)
    if (strlen(kinds[i]->name) == length && !memcmp(kinds[i]->name, spec, length)) return kinds[i];
  return NULL;
}

int sap__dataset_resizes(const char *spec) {
  const sap__dataset_kind *kind = kind_of(spec);
  return kind && kind->resizes;
}

/* The kind that the spec names, and where the set is. */
static sap_status find(const char *spec, const sap__dataset_kind **found, char path[SAP__PATH_SIZE], sap_error *err) {
  const char *colon = strchr(spec, ':');
  const sap__dataset_kind *kind = kind_of(spec);
  if (!kind) return unknown(spec, strcspn(spec, ":"), err);
  *found = kind;
  if (colon && !colon[1]) return sap__fail(err, SAP_ERROR_ARGUMENT, "%s: no path after the colon", kind->name);
  if (colon && snprintf(path, SAP__PATH_SIZE, "%s", colon + 1) >= SAP__PATH_SIZE)
    return sap__fail(err, SAP_ERROR_ARGUMENT, "%s: a path of more than %d bytes", kind->name, SAP__PATH_SIZE);
  if (colon || (kind->get && sap__path_usual(path, kind->name))) return SAP_OK;
  return sap__fail(err, SAP_ERROR_NOT_FOUND, "%s: %s%sname %s: %s:PATH", kind->name, kind->get ? kind->get : "",
                   kind->get ? ", or " : "", kind->path, kind->name);
}

/* What the caller asked for against what the set has. */
static sap_status check_shape(const sap_dataset *set, const sap_dataset_options *options, sap_error *err) {
  int side = options->image_size, channels = options->channels;
  if (set->height > SAP_DATASET_MAX_SIDE || set->width > SAP_DATASET_MAX_SIDE || set->classes > SAP_DATASET_MAX_CLASSES)
    return sap__fail(err, SAP_ERROR_UNSUPPORTED, "%s: %d x %d pixels and %d classes, expected at most %d x %d and %d",
                     set->name, set->height, set->width, set->classes, SAP_DATASET_MAX_SIDE, SAP_DATASET_MAX_SIDE,
                     SAP_DATASET_MAX_CLASSES);
  if ((!side || (set->height == side && set->width == side)) && (!channels || set->channels == channels)) return SAP_OK;
  return sap__fail(err, SAP_ERROR_MISMATCH, "%s: pictures of %d x %d x %d, expected %d x %d x %d", set->name,
                   set->channels, set->height, set->width, channels ? channels : set->channels,
                   side ? side : set->height, side ? side : set->width);
}

sap_status sap_dataset_open(const char *spec, const sap_dataset_options *options, sap_dataset **dataset,
                            sap_error *err) {
  const sap_dataset_options asked = options ? *options : sap_dataset_options_default();
  if (asked.image_size < 0 || asked.image_size > SAP_DATASET_MAX_SIDE)
    return sap__fail(err, SAP_ERROR_ARGUMENT, "image-size %d: expected 0 <= image-size <= %d", asked.image_size,
                     SAP_DATASET_MAX_SIDE);
  const sap__dataset_kind *kind;
  char path[SAP__PATH_SIZE];
  sap_status code = find(spec, &kind, path, err);
  if (code) return code;
  sap__dataset *opened = sap__calloc(1, sizeof *opened);
  if (!opened) return sap__fail_memory(err, sizeof *opened);
  opened->set.name = kind->name;
  opened->set.memory = opened;
  code = kind->open(path, &asked, opened, err);
  if (!code) code = check_shape(&opened->set, &asked, err);
  if (code)
    sap_dataset_free(&opened->set);
  else
    *dataset = &opened->set;
  return code;
}

sap_status sap_dataset_describe(const char *spec, sap_dataset_summary *summary, sap_error *err) {
  const sap__dataset_kind *kind;
  char path[SAP__PATH_SIZE];
  sap_status code = find(spec, &kind, path, err);
  if (code) return code;
  sap_dataset_summary found = {0};
  code = kind->describe(path, &found, err);
  if (!code) *summary = found;
  return code;
}

void sap_dataset_free(sap_dataset *dataset) {
  if (!dataset) return;
  sap__dataset *opened = dataset->memory;
  for (int i = 0; i < 2; i++) {
    sap__free(opened->pixels[i]);
    sap__free(opened->floats[i]);
    sap__free(opened->labels[i]);
  }
  sap__free(opened);
}

/* Bytes of the machine's memory; asking for more would end in the system killing something. */
static uint64_t machine_memory(void) {
  long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
  return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : UINT64_MAX;
}

sap_status sap__dataset_take(sap__dataset *dataset, int half, uint64_t count, int floats, const char *name,
                             sap_error *err) {
  const sap_dataset *set = &dataset->set;
  uint64_t picture = (uint64_t)set->channels * (uint64_t)set->height * (uint64_t)set->width, bytes;
  if (count > UINT32_MAX / 2)
    return sap__fail(err, SAP_ERROR_UNSUPPORTED, "%s: %llu pictures, expected less than 2^31", name,
                     (unsigned long long)count);
  if (__builtin_mul_overflow(count, picture * (floats ? sizeof(float) : 1), &bytes) || bytes > machine_memory())
    return sap__fail(err, SAP_ERROR_MEMORY,
                     "%s: %llu pictures of %d x %d x %d take more memory than this machine has (%llu MiB)", name,
                     (unsigned long long)count, set->channels, set->height, set->width,
                     (unsigned long long)(machine_memory() >> 20));
  sap_split *split = half ? &dataset->set.test : &dataset->set.train;
  void *block = sap__alloc((size_t)bytes, 1);
  if (floats)
    split->floats = dataset->floats[half] = block;
  else
    split->pixels = dataset->pixels[half] = block;
  split->labels = dataset->labels[half] = sap__alloc((size_t)count, 1);
  split->count = (uint32_t)count;
  return block && split->labels ? SAP_OK : sap__fail_memory(err, (size_t)bytes);
}

const char *sap_dataset_name_at(size_t i) { return i < kind_count ? kinds[i]->name : NULL; }

const char *sap_dataset_text_at(size_t i) { return i < kind_count ? kinds[i]->text : NULL; }
