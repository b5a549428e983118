/* Writing the tensors of any checkpoint, or those of one of its files, as a safetensors file, some in sparse form.
 *
 * Sizes come first, for the header stands before the data; then each part is made when its turn comes, from the
 * tensor's data. So a tensor in sparse form is read three times, and nothing that grows with the data is kept but
 * twelve bytes for every 65,536 weights.
 */
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "io/file.h"
#include "io/format_safetensors.h"
#include "io/packed.h"
#include "io/safetensors.h"
#include "io/sparse_form.h"

/* Bytes that two entries in the header take beyond one, at the most: braces, types, lengths and offsets; and the note
 * in the metadata. A name may be escaped, six bytes for one. */
enum { HEADER_GROWTH = 320, ESCAPED = 6 };

typedef enum content { WHOLE, VALUES, INDEX } content;

/* What a tensor of the file is made of. */
typedef struct part {
  size_t entry;
  content content;
} part;

typedef struct conversion {
  sap_checkpoint *from;
  uint32_t map; /* the file whose entries are written; ALL_MAPS: those of every one */
  const uint64_t *const *masks;
  sap__sparse_form *forms; /* (entries) blocks NULL: dense */
  sap_tensor *tensors;     /* of the file; names of VALUES and INDEX are owned */
  part *parts;
  size_t count;
} conversion;

#define ALL_MAPS UINT32_MAX

/* The mask under which entry i is written, once it is loaded: the caller's, else that which it carries. */
static const uint64_t *mask_of(const conversion *c, size_t i) {
  return c->masks && c->masks[i] ? c->masks[i] : c->from->entries[i].mask;
}

/* Loads an entry for a step; *loaded: 1 if it was not, so that the step unloads it again. */
static sap_status borrow(const conversion *c, size_t i, int *loaded, sap_error *err) {
  *loaded = !c->from->entries[i].decoded;
  return sap_checkpoint_load(c->from, i, err);
}

static void give_back(const conversion *c, size_t i, int loaded) {
  if (loaded) sap__checkpoint_unload(c->from, &c->from->entries[i]);
}

/* ---- the plan ---- */

/* Measures an entry's sparse form, and takes it if the file becomes smaller by it, or if the entry has a mask that
 * prunes anything: the dense form has no place for that. */
static sap_status plan_form(conversion *c, size_t i, sap_error *err) {
  const sap__entry *entry = &c->from->entries[i];
  sap__sparse_form *form = &c->forms[i];
  if (!sap__sparse_possible(&entry->tensor)) return SAP_OK;
  int loaded;
  sap_status status = borrow(c, i, &loaded, err);
  const uint64_t *mask = mask_of(c, i);
  const uint64_t growth = HEADER_GROWTH + ESCAPED * strlen(entry->tensor.name);
  if (!status && (mask || entry->tensor.bytes > growth))
    status = sap__sparse_measure_form(&entry->tensor, mask, entry->in_place, form, err);
  give_back(c, i, loaded);
  const int masked = mask && form->kept < entry->tensor.count;
  if (!status && !masked && form->value_bytes + form->index_bytes + growth > entry->tensor.bytes) {
    sap__free(form->blocks);
    form->blocks = NULL;
  }
  return status;
}

static sap_status add_part(conversion *c, size_t i, content what, const sap_tensor *tensor, sap_error *err) {
  static const char *const suffixes[] = {[VALUES] = SAP__SPARSE_VALUES, [INDEX] = SAP__SPARSE_INDEX};
  sap_tensor *added = &c->tensors[c->count];
  c->parts[c->count] = (part){i, what};
  *added = *tensor;
  added->data = NULL;
  if (what != WHOLE) {
    const size_t length = strlen(tensor->name), tail = strlen(suffixes[what]) + 1;
    char *name = sap__alloc(length + tail, 1);
    if (!name) return sap__fail_memory(err, length + tail);
    memcpy(name, tensor->name, length);
    memcpy(name + length, suffixes[what], tail);
    added->name = name;
  }
  c->count++;
  return SAP_OK;
}

static sap_status add_parts(conversion *c, size_t i, sap_error *err) {
  const sap_tensor *tensor = &c->from->entries[i].tensor;
  const sap__sparse_form *form = &c->forms[i];
  if (!form->blocks) return add_part(c, i, WHOLE, tensor, err);
  const sap_tensor values = sap_tensor_vector(tensor->name, tensor->dtype, NULL, form->kept);
  const sap_tensor index = sap_tensor_vector(tensor->name, SAP_U8, NULL, form->index_bytes);
  sap_status status = add_part(c, i, VALUES, &values, err);
  return status ? status : add_part(c, i, INDEX, &index, err);
}

/* A name that a reader would take for a part of another tensor. */
static sap_status refuse_name(const conversion *c, size_t i, sap_error *err) {
  const char *name = c->from->entries[i].tensor.name;
  const size_t length = strlen(name);
  if (!sap__packed_stem(name, length, SAP__SPARSE_VALUES) && !sap__packed_stem(name, length, SAP__SPARSE_INDEX))
    return SAP_OK;
  return sap__fail_entry(err, SAP_ERROR_UNSUPPORTED, c->from, name, "a name that marks parts of sparse tensors");
}

static sap_status make_plan(conversion *c, sap_encoding encoding, sap_error *err) {
  const size_t entries = c->from->entry_count;
  c->forms = sap__calloc(entries, sizeof *c->forms);
  c->tensors = sap__calloc(2 * entries, sizeof *c->tensors);
  c->parts = sap__calloc(2 * entries, sizeof *c->parts);
  if (!c->forms || !c->tensors || !c->parts) return sap__fail_memory(err, 2 * entries * sizeof *c->tensors);
  sap_status status = SAP_OK;
  for (size_t i = 0; i < entries && !status; i++) {
    if (c->map != ALL_MAPS && c->map != c->from->entries[i].map) continue;
    status = refuse_name(c, i, err);
    if (!status && encoding == SAP_ENCODING_SPARSE) status = plan_form(c, i, err);
    if (!status) status = add_parts(c, i, err);
  }
  return status;
}

