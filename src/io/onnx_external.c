/* External data: tensors whose values are in files beside the model. The model says which, and is not trusted:
 * a file must lie in the model's folder or below, also when links are followed, and be a regular one. Hard links
 * are allowed: package managers make them. */
#define _XOPEN_SOURCE 700 /* realpath */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "io/file.h"
#include "io/onnx.h"

enum { LOCATION_MAX = 1024 };

/* An external tensor on its way to its file. */
typedef struct place {
  const uint8_t *location; /* (size) in the model */
  size_t size;
  size_t tensor;
  uint64_t offset, length;
  int has_length;
} place;

static int by_location(const void *left, const void *right) {
  const place *a = left, *b = right;
  int order = memcmp(a->location, b->location, a->size < b->size ? a->size : b->size);
  if (order) return order;
  if (a->size != b->size) return a->size < b->size ? -1 : 1;
  return (a->tensor > b->tensor) - (a->tensor < b->tensor);
}

/* What an error is about: the tensor's name, or for one that is not listed its file. */
static const char *called(const sap_checkpoint *checkpoint, const place *at) {
  const sap__onnx_model *model = checkpoint->own;
  uint32_t entry = model->tensors[at->tensor].entry;
  return entry == SAP__ONNX_NONE ? "external data" : checkpoint->entries[entry].tensor.name;
}

/* NULL, or why the location is none: it must be a plain relative path, one step a name. */
static const char *refuse(const uint8_t *location, size_t size) {
  if (size > LOCATION_MAX) return "longer than 1024 bytes";
  if (memchr(location, 0, size)) return "with a NUL";
  if (location[0] == '/') return "absolute, expected one relative to the model";
  for (size_t begin = 0; begin <= size;) {
    const uint8_t *slash = memchr(location + begin, '/', size - begin);
    size_t end = slash ? (size_t)(slash - location) : size, length = end - begin;
    if (!length || (length <= 2 && !memcmp(location + begin, "..", length)))
      return "with an empty step, '.' or '..', expected names";
    begin = end + 1;
  }
  return NULL;
}

/* The real path of the model's folder, with a '/' behind it; from malloc. */
static char *folder_of(const char *path) {
  const char *slash = strrchr(path, '/');
  size_t length = slash ? (size_t)(slash - path) + 1 : 0;
  char *folder = sap__alloc(length + 2, 1), *real = NULL;
  if (!folder) return NULL;
  memcpy(folder, path, length);
  memcpy(folder + length, ".", 2);
  real = realpath(folder, NULL);
  sap__free(folder);
  return real;
}

/* Maps the file of a location and remembers the location. */
static sap_status open_location(sap_checkpoint *checkpoint, const char *folder, const place *at, uint32_t *map,
                                sap_error *err) {
  sap__onnx_model *model = checkpoint->own;
  char location[LOCATION_MAX + 1];
  memcpy(location, at->location, at->size);
  location[at->size] = 0;
  size_t base = strlen(folder), room = base + at->size + 2;
  if (!sap__grow(&model->locations, model->location_count, sizeof *model->locations))
    return sap__fail_memory(err, sizeof *model->locations);
  char *copy = sap__strdup(location), *path = sap__alloc(room, 1);
  if (copy) model->locations[model->location_count++] = copy;
  if (!copy || !path) {
    sap__free(path);
    return sap__fail_memory(err, room);
  }
  snprintf(path, room, "%s/%s", folder, location);
  char *real = realpath(path, NULL);
  int number = real ? 0 : errno, inside = base == 1 || (real && !strncmp(real, folder, base) && real[base] == '/');
  char *model_real = real ? realpath(checkpoint->path, NULL) : NULL;
  if (real && !model_real) number = errno;
  sap_status status = SAP_OK;
  if (!real || !model_real)
    status = number == ENOMEM ? sap__fail_memory(err, room) : sap__fail_system(err, location, number);
  else if (!inside)
    status = sap__fail(err, SAP_ERROR_FORMAT, "%s: a link out of the model's folder", location);
  else if (!strcmp(real, model_real))
    status = sap__fail(err, SAP_ERROR_FORMAT, "%s: the model itself, expected another file", location);
  else
    status = sap__checkpoint_add_map(checkpoint, real, map, err);
  if (status && status != SAP_ERROR_MEMORY && err) {
    char text[SAP_ERROR_TEXT_SIZE];
    memcpy(text, err->text, sizeof text);
    status = sap__fail_entry(err, status, checkpoint, called(checkpoint, at), "external data %.100s", text);
  }
  free(real); /* from the C library */
  free(model_real);
  sap__free(path);
  return status;
}

