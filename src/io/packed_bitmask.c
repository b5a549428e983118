/* Packed tensors of the compressed-tensors library up to its version 0.14: formats sparse-bitmask and
 * sparse-24-bitmask.
 *
 *   STEM.compressed   the kept values, row-major: one axis, or (rows, columns / 2) for the pattern 2:4
 *   STEM.bitmask      U8, a bit an element, each row of the last axis filled up to whole bytes, the lowest bit first
 *   STEM.shape        I64, one number an axis
 *   STEM.row_offsets  where each row's values begin; follows from the mask and is not read
 *
 * The tensor is STEM.weight; in files of the first versions STEM itself. Recognised by the names, never by what a
 * config.json says. Source: compressed_tensors/compressors/sparse_compressors/ of that library.
 */
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "io/packed.h"
#include "io/safetensors.h"
#include "sapwood/mask.h"
#include "tensor/pack.h"

enum { COMPRESSED, BITMASK, SHAPE, ROW_OFFSETS, PARTS };
static const char *const suffixes[PARTS] = {".compressed", ".bitmask", ".shape", ".row_offsets"};
static const char weight[] = ".weight";

typedef struct record {
  const uint8_t *values, *bits;
  uint64_t kept;
  uint64_t rows, row_bytes; /* of the bits */
} record;

/* ---- loading ---- */

/* Appends `count` bits of a row; 0 if one behind them is set. The mask behind `at` is 0. */
static int append_row(const uint8_t *bits, uint64_t count, uint64_t *mask, uint64_t at) {
  if (count % 8 && bits[count / 8] >> count % 8) return 0;
  for (uint64_t done = 0; done < count; done += 8, at += 8) {
    const uint64_t byte = bits[done / 8];
    mask[at / 64] |= byte << at % 64;
    if (at % 64 > 56 && byte >> (64 - at % 64)) mask[at / 64 + 1] |= byte >> (64 - at % 64);
  }
  return 1;
}

static const char *decode(const record *from, const sap_tensor *tensor, uint64_t *mask, void *data) {
  const uint64_t columns = tensor->count ? tensor->count / from->rows : 0;
  memset(mask, 0, sap_mask_words(tensor->count) * sizeof *mask);
  for (uint64_t row = 0; row < from->rows && columns; row++)
    if (!append_row(from->bits + row * from->row_bytes, columns, mask, row * columns))
      return "a bit past the last column is 1, expected 0";
  if (sap_mask_count(mask, tensor->count) != from->kept)
    return "the bitmask keeps another number than there are values";
  (void)sap__unpack(from->values, sap_dtype_bits(tensor->dtype) / 8, mask, tensor->count, data);
  return NULL;
}

static sap_status load(sap_checkpoint *checkpoint, sap__entry *entry, sap_error *err) {
  sap_status status = sap__checkpoint_decoded(checkpoint, entry, err);
  if (status) return status;
  const size_t words = sap_mask_words(entry->tensor.count);
  const char *wrong = NULL;
  entry->mask = sap__alloc(words, sizeof *entry->mask);
  if (entry->mask)
    wrong = decode(entry->source, &entry->tensor, entry->mask, entry->decoded);
  else
    status = sap__fail_memory(err, words * sizeof *entry->mask);
  if (wrong) status = sap__fail_entry(err, SAP_ERROR_FORMAT, checkpoint, entry->tensor.name, "%s", wrong);
  if (status) sap__checkpoint_unload(checkpoint, entry);
  return status;
}

/* ---- opening ---- */

/* Rank and lengths from the tensor of the shape; NULL, or what is wrong. */
static const char *read_shape(const sap_tensor *shape, sap_tensor *tensor) {
  if (shape->dtype != SAP_I64 || !(shape->rank == 1 || (shape->rank == 2 && shape->shape[1] == 1)))
    return "its shape is not a list of I64";
  if (shape->count < 1 || shape->count > SAP_TENSOR_MAX_RANK) return "its shape has not 1 to 8 axes";
  tensor->rank = (int)shape->count;
  for (int axis = 0; axis < tensor->rank; axis++) {
    int64_t length;
    memcpy(&length, (const uint8_t *)shape->data + 8 * axis, sizeof length);
    if (length < 0) return "its shape has a length below 0";
    tensor->shape[axis] = (uint64_t)length;
  }
  return sap__tensor_size(tensor, &tensor->count, &tensor->bytes) ? "its shape's size overflows" : NULL;
}

