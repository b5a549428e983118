#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/pages.h"
#include "io/atomic.h"
#include "io/file.h"
#include "io/onnx_external.h"
#include "sapwood/mask.h"

enum { PIECE = 1 << 20 };

/* A masked tensor in an external file. Tensors may share bytes there. */
typedef struct patch {
  uint32_t map;
  uint64_t offset, end;
  size_t entry;
} patch;

static int by_place(const void *left, const void *right) {
  const patch *a = left, *b = right;
  if (a->map != b->map) return a->map < b->map ? -1 : 1;
  return (a->offset > b->offset) - (a->offset < b->offset);
}

/* Zeroes what `mask` prunes of the elements from byte `offset` on, within bytes [begin, end) of the file. */
static void zero(uint8_t *piece, uint64_t begin, uint64_t end, const patch *at, size_t size, const uint64_t *mask) {
  uint64_t low = begin > at->offset ? begin : at->offset, high = end < at->end ? end : at->end;
  if (low >= high) return;
  uint64_t last = (high - 1 - at->offset) / size;
  for (uint64_t i = (low - at->offset) / size; i <= last; i++) {
    if (i % 64 == 0 && mask[i / 64] == ~(uint64_t)0) {
      i += 63;
      continue;
    }
    if (sap_mask_get(mask, i)) continue;
    uint64_t from = at->offset + i * size, to = from + size;
    if (from < low) from = low;
    if (to > high) to = high;
    memset(piece + (from - begin), 0, (size_t)(to - from));
  }
}

static sap_status copy_file(const sap_checkpoint *checkpoint, const uint64_t *const *masks, uint32_t map,
                            const patch *patches, size_t count, const char *path, sap_error *err) {
  const sap__map *from = &checkpoint->maps[map];
  sap__atomic file = {.descriptor = -1};
  uint8_t *piece = sap__alloc(PIECE, 1);
  sap_status status = piece ? sap__atomic_open(&file, path, err) : sap__fail_memory(err, PIECE);
  size_t first = 0;
  for (uint64_t begin = 0; begin < from->size && !status; begin += PIECE) {
    uint64_t end = from->size - begin < PIECE ? from->size : begin + PIECE;
    memcpy(piece, from->bytes + begin, (size_t)(end - begin));
    sap__pages_drop(from->bytes + begin, (size_t)(end - begin));
    while (first < count && patches[first].end <= begin) first++;
    for (size_t i = first; i < count && patches[i].offset < end; i++) {
      size_t entry = patches[i].entry;
      zero(piece, begin, end, &patches[i], sap_dtype_bits(checkpoint->entries[entry].tensor.dtype) / 8, masks[entry]);
    }
    status = sap__atomic_write(&file, piece, (size_t)(end - begin), err);
  }
  if (!status) status = sap__atomic_commit(&file, err);
  sap__atomic_abort(&file);
  sap__free(piece);
  return status;
}

/* Makes the folders of a path from byte `from` on. */
static sap_status make_folders(char *path, size_t from, sap_error *err) {
  for (char *slash = path + from; (slash = strchr(slash, '/')); slash++) {
    *slash = 0;
    int failed = mkdir(path, 0777) && errno != EEXIST, number = errno;
    sap_status status = failed ? sap__fail_system(err, path, number) : SAP_OK;
    *slash = '/';
    if (status) return status == SAP_ERROR_NOT_FOUND ? SAP_ERROR_IO : status;
  }
  return SAP_OK;
}

/* Where the external file goes; remembered in `copies` once it is written. */
static sap_status copy_one(const sap_checkpoint *checkpoint, const uint64_t *const *masks, uint32_t map,
                           const patch *patches, size_t count, const char *path, sap__onnx_copies *copies,
                           sap_error *err) {
  const sap__onnx_model *model = checkpoint->own;
  const char *location = model->locations[map - 1], *slash = strrchr(path, '/');
  size_t folder = slash ? (size_t)(slash - path) + 1 : 0, size = strlen(location) + 1;
  char *place = sap__alloc(folder + size, 1);
  if (!place) return sap__fail_memory(err, folder + size);
  memcpy(place, path, folder);
  memcpy(place + folder, location, size);
  struct stat info;
  sap_status status = SAP_OK;
  if (!strcmp(place, path))
    status = sap__fail(err, SAP_ERROR_ARGUMENT, "%s: the model's external data has this name, expected another",
                       sap__path_tail(path));
  else if (!lstat(place, &info))
    status = sap__fail(err, SAP_ERROR_EXISTS, "%s: exists already, expected a folder without the model's external data",
                       sap__path_tail(place));
  if (!status) status = make_folders(place, folder, err);
  if (!status) status = copy_file(checkpoint, masks, map, patches, count, place, err);
  if (status)
    sap__free(place);
  else
    copies->paths[copies->count++] = place;
  return status;
}

sap_status sap__onnx_copy_external(sap_checkpoint *checkpoint, const uint64_t *const *masks, const char *path,
                                   sap__onnx_copies *copies, sap_error *err) {
  size_t count = 0, next = 0;
  if (checkpoint->map_count < 2) return SAP_OK;
  patch *patches = sap__alloc(checkpoint->entry_count, sizeof *patches);
  copies->paths = sap__calloc(checkpoint->map_count, sizeof *copies->paths);
  sap_status status =
      patches && copies->paths ? SAP_OK : sap__fail_memory(err, checkpoint->entry_count * sizeof *patches);
  for (size_t i = 0; !status && masks && i < checkpoint->entry_count; i++) {
    const sap__entry *entry = &checkpoint->entries[i];
    if (masks[i] && entry->in_place && entry->map && entry->tensor.bytes)
      patches[count++] = (patch){entry->map, entry->offset, entry->offset + entry->tensor.bytes, i};
  }
  if (count) qsort(patches, count, sizeof *patches, by_place);
  for (uint32_t map = 1; map < checkpoint->map_count && !status; map++) {
    size_t first = next;
    while (next < count && patches[next].map == map) next++;
    status = copy_one(checkpoint, masks, map, patches + first, next - first, path, copies, err);
  }
  sap__free(patches);
  return status;
}

void sap__onnx_copies_end(sap__onnx_copies *copies, int remove) {
  for (size_t i = 0; i < copies->count; i++) {
    if (remove) (void)unlink(copies->paths[i]);
    sap__free(copies->paths[i]);
  }
  sap__free(copies->paths);
  *copies = (sap__onnx_copies){0};
}
