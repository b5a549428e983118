/* safetensors as a checkpoint: one file whose tensors all lie in place. */
#include "io/format_safetensors.h"

#include <string.h>

#include "base/error.h"

/* Eight bytes of length, then the header's brace, which white space may precede. */
static int probe(const char *path, const uint8_t *head, size_t count, int is_folder) {
  (void)path;
  if (is_folder || count < 9) return 0;
  size_t at = 8;
  while (at < count && (head[at] == ' ' || head[at] == '\n' || head[at] == '\r' || head[at] == '\t')) at++;
  return (at == count || head[at] == '{') && head[7] == 0 && head[6] == 0 && head[5] == 0;
}

sap_status sap__safetensors_add(sap_checkpoint *checkpoint, const char *path, int with_metadata, sap_error *err) {
  uint32_t map;
  sap_status status = sap__checkpoint_add_map(checkpoint, path, &map, err);
  if (status) return status;
  const sap__map *mapped = &checkpoint->maps[map];
  sap_safetensors *file;
  status = sap__safetensors_parse(mapped->bytes, (size_t)mapped->size, path, checkpoint->options.lenient, &file, err);
  if (status) return status;
  for (size_t i = 0; i < sap_safetensors_count(file) && !status; i++) {
    const sap_tensor *tensor = sap_safetensors_at(file, i);
    sap__entry *entry;
    status = sap__checkpoint_add_entry(checkpoint, tensor->name, strlen(tensor->name), &entry, err);
    if (status) break;
    const char *name = entry->tensor.name;
    entry->tensor = *tensor;
    entry->tensor.name = name;
    entry->tensor.data = NULL;
    entry->in_place = 1;
    entry->map = map;
    entry->offset = (uint64_t)((const uint8_t *)tensor->data - mapped->bytes);
  }
  size_t count;
  const sap_metadata *pairs = sap_safetensors_metadata_all(file, &count);
  for (size_t i = 0; with_metadata && i < count && !status; i++)
    status = sap__checkpoint_add_metadata(checkpoint, pairs[i].key, pairs[i].value, err);
  sap_safetensors_close(file);
  return status;
}

static sap_status open_file(sap_checkpoint *checkpoint, sap_error *err) {
  return sap__safetensors_add(checkpoint, checkpoint->path, 1, err);
}

const sap__format sap__format_safetensors = {.name = "safetensors", .probe = probe, .open = open_file};
