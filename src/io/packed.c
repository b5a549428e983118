#include "io/packed.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "io/safetensors.h"
#include "io/sparse_form.h"
#include "sapwood/mask.h"

sap_status sap__packed_note(sap_checkpoint *checkpoint, sap__entry *entry, const sap_tensor *const *parts, size_t count,
                            sap_error *err) {
  entry->parts = sap__pieces_take(&checkpoint->pieces, count * sizeof *entry->parts);
  if (!entry->parts) return sap__fail_memory(err, count * sizeof *entry->parts);
  for (size_t i = 0; i < count; i++) {
    entry->parts[entry->part_count++] = parts[i]->name;
    entry->stored += parts[i]->bytes;
  }
  return SAP_OK;
}

/* ---- our own ---- */

sap_status sap__packed_load_sparse(sap_checkpoint *checkpoint, sap__entry *entry, sap_error *err) {
  const char *wrong = NULL;
  sap_status status = sap__checkpoint_decoded(checkpoint, entry, err);
  if (status) return status;
  const size_t words = sap_mask_words(entry->tensor.count);
  entry->mask = sap__alloc(words, sizeof *entry->mask);
  status = entry->mask ? sap__sparse_read(entry->source, &entry->tensor, entry->decoded, entry->mask, &wrong, err)
                       : sap__fail_memory(err, words * sizeof *entry->mask);
  if (wrong) status = sap__fail_entry(err, SAP_ERROR_FORMAT, checkpoint, entry->tensor.name, "%s", wrong);
  if (status) sap__checkpoint_unload(checkpoint, entry);
  return status;
}

const sap__sparse_view *sap__packed_view(const sap_checkpoint *checkpoint, size_t i) {
  const sap__entry *entry = &checkpoint->entries[i];
  return entry->load == sap__packed_load_sparse ? entry->source : NULL;
}

static sap_status add_sparse(const sap__packed_file *from, const sap_tensor *values, const sap_tensor *index,
                             size_t length, sap_error *err) {
  sap_checkpoint *checkpoint = from->checkpoint;
  const sap_tensor *const parts[] = {values, index};
  sap__entry *entry;
  sap_status status = sap__checkpoint_add_entry(checkpoint, values->name, length, &entry, err);
  if (!status) status = sap__packed_note(checkpoint, entry, parts, 2, err);
  if (status) return status;
  if (values->rank != 1 || index->rank != 1 || index->dtype != SAP_U8)
    return sap__fail_entry(err, SAP_ERROR_FORMAT, checkpoint, entry->tensor.name,
                           "values of rank %d and an index of rank %d and type %s, expected 1, 1 and U8", values->rank,
                           index->rank, sap_dtype_name(index->dtype));
  sap__sparse_view *view = sap__pieces_take(&checkpoint->pieces, sizeof *view);
  if (!view) return sap__fail_memory(err, sizeof *view);
  *view = (sap__sparse_view){values->data, index->data, values->count, index->bytes};
  entry->source = view;
  entry->tensor.dtype = values->dtype;
  entry->form = sap__form_sparse;
  entry->load = sap__packed_load_sparse;
  const char *wrong = sap__sparse_read_head(view, &entry->tensor);
  return wrong ? sap__fail_entry(err, SAP_ERROR_FORMAT, checkpoint, entry->tensor.name, "%s", wrong) : SAP_OK;
}

sap_status sap__packed_sparse(const sap__packed_file *from, const sap_tensor *part, int *taken, sap_error *err) {
  const size_t length = strlen(part->name), values = sap__packed_stem(part->name, length, SAP__SPARSE_VALUES);
  const size_t index = sap__packed_stem(part->name, length, SAP__SPARSE_INDEX);
  *taken = values || index;
  if (!*taken) return SAP_OK;
  const char *suffix = values ? SAP__SPARSE_INDEX : SAP__SPARSE_VALUES;
  const sap_tensor *other = sap__safetensors_find_joined(from->file, part->name, values + index, suffix);
  if (!other)
    return sap__fail_entry(err, SAP_ERROR_FORMAT, from->checkpoint, part->name, "there is no tensor with %s instead",
                           suffix);
  return values ? add_sparse(from, part, other, values, err) : SAP_OK;
}