/* ---- the file ---- */

/* A loaded entry's part. */
static sap_status send_content(const conversion *c, const part *what, sap__sink *sink, void *user, sap_error *err) {
  const size_t i = what->entry;
  const sap__entry *entry = &c->from->entries[i];
  switch (what->content) {
    case VALUES: return sap__sparse_send_values(&entry->tensor, mask_of(c, i), entry->in_place, sink, user, err);
    case INDEX:
      return sap__sparse_send_index(&entry->tensor, mask_of(c, i), entry->in_place, &c->forms[i], sink, user, err);
    default: return sap__checkpoint_stream(c->from, i, c->masks ? c->masks[i] : NULL, sink, user, err);
  }
}

/* A sap__safetensors_source. */
static sap_status send_part(void *user, size_t i, sap__sink *sink, void *sink_user, sap_error *err) {
  const conversion *c = user;
  const part *what = &c->parts[i];
  int loaded;
  sap_status status = borrow(c, what->entry, &loaded, err);
  if (!status) status = send_content(c, what, sink, sink_user, err);
  give_back(c, what->entry, loaded);
  return status;
}

/* The pairs given, and a note if there are tensors in sparse form. Returns how many. */
static size_t list_metadata(const conversion *c, const sap_metadata *pairs, size_t pair_count, sap_metadata *list) {
  size_t count = 0;
  for (size_t i = 0; i < pair_count; i++)
    if (strcmp(pairs[i].key, SAP__SPARSE_KEY) != 0) list[count++] = pairs[i];
  for (size_t i = 0; i < c->count; i++) {
    if (c->parts[i].content != INDEX) continue;
    list[count++] = (sap_metadata){SAP__SPARSE_KEY, SAP__SPARSE_VERSION};
    break;
  }
  return count;
}

static void free_conversion(conversion *c) {
  for (size_t i = 0; i < c->count; i++)
    if (c->parts[i].content != WHOLE) sap__free((char *)(uintptr_t)c->tensors[i].name);
  for (size_t i = 0; i < c->from->entry_count && c->forms; i++) sap__free(c->forms[i].blocks);
  sap__free(c->forms);
  sap__free(c->tensors);
  sap__free(c->parts);
}

/* Plans and writes, and tells what was written. */
static sap_status write_all(conversion *c, sap_encoding encoding, const sap_metadata *pairs, size_t pair_count,
                            sap__atomic *file, sap__written *written, void *user, sap_error *err) {
  sap_metadata *metadata = sap__alloc(pair_count + 1, sizeof *metadata);
  sap_status status =
      metadata ? make_plan(c, encoding, err) : sap__fail_memory(err, (pair_count + 1) * sizeof *metadata);
  if (!status)
    status = sap__safetensors_stream(file, c->tensors, c->count, metadata,
                                     list_metadata(c, pairs, pair_count, metadata), send_part, c, err);
  for (size_t i = 0; i < c->count && written && !status; i++) status = written(user, &c->tensors[i], err);
  free_conversion(c);
  sap__free(metadata);
  return status;
}

sap_status sap__safetensors_convert(sap_checkpoint *from, const uint64_t *const *masks, sap_encoding encoding,
                                    const char *path, sap_error *err) {
  conversion c = {.from = from, .map = ALL_MAPS, .masks = masks};
  sap__atomic file;
  sap_status status = sap__atomic_open(&file, path, err);
  if (!status) status = write_all(&c, encoding, from->metadata, from->metadata_count, &file, NULL, NULL, err);
  if (!status) status = sap__atomic_commit(&file, err);
  sap__atomic_abort(&file);
  return status;
}

/* ---- a file again ---- */

int sap__safetensors_packed(const sap_checkpoint *checkpoint, uint32_t map, sap_encoding *encoding) {
  int packed = 0;
  *encoding = SAP_ENCODING_DENSE;
  for (size_t i = 0; i < checkpoint->entry_count; i++) {
    const sap__entry *entry = &checkpoint->entries[i];
    if (entry->map != map || !entry->part_count) continue;
    packed = 1;
    if (entry->load == sap__packed_load_sparse) *encoding = SAP_ENCODING_SPARSE;
  }
  return packed;
}

sap_status sap__safetensors_rewrite_map(sap_checkpoint *checkpoint, uint32_t map, sap_encoding encoding,
                                        const uint64_t *const *masks, sap__atomic *file, sap__written *written,
                                        void *user, sap_error *err) {
  conversion c = {.from = checkpoint, .map = map, .masks = masks};
  const sap__map *mapped = &checkpoint->maps[map];
  sap_safetensors *header; /* the checkpoint keeps the metadata of one file only */
  sap_status status = sap__safetensors_parse(mapped->bytes, (size_t)mapped->size, mapped->path,
                                             checkpoint->options.lenient, &header, err);
  if (status) return status;
  size_t count;
  const sap_metadata *pairs = sap_safetensors_metadata_all(header, &count);
  status = write_all(&c, encoding, pairs, count, file, written, user, err);
  sap_safetensors_close(header);
  return status;
}

sap_status sap__safetensors_rewrite(sap_checkpoint *checkpoint, const uint64_t *const *masks, const char *path,
                                    sap_error *err) {
  sap_encoding encoding;
  if (sap__safetensors_packed(checkpoint, 0, &encoding))
    return sap__safetensors_convert(checkpoint, masks, encoding, path, err);
  return sap__checkpoint_patch(checkpoint, masks, path, err);
}