/* Where in its file the tensor is. */
static sap_status set_place(sap_checkpoint *checkpoint, const place *at, uint32_t map, sap_error *err) {
  sap__onnx_model *model = checkpoint->own;
  sap__onnx_tensor *tensor = &model->tensors[at->tensor];
  sap__entry *entry = tensor->entry == SAP__ONNX_NONE ? NULL : &checkpoint->entries[tensor->entry];
  uint64_t size = checkpoint->maps[map].size, rest = at->offset <= size ? size - at->offset : 0;
  uint64_t bytes = at->has_length ? at->length : entry ? entry->tensor.bytes : rest;
  if (at->offset > size || bytes > rest)
    return sap__fail_entry(err, SAP_ERROR_FORMAT, checkpoint, called(checkpoint, at),
                           "external data of %llu bytes from %llu on, expected to end within the file's %llu",
                           (unsigned long long)bytes, (unsigned long long)at->offset, (unsigned long long)size);
  if (entry && bytes != entry->tensor.bytes && (bytes < entry->tensor.bytes || !checkpoint->options.lenient))
    return sap__fail_entry(err, SAP_ERROR_FORMAT, checkpoint, entry->tensor.name,
                           "%llu bytes of external data, expected %llu", (unsigned long long)bytes,
                           (unsigned long long)entry->tensor.bytes);
  tensor->map = map;
  tensor->offset = at->offset;
  tensor->bytes = entry ? entry->tensor.bytes : bytes;
  if (!entry) return SAP_OK;
  entry->in_place = 1;
  entry->map = map;
  entry->offset = at->offset;
  return SAP_OK;
}

/* The external tensors, by location. */
static sap_status list_places(const sap_checkpoint *checkpoint, place **places, size_t *count, sap_error *err) {
  const sap__onnx_model *model = checkpoint->own;
  *count = 0;
  for (size_t i = 0; i < model->tensor_count; i++) {
    const sap__onnx_tensor *tensor = &model->tensors[i];
    sap__onnx_proto proto;
    if (tensor->sparse || sap__onnx_parse(tensor->message, &proto) || !proto.external) continue;
    if (!sap__grow(places, *count, sizeof **places)) return sap__fail_memory(err, sizeof **places);
    place *at = &(*places)[(*count)++];
    *at = (place){.location = tensor->message.bytes + proto.location.begin,
                  .size = (size_t)sap__slice_size(proto.location),
                  .tensor = i,
                  .offset = proto.offset,
                  .length = proto.length,
                  .has_length = proto.has_length};
    while (at->size > 2 && !memcmp(at->location, "./", 2)) { /* as some writers begin */
      at->location += 2;
      at->size -= 2;
    }
    const char *wrong = refuse(at->location, at->size);
    if (wrong)
      return sap__fail_entry(err, SAP_ERROR_FORMAT, checkpoint, called(checkpoint, at),
                             "external data at a location %s", wrong);
  }
  if (*count) qsort(*places, *count, sizeof **places, by_location);
  return SAP_OK;
}

sap_status sap__onnx_external(sap_checkpoint *checkpoint, sap_error *err) {
  place *places = NULL;
  size_t count;
  char *folder = NULL;
  sap_status status = list_places(checkpoint, &places, &count, err);
  if (!status && count && !(folder = folder_of(checkpoint->path))) status = sap__fail_memory(err, LOCATION_MAX);
  uint32_t map = 0;
  for (size_t i = 0; i < count && !status; i++) {
    const place *now = &places[i], *last = now - 1;
    if (!i || now->size != last->size || memcmp(now->location, last->location, now->size))
      status = open_location(checkpoint, folder, now, &map, err);
    if (!status) status = set_place(checkpoint, now, map, err);
  }
  free(folder); /* from the C library */
  sap__free(places);
  return status;
}
