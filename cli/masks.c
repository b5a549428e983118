/* Masks of tensors: from files, from zeros, and into files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sapwood/mask.h"
#include "sapwood/version.h"
#include "tensors.h"

int tensors_make_masks(const char *title, tensors *chosen) {
  for (size_t i = 0; i < chosen->count; i++) {
    sap_layer *layer = &chosen->layers[i];
    if (layer->mask || !layer->count) continue;
    layer->mask = sap_mask_new(layer->count);
    if (!layer->mask) return failure(title, "no memory for the mask of %s", layer->name);
  }
  return EXIT_DONE;
}

/* The name of a tensor's mask, to be freed. */
static char *mask_name(const char *tensor) {
  char *name = malloc(strlen(tensor) + 6);
  if (name) sprintf(name, "%s.mask", tensor);
  return name;
}

/* ---- reading ---- */

/* Bits as they lie in the file, eight weights a byte. 0 if a bit past the last weight is set. */
static int take_bits(const uint8_t *bytes, sap_layer *layer) {
  const uint64_t size = (layer->count + 7) / 8;
  if (layer->count % 8 && bytes[size - 1] >> layer->count % 8) return 0;
  memset(layer->mask, 0, sap_mask_words(layer->count) * sizeof *layer->mask);
  for (uint64_t i = 0; i < size; i++) layer->mask[i / 8] |= (uint64_t)bytes[i] << 8 * (i % 8);
  return 1;
}

/* The mask of one tensor from the file's tensor at `place`: bits, or a byte a weight. */
static int take_tensor(const char *title, sap_checkpoint *file, size_t place, sap_layer *layer) {
  sap_error err;
  const sap_tensor *found = sap_checkpoint_at(file, place);
  const uint64_t packed = (layer->count + 7) / 8;
  const int bytes = found->count == layer->count && (found->dtype == SAP_BOOL || layer->count > 1);
  if ((found->dtype != SAP_U8 && found->dtype != SAP_BOOL) ||
      !(bytes || (found->dtype == SAP_U8 && found->count == packed)))
    return failure(title, "%s: %s: %s of %llu, expected U8 of %llu or BOOL of %llu", sap_checkpoint_path(file),
                   found->name, sap_dtype_name(found->dtype), (unsigned long long)found->count,
                   (unsigned long long)packed, (unsigned long long)layer->count);
  if (sap_checkpoint_load(file, place, &err) != SAP_OK) return failure(title, "%s", err.text);
  if (bytes)
    sap_mask_from_bytes(found->data, layer->count, layer->mask);
  else if (!take_bits(found->data, layer))
    return failure(title, "%s: %s: a bit past the last weight is 1, expected 0", sap_checkpoint_path(file),
                   found->name);
  return EXIT_DONE;
}

static int take_mask(const char *title, sap_checkpoint *file, sap_layer *layer) {
  char *name = mask_name(layer->name);
  if (!name) return failure(title, "no memory for the mask of %s", layer->name);
  size_t place = sap_checkpoint_find(file, name);
  free(name);
  if (place < sap_checkpoint_count(file)) return take_tensor(title, file, place, layer);
  place = sap_checkpoint_find(file, layer->name); /* a sparse layout: the mask is the tensor's own */
  if (place < sap_checkpoint_count(file)) {
    sap_error err;
    const sap_tensor *tensor = sap_checkpoint_at(file, place);
    if (sap_checkpoint_load(file, place, &err) != SAP_OK) return failure(title, "%s", err.text);
    const uint64_t *own = sap_checkpoint_mask(file, place);
    if (own && tensor->count == layer->count) {
      memcpy(layer->mask, own, sap_mask_words(layer->count) * sizeof *own);
      return EXIT_DONE;
    }
  }
  return failure(title, "%s: no mask of %s, expected a tensor %s.mask", sap_checkpoint_path(file), layer->name,
                 layer->name);
}

int tensors_read_masks(const char *title, const char *source, tensors *chosen) {
  int code = tensors_make_masks(title, chosen);
  if (code != EXIT_DONE) return code;
  if (strcmp(source, "zeros") == 0) {
    for (size_t i = 0; i < chosen->count; i++) (void)sap_layer_drop_zeros(&chosen->layers[i]);
    return EXIT_DONE;
  }
  sap_checkpoint *file = NULL;
  sap_error err;
  if (sap_checkpoint_open(source, NULL, &file, &err) != SAP_OK) return failure(title, "%s", err.text);
  for (size_t i = 0; i < chosen->count && code == EXIT_DONE; i++)
    if (chosen->layers[i].count) code = take_mask(title, file, &chosen->layers[i]);
  sap_checkpoint_close(file);
  return code;
}

/* ---- writing ---- */

int tensors_write_masks(const char *title, const tensors *chosen, const char *path) {
  sap_tensor *list = calloc(chosen->count + 1, sizeof *list);
  int named = list != NULL;
  for (size_t i = 0; i < chosen->count && named; i++) {
    const sap_layer *layer = &chosen->layers[i];
    const uint64_t bytes = (layer->count + 7) / 8; /* words hold the bits in the order of the file */
    list[i] = sap_tensor_vector(mask_name(layer->name), SAP_U8, layer->mask, bytes);
    named = list[i].name != NULL;
  }
  const sap_metadata metadata[] = {{"format", "sapwood-mask"}, {"bits", "little"}, {"version", sap_version()}};
  sap_error err;
  int code = EXIT_DONE;
  if (!named)
    code = failure(title, "no memory for the names of %zu masks", chosen->count);
  else if (sap_safetensors_write(path, list, chosen->count, metadata, 3, &err) != SAP_OK)
    code = failure(title, "%s", err.text);
  for (size_t i = 0; i < chosen->count && list; i++) free((char *)(uintptr_t)list[i].name);
  free(list);
  return code;
}
