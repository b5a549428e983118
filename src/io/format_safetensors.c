/* safetensors as a checkpoint: one file whose tensors lie in place, but for packed ones. A folder with a
 * model.safetensors and no index, the usual repository of one file, is that file.
 */
#include "io/format_safetensors.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "io/packed.h"
#include "io/safetensors.h"

static const char model[] = "model.safetensors", index_suffix[] = ".index.json";

/* "FOLDER/model.safetensors" and the suffix, to be freed; NULL without memory. */
static char *model_path(const char *folder, const char *suffix) {
  const size_t room = strlen(folder) + 1 + sizeof model + strlen(suffix);
  char *path = sap__alloc(room, 1);
  if (path) snprintf(path, room, "%s/%s%s", folder, model, suffix);
  return path;
}

static int is_model_folder(const char *folder) {
  char *file = model_path(folder, ""), *index = model_path(folder, index_suffix);
  const int found = file && index && !access(file, F_OK) && access(index, F_OK);
  sap__free(file);
  sap__free(index);
  return found;
}

/* Eight bytes of length, then the header's brace, which white space may precede. */
static int probe(const char *path, const uint8_t *head, size_t count, int is_folder) {
  if (is_folder) return is_model_folder(path);
  if (count < 9) return 0;
  size_t at = 8;
  while (at < count && (head[at] == ' ' || head[at] == '\n' || head[at] == '\r' || head[at] == '\t')) at++;
  return (at == count || head[at] == '{') && head[7] == 0 && head[6] == 0 && head[5] == 0;
}

static sap_status add_dense(sap_checkpoint *checkpoint, uint32_t map, const sap_tensor *tensor, sap_error *err) {
  sap__entry *entry;
  sap_status status = sap__checkpoint_take_entry(checkpoint, tensor->name, &entry, err);
  if (status) return status;
  entry->tensor = *tensor;
  entry->tensor.data = NULL;
  entry->in_place = 1;
  entry->offset = (uint64_t)((const uint8_t *)tensor->data - checkpoint->maps[map].bytes);
  return SAP_OK;
}

/* Tensors as they are, and those that are packed in several as the one they hold. */
static sap_status add_tensors(sap_checkpoint *checkpoint, uint32_t map, const sap_safetensors *file, sap_error *err) {
  static sap__packed_kind *const kinds[] = {sap__packed_sparse, sap__packed_bitmask};
  const sap__packed_file from = {checkpoint, file, sap__packed_whole_names(file)};
  sap_status status = sap__checkpoint_expect(checkpoint, sap_safetensors_count(file), err);
  for (size_t i = 0; i < sap_safetensors_count(file) && !status; i++) {
    const sap_tensor *tensor = sap_safetensors_at(file, i);
    int taken = 0;
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0] && !taken && !status; k++)
      status = kinds[k](&from, tensor, &taken, err);
    if (!taken && !status) status = add_dense(checkpoint, map, tensor, err);
  }
  return status;
}

static sap_status add_file(sap_checkpoint *checkpoint, uint32_t map, int with_metadata, sap_error *err) {
  const sap__map *mapped = &checkpoint->maps[map];
  sap_safetensors *file;
  sap_status status = sap__safetensors_parse(mapped->bytes, (size_t)mapped->size, mapped->path,
                                             checkpoint->options.lenient, &file, err);
  if (status) return status;
  sap__safetensors_move_pieces(file, &checkpoint->pieces);
  const size_t first = checkpoint->entry_count;
  status = add_tensors(checkpoint, map, file, err);
  for (size_t i = first; i < checkpoint->entry_count; i++) checkpoint->entries[i].map = map;
  size_t count;
  const sap_metadata *pairs = sap_safetensors_metadata_all(file, &count);
  for (size_t i = 0; with_metadata && i < count && !status; i++)
    if (strcmp(pairs[i].key, SAP__SPARSE_KEY) != 0) /* says how the file is written, not what it holds */
      status = sap__checkpoint_take_metadata(checkpoint, &pairs[i], err);
  sap_safetensors_close(file);
  return status;
}

sap_status sap__safetensors_add(sap_checkpoint *checkpoint, const char *path, int with_metadata, sap_error *err) {
  uint32_t map;
  sap_status status = sap__checkpoint_add_map(checkpoint, path, &map, err);
  return status ? status : add_file(checkpoint, map, with_metadata, err);
}

static sap_status open_file(sap_checkpoint *checkpoint, sap_error *err) {
  if (checkpoint->map_count) return add_file(checkpoint, 0, 1, err);
  char *path = model_path(checkpoint->path, "");
  sap_status status =
      path ? sap__safetensors_add(checkpoint, path, 1, err) : sap__fail_memory(err, strlen(checkpoint->path));
  sap__free(path);
  return status;
}

const sap__format sap__format_safetensors = {.name = "safetensors",
                                             .probe = probe,
                                             .open = open_file,
                                             .rewrite = sap__safetensors_rewrite,
                                             .convert = sap__safetensors_convert,
                                             .suffix = ".safetensors",
                                             .sparse = 1};
