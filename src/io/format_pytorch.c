/* PyTorch's .pt and .pth files as checkpoints: zip archives in which torch.save (1.6 and newer) puts a pickle,
 * NAME/data.pkl, and each storage as a stored member, NAME/data/KEY.
 *
 * The pickle must be a state dict of tensors, which nested dicts and lists may hold ("state_dict.fc.weight"); plain
 * values beside the tensors are passed over, everything else is refused (io/pickle.h). Written again, a file keeps
 * every byte, so also its alignment, but for the masked weights and the checksums. Tensors may share a storage: there a
 * weight is written as zero if the mask of any of them has it pruned.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "io/file.h"
#include "io/pytorch.h"

static int ends(const char *path, const char *suffix) {
  size_t length = strlen(path), tail = strlen(suffix);
  return length >= tail && !strcmp(path + length - tail, suffix);
}

static int named(const char *path) { return ends(path, ".pt") || ends(path, ".pth") || ends(path, ".ckpt"); }

/* The first member tells, or else the path: torch.save writes the pickle first, NumPy only arrays. */
static int probe(const char *path, const uint8_t *head, size_t count, int is_folder) {
  static const uint8_t legacy[] = {0x80, 2, 0x8a, 10, 0x6c, 0xfc}; /* the magic number, pickled */
  if (is_folder) return 0;
  if (count >= 6 && !memcmp(head, legacy, sizeof legacy)) return 1;
  if (count < 30 || memcmp(head, "PK\3\4", 4)) return named(path);
  size_t length = head[26] | (size_t)head[27] << 8;
  if (length > count - 30) return named(path);
  const char *name = (const char *)head + 30;
  if (length >= 9 && !memcmp(name + length - 9, "/data.pkl", 9)) return 1;
  return named(path) && !(length >= 4 && !memcmp(name + length - 4, ".npy", 4));
}

/* ---- opening ---- */

/* The one member NAME/data.pkl. */
static sap_status find_pickle(sap__pytorch *own, const sap_checkpoint *checkpoint, const sap__zip_member **found,
                              sap_error *err) {
  const char *name = sap__path_tail(checkpoint->path);
  *found = NULL;
  for (size_t i = 0; i < own->zip.count; i++) {
    const sap__zip_member *member = &own->zip.members[i];
    if (!sap__zip_ends(member, "/data.pkl")) continue;
    if (*found) return sap__fail(err, SAP_ERROR_FORMAT, "%s: two members data.pkl, expected one", name);
    *found = member;
  }
  if (!*found)
    return sap__fail(err, SAP_ERROR_UNSUPPORTED, "%s: a zip file without data.pkl, expected one of torch.save", name);
  own->prefix = (*found)->name;
  own->prefix_length = (*found)->name_length - strlen("data.pkl");
  if (sap__pytorch_member(own, "constants.pkl", strlen("constants.pkl")))
    return sap__fail(err, SAP_ERROR_UNSUPPORTED, "%s: a TorchScript program, expected a state dict of tensors", name);
  if ((*found)->method != SAP__ZIP_STORED)
    return sap__fail(err, SAP_ERROR_UNSUPPORTED, "%s: data.pkl is compressed, expected it stored as torch.save does",
                     name);
  return sap__zip_verify(&own->zip, *found, err);
}

static sap_status read_byte_order(sap__pytorch *own, const sap_checkpoint *checkpoint, sap_error *err) {
  const sap__zip_member *member = sap__pytorch_member(own, "byteorder", strlen("byteorder"));
  if (!member) return SAP_OK; /* of before 2.0 */
  const uint8_t *bytes = own->zip.map->bytes + member->data;
  own->swapped = member->size == 3 && !memcmp(bytes, "big", 3);
  if (own->swapped || (member->size == 6 && !memcmp(bytes, "little", 6))) return SAP_OK;
  return sap__fail(err, SAP_ERROR_FORMAT, "%s: byteorder of %llu bytes, expected little or big",
                   sap__path_tail(checkpoint->path), (unsigned long long)member->size);
}

