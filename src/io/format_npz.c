/* NPZ as a checkpoint: a zip archive of .npy members, which numpy.savez stores and numpy.savez_compressed deflates.
 *
 * Stored members lie in place. Written again, a file keeps every byte but the masked weights and the checksums; only
 * where the weights of a deflated member change is it laid out anew, with those members stored.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "io/file.h"
#include "io/npy.h"
#include "io/zip.h"

/* What an entry is decoded from, one an entry. */
typedef struct source {
  uint32_t member;
  sap__view view; /* its offset is counted from the start of the member's content */
} source;

typedef struct npz {
  sap__zip zip;
  source *sources;
} npz;

static int is_zip(const uint8_t *head, size_t count) {
  return count >= 4 && (!memcmp(head, "PK\3\4", 4) || !memcmp(head, "PK\5\6", 4));
}

/* Any zip file that the formats before this one in the table do not claim. */
static int probe(const char *path, const uint8_t *head, size_t count, int is_folder) {
  (void)path;
  return !is_folder && is_zip(head, count);
}

/* ---- opening ---- */

/* Reads the header of a member into the entry. `head` has room for SAP__NPY_HEAD_MAX bytes. */
static sap_status read_header(sap_checkpoint *checkpoint, const sap__zip_member *member, uint8_t *head,
                              sap__entry *entry, source *from, sap_error *err) {
  const npz *own = checkpoint->own;
  const sap__map *map = own->zip.map;
  int stored = member->method == SAP__ZIP_STORED;
  size_t size = member->size < SAP__NPY_HEAD_MAX ? (size_t)member->size : SAP__NPY_HEAD_MAX;
  const uint8_t *bytes = stored ? map->bytes + member->data : head;
  sap_status code = SAP_OK;
  if (!stored) {
    sap__zip_stream stream;
    code = sap__zip_stream_open(&stream, &own->zip, member, err);
    if (!code) code = sap__zip_stream_read(&stream, head, size, err);
    sap__zip_stream_close(&stream);
  }
  if (!code) code = sap__npy_parse(bytes, size, member->size, checkpoint, &entry->tensor, &from->view, err);
  if (code) return code;
  entry->in_place = stored && !from->view.swapped && sap__view_contiguous(&from->view, &entry->tensor);
  entry->offset = member->data + from->view.offset;
  entry->form = stored ? sap__form_dense : sap__form_deflated;
  entry->stored = member->packed;
  return SAP_OK;
}

static sap_status add_member(sap_checkpoint *checkpoint, size_t i, uint8_t *head, sap_error *err) {
  npz *own = checkpoint->own;
  const sap__zip_member *member = &own->zip.members[i];
  size_t length = member->name_length - strlen(".npy"), at = checkpoint->entry_count;
  sap__entry *entry;
  sap_status code = sap__checkpoint_add_entry(checkpoint, member->name, length, &entry, err);
  if (code) return code;
  if (memchr(member->name, 0, length) || !sap__utf8_valid(entry->tensor.name))
    return sap__fail_entry(err, SAP_ERROR_FORMAT, checkpoint, entry->tensor.name, "the name is not UTF-8");
  own->sources[at].member = (uint32_t)i;
  return read_header(checkpoint, member, head, entry, &own->sources[at], err);
}

static sap_status open_file(sap_checkpoint *checkpoint, sap_error *err) {
  npz *own = checkpoint->own = sap__calloc(1, sizeof *own);
  if (!own) return sap__fail_memory(err, sizeof *own);
  sap_status code = sap__zip_open(&own->zip, &checkpoint->maps[0], checkpoint->path, checkpoint->options.lenient, err);
  if (code) return code;
  own->sources = sap__calloc(own->zip.count, sizeof *own->sources);
  uint8_t *head = sap__alloc(SAP__NPY_HEAD_MAX, 1);
  if (!own->sources || !head) code = sap__fail_memory(err, own->zip.count * sizeof *own->sources);
  for (size_t i = 0; !code && i < own->zip.count; i++)
    if (sap__zip_ends(&own->zip.members[i], ".npy")) code = add_member(checkpoint, i, head, err);
  sap__free(head);
  if (!code && own->zip.count && !checkpoint->entry_count)
    code = sap__fail(err, SAP_ERROR_UNSUPPORTED, "%s: a zip file without .npy members, expected arrays of NumPy",
                     sap__path_tail(checkpoint->path));
  return code;
}