/* A bitmask as the shape asks for, so that the mask bounds what is decoded. */
static const char *check_bitmask(const sap_tensor *bitmask, const sap_tensor *tensor, record *to) {
  const int last = tensor->rank - 1;
  int same = bitmask->dtype == SAP_U8 && bitmask->rank == tensor->rank;
  to->rows = 1;
  for (int axis = 0; axis < last && same; axis++) {
    same = bitmask->shape[axis] == tensor->shape[axis];
    to->rows *= tensor->shape[axis];
  }
  to->row_bytes = tensor->shape[last] / 8 + (tensor->shape[last] % 8 != 0);
  return same && bitmask->shape[last] == to->row_bytes ? NULL
                                                       : "its bitmask has not a bit an element, in rows of bytes";
}

static const char *check_values(const sap_tensor *values, const sap_tensor *tensor) {
  if (sap_dtype_bits(values->dtype) % 8) return "values of less than a byte";
  if (values->rank == 1) return NULL;
  const int pairs = values->rank == 2 && tensor->rank == 2 && tensor->count % 4 == 0 &&
                    values->shape[0] == tensor->shape[0] && values->shape[1] == tensor->shape[1] / 2;
  return pairs ? NULL : "its values are neither a list nor half as wide as the tensor";
}

static sap_status set_entry(const sap__packed_file *from, const sap_tensor *const *parts, sap__entry *entry,
                            sap_error *err) {
  const size_t count = parts[ROW_OFFSETS] ? PARTS : ROW_OFFSETS;
  sap_status status = sap__packed_note(from->checkpoint, entry, parts, count, err);
  if (status) return status;
  record *to = sap__pieces_take(&from->checkpoint->pieces, sizeof *to);
  if (!to) return sap__fail_memory(err, sizeof *to);
  const sap_tensor *values = parts[COMPRESSED], *bitmask = parts[BITMASK];
  *to = (record){.values = values->data, .bits = bitmask->data, .kept = values->count};
  entry->source = to;
  entry->tensor.dtype = values->dtype;
  entry->form = sap__form_sparse;
  entry->load = load;
  const char *wrong = read_shape(parts[SHAPE], &entry->tensor);
  if (!wrong) wrong = check_bitmask(bitmask, &entry->tensor, to);
  if (!wrong) wrong = check_values(values, &entry->tensor);
  return wrong ? sap__fail_entry(err, SAP_ERROR_FORMAT, from->checkpoint, entry->tensor.name, "%s", wrong) : SAP_OK;
}

static sap_status add(const sap__packed_file *from, const char *name, size_t stem, const sap_tensor *const *parts,
                      sap_error *err) {
  const int whole_name = from->whole_names && parts[COMPRESSED]->rank == 1; /* the other format came later */
  const size_t tail = whole_name ? 0 : sizeof weight - 1;
  sap__entry *entry;
  char *whole = sap__alloc(stem + sizeof weight, 1);
  if (!whole) return sap__fail_memory(err, stem + sizeof weight);
  memcpy(whole, name, stem);
  memcpy(whole + stem, weight, tail);
  sap_status status = sap__checkpoint_add_entry(from->checkpoint, whole, stem + tail, &entry, err);
  sap__free(whole);
  return status ? status : set_entry(from, parts, entry, err);
}

sap_status sap__packed_bitmask(const sap__packed_file *from, const sap_tensor *part, int *taken, sap_error *err) {
  size_t stem = 0;
  int which = 0;
  const size_t length = strlen(part->name);
  while (which < PARTS && !(stem = sap__packed_stem(part->name, length, suffixes[which]))) which++;
  *taken = 0;
  if (which == PARTS) return SAP_OK;
  const sap_tensor *parts[PARTS] = {NULL};
  for (int i = 0; i < PARTS; i++) parts[i] = sap__safetensors_find_joined(from->file, part->name, stem, suffixes[i]);
  *taken = parts[COMPRESSED] && parts[BITMASK] && parts[SHAPE]; /* else tensors that happen to be named so */
  return *taken && which == COMPRESSED ? add(from, part->name, stem, parts, err) : SAP_OK;
}

int sap__packed_whole_names(const sap_safetensors *file) {
  for (size_t i = 0; i < sap_safetensors_count(file); i++) {
    const char *name = sap_safetensors_at(file, i)->name;
    if (sap__packed_stem(name, strlen(name), ".weight.compressed")) return 1;
  }
  return 0;
}
