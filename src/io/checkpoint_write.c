/* Writing checkpoints piece by piece: what all formats share. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/pages.h"
#include "io/atomic.h"
#include "io/file.h"
#include "io/format.h"
#include "sapwood/mask.h"
#include "tensor/keep.h"

enum { PIECE = 1 << 20 };

sap_status sap__checkpoint_refuse_input(const sap_checkpoint *checkpoint, const char *path, sap_error *err) {
  struct stat output, input;
  if (stat(path, &output)) return SAP_OK; /* not there yet */
  for (size_t i = 0; i <= checkpoint->map_count; i++) {
    const char *name = i < checkpoint->map_count ? checkpoint->maps[i].path : checkpoint->path;
    if (!stat(name, &input) && input.st_dev == output.st_dev && input.st_ino == output.st_ino)
      return sap__fail(err, SAP_ERROR_ARGUMENT, "%s: the output is the input, expected another file",
                       sap__path_tail(path));
  }
  return SAP_OK;
}

sap_status sap__checkpoint_stream(sap_checkpoint *checkpoint, size_t i, const uint64_t *mask, sap__sink *sink,
                                  void *user, sap_error *err) {
  sap_status status = sap_checkpoint_load(checkpoint, i, err);
  if (status) return status;
  const sap_tensor *tensor = &checkpoint->entries[i].tensor;
  if (mask && sap_dtype_bits(tensor->dtype) < 8)
    return sap__fail_entry(err, SAP_ERROR_UNSUPPORTED, checkpoint, tensor->name, "type %s cannot be masked",
                           sap_dtype_name(tensor->dtype));
  const uint8_t *bytes = tensor->data;
  size_t size = sap_dtype_bits(tensor->dtype) / 8;
  uint8_t *buffer = NULL;
  if (mask && !(buffer = sap__alloc(PIECE, 1))) return sap__fail_memory(err, PIECE);
  for (uint64_t done = 0; done < tensor->bytes && !status; done += PIECE) {
    size_t now = tensor->bytes - done < PIECE ? (size_t)(tensor->bytes - done) : PIECE;
    const uint8_t *from = bytes + done;
    if (mask) { /* a piece is a multiple of 64 elements: it starts on a word of the mask */
      sap__mask_copy(buffer, from, tensor->dtype, mask + done / size / 64, now / size);
    }
    status = sink(user, mask ? buffer : from, now, err);
    if (checkpoint->entries[i].in_place) sap__pages_drop(from, now);
  }
  sap__free(buffer);
  return status;
}

/* The piece of a tensor in place that begins at `done`, masked, into the file in which the tensor begins at `start`. */
static sap_status write_piece(const sap_tensor *tensor, const uint64_t *mask, uint64_t done, uint8_t *buffer,
                              const sap__atomic *file, uint64_t start, sap_error *err) {
  const size_t size = sap_dtype_bits(tensor->dtype) / 8;
  const size_t now = tensor->bytes - done < PIECE ? (size_t)(tensor->bytes - done) : PIECE;
  const uint8_t *from = (const uint8_t *)tensor->data + done;
  sap__mask_copy(buffer, from, tensor->dtype, mask + done / size / 64, now / size);
  const sap_status status = sap__atomic_write_at(file, start + done, buffer, now, err);
  sap__pages_drop(from, now);
  return status;
}

/* Appends a tensor that lies in place, masked. The system lets only one thread at a time write to a file; meanwhile the
 * others read and mask. */
static sap_status write_masked(sap_checkpoint *checkpoint, size_t i, const uint64_t *mask, sap__atomic *file,
                               sap_error *err) {
  sap_status status = sap_checkpoint_load(checkpoint, i, err);
  if (status) return status;
  const sap_tensor *tensor = &checkpoint->entries[i].tensor;
  if (sap_dtype_bits(tensor->dtype) < 8)
    return sap__fail_entry(err, SAP_ERROR_UNSUPPORTED, checkpoint, tensor->name, "type %s cannot be masked",
                           sap_dtype_name(tensor->dtype));
  const uint64_t pieces = (tensor->bytes + PIECE - 1) / PIECE, start = file->written;
#pragma omp parallel if (pieces > 3)
  {
    uint8_t *buffer = sap__alloc(PIECE, 1);
    sap_error own;
    sap_status failed = buffer ? SAP_OK : sap__fail_memory(&own, PIECE);
#pragma omp for schedule(dynamic, 1)
    for (uint64_t piece = 0; piece < pieces; piece++)
      if (!failed) failed = write_piece(tensor, mask, piece * PIECE, buffer, file, start, &own);
    if (failed) {
#pragma omp critical
      {
        status = failed;
        if (err) *err = own;
      }
    }
    sap__free(buffer);
  }
  if (!status) file->written += tensor->bytes;
  return status;
}

/* A masked entry and where it lies. */
typedef struct patch {
  uint64_t offset;
  size_t index;
} patch;

static int by_offset(const void *left, const void *right) {
  const patch *a = left, *b = right;
  return (a->offset > b->offset) - (a->offset < b->offset);
}

/* The masked entries of one file in its order; *count receives how many. */
static sap_status list_patches(const sap_checkpoint *checkpoint, uint32_t map, const uint64_t *const *masks,
                               patch **list, size_t *count, sap_error *err) {
  *count = 0;
  *list = sap__calloc(checkpoint->entry_count, sizeof **list);
  if (!*list) return sap__fail_memory(err, checkpoint->entry_count * sizeof **list);
  for (size_t i = 0; i < checkpoint->entry_count; i++) {
    const sap__entry *entry = &checkpoint->entries[i];
    if (!masks || !masks[i] || !entry->tensor.bytes || entry->map != map) continue;
    if (!entry->in_place)
      return sap__fail_entry(err, SAP_ERROR_UNSUPPORTED, checkpoint, entry->tensor.name,
                             "stored in a form that cannot be written back; convert the file first: "
                             "sapwood convert IN -o OUT.safetensors --dense");
    (*list)[(*count)++] = (patch){entry->offset, i};
  }
  qsort(*list, *count, sizeof **list, by_offset);
  return SAP_OK;
}

sap_status sap__checkpoint_patch_map(sap_checkpoint *checkpoint, uint32_t number, const uint64_t *const *masks,
                                     sap__atomic *file, sap_error *err) {
  const sap__map *map = &checkpoint->maps[number];
  patch *patches = NULL;
  size_t count = 0;
  sap_status status = list_patches(checkpoint, number, masks, &patches, &count, err);
  uint64_t at = 0;
  for (size_t k = 0; k < count && !status; k++) {
    size_t i = patches[k].index;
    status = sap__map_copy(map, at, patches[k].offset, file, err);
    if (!status) status = write_masked(checkpoint, i, masks[i], file, err);
    at = patches[k].offset + checkpoint->entries[i].tensor.bytes;
  }
  if (!status) status = sap__map_copy(map, at, map->size, file, err);
  sap__free(patches);
  return status;
}

sap_status sap__checkpoint_patch(sap_checkpoint *checkpoint, const uint64_t *const *masks, const char *path,
                                 sap_error *err) {
  if (checkpoint->map_count != 1)
    return sap__fail(err, SAP_ERROR_UNSUPPORTED, "%s: %zu files, expected one", sap__path_tail(checkpoint->path),
                     checkpoint->map_count);
  sap__atomic file;
  sap_status status = sap__atomic_open(&file, path, err);
  if (!status) status = sap__checkpoint_patch_map(checkpoint, 0, masks, &file, err);
  if (!status) status = sap__atomic_commit(&file, err);
  sap__atomic_abort(&file);
  return status;
}