/* ---- loading ---- */

/* The content of a deflated member behind its header. */
static sap_status inflate_data(const sap_checkpoint *checkpoint, const source *from, void *data, uint64_t size,
                               sap_error *err) {
  const npz *own = checkpoint->own;
  const sap__zip_member *member = &own->zip.members[from->member];
  sap__zip_stream stream;
  uint8_t *head = sap__alloc((size_t)from->view.offset, 1);
  if (!head) return sap__fail_memory(err, (size_t)from->view.offset);
  sap_status code = sap__zip_stream_open(&stream, &own->zip, member, err);
  if (!code) code = sap__zip_stream_read(&stream, head, (size_t)from->view.offset, err);
  if (!code) code = sap__zip_stream_read(&stream, data, (size_t)size, err);
  sap__zip_stream_close(&stream);
  sap__free(head);
  return code;
}

static sap_status load(sap_checkpoint *checkpoint, sap__entry *entry, sap_error *err) {
  const npz *own = checkpoint->own;
  const source *from = &own->sources[entry - checkpoint->entries];
  const sap__zip_member *member = &own->zip.members[from->member];
  sap_tensor *tensor = &entry->tensor;
  sap_status code = sap__checkpoint_decoded(checkpoint, entry, err);
  if (code) return code;
  sap__view view = from->view;
  if (member->method == SAP__ZIP_STORED) {
    sap__view_gather(&view, tensor, own->zip.map->bytes + member->data, entry->decoded);
    return SAP_OK;
  }
  int rows = !view.swapped && sap__view_contiguous(&view, tensor);
  uint8_t *data = rows ? entry->decoded : sap__alloc((size_t)tensor->bytes, 1);
  if (data)
    code = inflate_data(checkpoint, from, data, tensor->bytes, err);
  else
    code = sap__fail_memory(err, (size_t)tensor->bytes);
  if (!rows && !code) {
    view.offset = 0;
    sap__view_gather(&view, tensor, data, entry->decoded);
  }
  if (!rows) sap__free(data);
  if (!code) return SAP_OK;
  sap__checkpoint_unload(checkpoint, entry); /* a tensor that is not whole is asked for again */
  return code;
}

/* ---- writing ---- */

/* The masked entry of each member, and what it takes to send it. */
typedef struct rewriting {
  sap_checkpoint *checkpoint;
  const uint64_t *const *masks;
  uint32_t *entry_of; /* (members) */
} rewriting;

static sap_status send_member(void *user, size_t i, sap__sink *sink, void *sink_user, sap_error *err) {
  const rewriting *r = user;
  const npz *own = r->checkpoint->own;
  const sap__zip_member *member = &own->zip.members[i];
  size_t at = r->entry_of[i];
  sap__view view = own->sources[at].view;
  sap__masked masked = {&view, &r->checkpoint->entries[at].tensor, r->masks[at]};
  if (member->method == SAP__ZIP_STORED) {
    view.offset += member->data;
    return sap__masked_send(&masked, 1, own->zip.map->bytes, member->data, member->data + member->size, 1, sink,
                            sink_user, err);
  }
  if ((double)member->size > r->checkpoint->options.max_expand * (double)own->zip.map->size)
    return sap__fail_entry(err, SAP_ERROR_FORMAT, r->checkpoint, masked.tensor->name,
                           "decoded it has %llu bytes, expected at most %g times the file's",
                           (unsigned long long)member->size, r->checkpoint->options.max_expand);
  sap__zip_stream stream;
  uint8_t *content = sap__alloc((size_t)member->size, 1);
  if (!content) return sap__fail_memory(err, (size_t)member->size);
  sap_status code = sap__zip_stream_open(&stream, &own->zip, member, err);
  if (!code) code = sap__zip_stream_read(&stream, content, (size_t)member->size, err);
  sap__zip_stream_close(&stream);
  if (!code) code = sap__masked_send(&masked, 1, content, 0, member->size, 0, sink, sink_user, err);
  sap__free(content);
  return code;
}

