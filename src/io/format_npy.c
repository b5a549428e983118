/* .npy as a checkpoint: one tensor, named as the file without its ending. */
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "io/atomic.h"
#include "io/npy.h"

static int probe(const char *path, const uint8_t *head, size_t count, int is_folder) {
  (void)path;
  return !is_folder && count >= 6 && !memcmp(head, "\x93NUMPY", 6);
}

static sap_status open_file(sap_checkpoint *checkpoint, sap_error *err) {
  const char *slash = strrchr(checkpoint->path, '/'), *stem = slash ? slash + 1 : checkpoint->path;
  size_t length = strlen(stem);
  if (length > 4 && !strcmp(stem + length - 4, ".npy")) length -= 4;
  if (!sap__utf8_valid(stem))
    return sap__fail(err, SAP_ERROR_UNSUPPORTED, "%.120s: the name is not UTF-8, and names the tensor", stem);
  sap__entry *entry;
  sap__view *view = checkpoint->own = sap__calloc(1, sizeof *view);
  if (!view) return sap__fail_memory(err, sizeof *view);
  sap_status code = sap__checkpoint_add_entry(checkpoint, stem, length, &entry, err);
  if (code) return code;
  const sap__map *mapped = &checkpoint->maps[0];
  code = sap__npy_parse(mapped->bytes, (size_t)mapped->size, mapped->size, checkpoint, &entry->tensor, view, err);
  if (code) return code;
  entry->in_place = !view->swapped && sap__view_contiguous(view, &entry->tensor);
  entry->offset = view->offset;
  return SAP_OK;
}

static sap_status load(sap_checkpoint *checkpoint, sap__entry *entry, sap_error *err) {
  sap_status code = sap__checkpoint_decoded(checkpoint, entry, err);
  if (!code) sap__view_gather(checkpoint->own, &entry->tensor, checkpoint->maps[0].bytes, entry->decoded);
  return code;
}

static sap_status to_file(void *user, const void *bytes, size_t size, sap_error *err) {
  return sap__atomic_write(user, bytes, size, err);
}

/* Byte order and Fortran order stay. */
static sap_status rewrite(sap_checkpoint *checkpoint, const uint64_t *const *masks, const char *path, sap_error *err) {
  const sap__map *map = &checkpoint->maps[0];
  sap__masked masked = {checkpoint->own, &checkpoint->entries[0].tensor, masks ? masks[0] : NULL};
  sap__atomic file;
  sap_status code = sap__atomic_open(&file, path, err);
  if (code) return code;
  code = sap__masked_send(&masked, masked.mask ? 1 : 0, map->bytes, 0, map->size, 1, to_file, &file, err);
  if (!code) code = sap__atomic_commit(&file, err);
  sap__atomic_abort(&file);
  return code;
}

static void close_file(sap_checkpoint *checkpoint) { sap__free(checkpoint->own); }

const sap__format sap__format_npy = {
    .name = "npy", .probe = probe, .open = open_file, .load = load, .rewrite = rewrite, .close = close_file};