static sap_status open_file(sap_checkpoint *checkpoint, sap_error *err) {
  sap__pickle pickle;
  const sap__zip_member *member;
  sap__pytorch *own = checkpoint->own = sap__calloc(1, sizeof *own);
  if (!own) return sap__fail_memory(err, sizeof *own);
  const sap__map *mapped = &checkpoint->maps[0];
  if (mapped->size < 2 || memcmp(mapped->bytes, "PK", 2))
    return sap__fail(err, SAP_ERROR_UNSUPPORTED,
                     "%s: not a zip file; what torch.save wrote before version 1.6 must be saved again by a newer one",
                     sap__path_tail(checkpoint->path));
  sap_status code = sap__zip_open(&own->zip, mapped, checkpoint->path, checkpoint->options.lenient, err);
  if (!code) code = find_pickle(own, checkpoint, &member, err);
  if (!code) code = read_byte_order(own, checkpoint, err);
  if (!code)
    code = sap__pickle_read(&pickle, mapped->bytes + member->data, (size_t)member->size, checkpoint->path, err);
  if (code) return code;
  code = sap__pytorch_walk(checkpoint, &pickle, member->size, err);
  sap__pickle_free(&pickle);
  return code;
}

static sap_status load(sap_checkpoint *checkpoint, sap__entry *entry, sap_error *err) {
  const sap__pytorch *own = checkpoint->own;
  sap_status code = sap__checkpoint_decoded(checkpoint, entry, err);
  if (!code)
    sap__view_gather(&own->sources[entry - checkpoint->entries].view, &entry->tensor, own->zip.map->bytes,
                     entry->decoded);
  return code;
}

static void close_file(sap_checkpoint *checkpoint) {
  sap__pytorch *own = checkpoint->own;
  if (!own) return;
  sap__zip_close(&own->zip);
  sap__free(own->sources);
  sap__free(own);
}

/* ---- writing ---- */

/* The masked views, in the order of their members. */
typedef struct rewriting {
  const sap__pytorch *own;
  sap__masked *masked;
  size_t *starts; /* (members + 1) of each member's views in `masked` */
} rewriting;

static sap_status send_member(void *user, size_t i, sap__sink *sink, void *sink_user, sap_error *err) {
  const rewriting *r = user;
  const sap__zip_member *member = &r->own->zip.members[i];
  return sap__masked_send(r->masked + r->starts[i], r->starts[i + 1] - r->starts[i], r->own->zip.map->bytes,
                          member->data, member->data + member->size, 1, sink, sink_user, err);
}

/* Sorts the masked entries by their members, of which it marks the changed ones. */
static void group(rewriting *r, const sap_checkpoint *checkpoint, const uint64_t *const *masks, uint8_t *changed) {
  const sap__pytorch *own = r->own;
  for (size_t i = 0; i < checkpoint->entry_count; i++)
    if (masks[i] && checkpoint->entries[i].tensor.count) r->starts[own->sources[i].member + 1]++;
  size_t members = own->zip.count;
  for (size_t i = 0; i < members; i++) {
    changed[i] = r->starts[i + 1] != 0;
    r->starts[i + 1] += r->starts[i];
  }
  size_t total = r->starts[members];
  for (size_t i = checkpoint->entry_count; i-- > 0;) { /* backwards: each member's views are filled from their end */
    const sap__entry *entry = &checkpoint->entries[i];
    if (!masks[i] || !entry->tensor.count) continue;
    r->masked[--r->starts[own->sources[i].member + 1]] = (sap__masked){&own->sources[i].view, &entry->tensor, masks[i]};
  }
  /* Now starts[i + 1] is where the views of member i begin. */
  memmove(r->starts, r->starts + 1, members * sizeof *r->starts);
  r->starts[members] = total;
}

static sap_status rewrite(sap_checkpoint *checkpoint, const uint64_t *const *masks, const char *path, sap_error *err) {
  const sap__pytorch *own = checkpoint->own;
  size_t members = own->zip.count;
  uint8_t *changed = sap__calloc(members, 1);
  rewriting r = {own, sap__calloc(checkpoint->entry_count, sizeof *r.masked),
                 sap__calloc(members + 1, sizeof *r.starts)};
  sap_status code = SAP_OK;
  if (!changed || !r.masked || !r.starts)
    code = sap__fail_memory(err, members);
  else if (masks)
    group(&r, checkpoint, masks, changed);
  if (!code) code = sap__zip_rewrite(&own->zip, changed, send_member, &r, path, err);
  sap__free(changed);
  sap__free(r.masked);
  sap__free(r.starts);
  return code;
}

const sap__format sap__format_pytorch = {
    .name = "pytorch", .probe = probe, .open = open_file, .load = load, .rewrite = rewrite, .close = close_file};