static sap_status rewrite(sap_checkpoint *checkpoint, const uint64_t *const *masks, const char *path, sap_error *err) {
  const npz *own = checkpoint->own;
  uint8_t *changed = sap__calloc(own->zip.count, 1);
  rewriting r = {checkpoint, masks, sap__calloc(own->zip.count, sizeof *r.entry_of)};
  sap_status code = changed && r.entry_of ? SAP_OK : sap__fail_memory(err, own->zip.count * sizeof *r.entry_of);
  for (size_t i = 0; !code && masks && i < checkpoint->entry_count; i++) {
    size_t member = own->sources[i].member;
    changed[member] = masks[i] != NULL;
    r.entry_of[member] = (uint32_t)i;
  }
  if (!code) code = sap__zip_rewrite(&own->zip, changed, send_member, &r, path, err);
  sap__free(changed);
  sap__free(r.entry_of);
  return code;
}

static sap_status write_entry(sap__zip_writer *writer, sap_checkpoint *from, size_t i, const uint64_t *mask,
                              sap_error *err) {
  const sap_tensor *tensor = &from->entries[i].tensor;
  char header[512];
  size_t header_size = sap__npy_header(tensor, header), length = strlen(tensor->name);
  if (!header_size)
    return sap__fail_entry(err, SAP_ERROR_UNSUPPORTED, from, tensor->name,
                           "NumPy has no type %s; write to a .safetensors file", sap_dtype_name(tensor->dtype));
  char *name = sap__alloc(length + sizeof ".npy", 1);
  if (!name) return sap__fail_memory(err, length + sizeof ".npy");
  memcpy(name, tensor->name, length);
  memcpy(name + length, ".npy", sizeof ".npy");
  length += strlen(".npy");
  sap_status code = sap__zip_writer_begin(writer, name, length, err);
  if (!code) code = sap__zip_writer_write(writer, header, header_size, err);
  if (!code) code = sap__checkpoint_stream(from, i, mask, sap__zip_writer_write, writer, err);
  if (!code) code = sap__zip_writer_end(writer, name, length, err);
  sap__free(name);
  return code;
}

static sap_status convert(sap_checkpoint *from, const uint64_t *const *masks, sap_encoding encoding, const char *path,
                          sap_error *err) {
  (void)encoding; /* there is one */
  sap__zip_writer writer;
  sap_status code = sap__zip_writer_open(&writer, path, err);
  for (size_t i = 0; !code && i < from->entry_count; i++) {
    const int loaded = from->entries[i].decoded != NULL;
    code = write_entry(&writer, from, i, masks ? masks[i] : NULL, err);
    if (!loaded) sap__checkpoint_unload(from, &from->entries[i]);
  }
  if (!code) code = sap__zip_writer_commit(&writer, err);
  sap__zip_writer_abort(&writer);
  return code;
}

static void close_file(sap_checkpoint *checkpoint) {
  npz *own = checkpoint->own;
  if (!own) return;
  sap__zip_close(&own->zip);
  sap__free(own->sources);
  sap__free(own);
}

const sap__format sap__format_npz = {.name = "npz",
                                     .probe = probe,
                                     .open = open_file,
                                     .load = load,
                                     .rewrite = rewrite,
                                     .convert = convert,
                                     .suffix = ".npz",
                                     .close = close_file};
