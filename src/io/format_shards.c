/* Sharded Hugging Face repositories as a checkpoint: NAME.safetensors.index.json says in which file of its folder each
 * tensor lies. Opened by the index or by the folder.
 *
 *   {"metadata": {"total_size": BYTES}, "weight_map": {TENSOR: FILE, …}}
 *
 * The index is not trusted: a file must lie in the folder itself, also when links are followed. The one way out is that
 * of the Hugging Face cache, whose folder …/snapshots/REVISION holds links into …/blobs. Written again, the
 * repository becomes a new folder: every file with masked weights zero, and the index as it was, but for files with
 * packed tensors, which are written anew.
 *
 * Map 0 is the index, map i + 1 file i.
 */
#define _XOPEN_SOURCE 700 /* realpath */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "io/atomic.h"
#include "io/file.h"
#include "io/format_safetensors.h"
#include "io/json.h"
#include "io/run_files.h"
#include "io/safetensors.h"

enum { PATH_ROOM = 4096 };

static const char index_ending[] = ".safetensors.index.json", file_ending[] = ".safetensors";

typedef struct shards {
  char *folder; /* of the index, with a '/' behind it; "" for the one where the program runs */
  char *name;   /* of the index in it */
  char **files; /* (count) names in the folder, sorted */
  size_t count;
  json_t *index;
} shards;

static int ends_in(const char *text, const char *ending) {
  const size_t length = strlen(text), tail = strlen(ending);
  return length > tail && !strcmp(text + length - tail, ending);
}

/* A folder, or an index: other JSON files are none of a checkpoint. */
static int probe(const char *path, const uint8_t *head, size_t count, int is_folder) {
  size_t at = 0;
  while (at < count && (head[at] == ' ' || head[at] == '\n' || head[at] == '\r' || head[at] == '\t')) at++;
  return is_folder || (at < count && head[at] == '{' && ends_in(path, ".index.json"));
}

/* ---- finding the index ---- */

/* `first` and `second` in one text; NULL without memory. */
static char *joined(const char *first, size_t length, const char *second) {
  const size_t room = length + strlen(second) + 1;
  char *text = sap__alloc(room, 1);
  if (text) snprintf(text, room, "%.*s%s", (int)length, first, second);
  return text;
}

/* A run directory is no checkpoint, but holds some. */
static sap_status fail_without_index(const sap_checkpoint *checkpoint, sap_error *err) {
  char weights[PATH_ROOM];
  int last = -1;
  const char *path = checkpoint->path;
  if (sap__run_find_iteration(path, &last, weights, sizeof weights, NULL))
    return sap__fail(err, SAP_ERROR_NOT_FOUND, "%s: a folder with 0 files *%s, expected one, or a file's name",
                     sap__path_tail(path), index_ending);
  return sap__fail(err, SAP_ERROR_NOT_FOUND, "%s: a run, expected a file; its last weights are %s",
                   sap__path_tail(path), sap__path_tail(weights));
}

/* The one index in the checkpoint's folder. */
static sap_status find_index(sap_checkpoint *checkpoint, shards *own, sap_error *err) {
  DIR *entries = opendir(checkpoint->path);
  if (!entries) return sap__fail_system(err, checkpoint->path, errno);
  size_t found = 0;
  int memory = 1;
  for (struct dirent *entry; memory && (entry = readdir(entries));) {
    if (!ends_in(entry->d_name, index_ending) || found++) continue;
    own->name = sap__strdup(entry->d_name);
    memory = own->name != NULL;
  }
  closedir(entries);
  if (!memory) return sap__fail_memory(err, strlen(checkpoint->path));
  if (found == 1) return SAP_OK;
  if (!found) return fail_without_index(checkpoint, err);
  return sap__fail(err, SAP_ERROR_UNSUPPORTED, "%s: a folder with %zu files *%s, expected one, or a file's name",
                   sap__path_tail(checkpoint->path), found, index_ending);
}

/* Splits the checkpoint's path into folder and name, or looks into the folder that it is. */
static sap_status find_places(sap_checkpoint *checkpoint, shards *own, sap_error *err) {
  const char *path = checkpoint->path;
  const size_t length = strlen(path), folder = sap__folder_length(path);
  if (checkpoint->map_count) {
    own->folder = joined(path, folder, "");
    own->name = sap__strdup(path + folder);
    return own->folder && own->name ? SAP_OK : sap__fail_memory(err, length + 1);
  }
  own->folder = joined(path, length, length && path[length - 1] == '/' ? "" : "/");
  return own->folder ? find_index(checkpoint, own, err) : sap__fail_memory(err, length + 2);
}

/* ---- reading the index ---- */

/* "INDEX: NAME: WHAT" as an error text. */
static sap_status fail_index(sap_error *err, sap_status code, const sap_checkpoint *checkpoint, const char *name,
                             const char *what) {
  return sap__fail(err, code, "%s: %.80s: %s", sap__path_tail(checkpoint->maps[0].path), name, what);
}

static int by_text(const void *left, const void *right) {
  return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* The names of files in the weight map, each once. */
static sap_status list_files(const sap_checkpoint *checkpoint, json_t *map, sap_error *err) {
  shards *own = checkpoint->own;
  const size_t most = json_object_size(map);
  const char **all = sap__calloc(most, sizeof *all);
  own->files = sap__calloc(most, sizeof *own->files);
  sap_status status = all && own->files ? SAP_OK : sap__fail_memory(err, most * sizeof *all);
  size_t count = 0;
  for (void *at = json_object_iter(map); at && !status; at = json_object_iter_next(map, at)) {
    const char *file = json_string_value(json_object_iter_value(at));
    if (!file)
      status =
          fail_index(err, SAP_ERROR_FORMAT, checkpoint, json_object_iter_key(at), "no name of a file, expected one");
    else if (strchr(file, '/'))
      status =
          fail_index(err, SAP_ERROR_FORMAT, checkpoint, file, "a way to a file, expected a name in the index's folder");
    else if (!ends_in(file, file_ending))
      status = fail_index(err, SAP_ERROR_UNSUPPORTED, checkpoint, file, "expected a file *.safetensors");
    else
      all[count++] = file;
  }
  if (count) qsort(all, count, sizeof *all, by_text);
  for (size_t i = 0; i < count && !status; i++) {
    if (i && !strcmp(all[i], all[i - 1])) continue;
    own->files[own->count] = sap__strdup(all[i]);
    if (own->files[own->count])
      own->count++;
    else
      status = sap__fail_memory(err, strlen(all[i]) + 1);
  }
  sap__free(all);
  return status;
}

static sap_status map_index(sap_checkpoint *checkpoint, const shards *own, sap_error *err) {
  char *path = joined(own->folder, strlen(own->folder), own->name);
  uint32_t number;
  sap_status status = path ? sap__checkpoint_add_map(checkpoint, path, &number, err) : sap__fail_memory(err, 1);
  sap__free(path);
  return status;
}

static sap_status read_index(sap_checkpoint *checkpoint, shards *own, json_t **weights, sap_error *err) {
  sap_status status = checkpoint->map_count ? SAP_OK : map_index(checkpoint, own, err);
  if (status) return status;
  const sap__map *map = &checkpoint->maps[0];
  if (map->size > SAP__HEADER_MAX)
    return sap__fail(err, SAP_ERROR_FORMAT, "%s: %llu bytes, expected at most %d", sap__path_tail(map->path),
                     (unsigned long long)map->size, SAP__HEADER_MAX);
  status = sap__json_object(&own->index, (const char *)map->bytes, (size_t)map->size, sap__path_tail(map->path),
                            "index", err);
  if (status) return status;
  *weights = json_object_get(own->index, "weight_map");
  return json_is_object(*weights) ? list_files(checkpoint, *weights, err)
                                  : fail_index(err, SAP_ERROR_FORMAT, checkpoint, "weight_map", "expected an object");
}

/* ---- opening the files ---- */

/* 1 if the file with the real path `file` may belong to the real folder. */
static int is_inside(const char *folder, const char *file) {
  static const char snapshots[] = "snapshots", blobs[] = "blobs/";
  const size_t length = strlen(folder), holder = sap__folder_length(file);
  if (holder == length + 1 && !strncmp(folder, file, length)) return 1;
  if (length == 1 && holder == 1) return 1; /* both in the root */
  /* BASE/snapshots/REVISION, with links to BASE/blobs/HASH */
  size_t parent = sap__folder_length(folder);
  if (parent < sizeof snapshots + 1) return 0;
  const size_t base = parent - sizeof snapshots;
  return folder[base - 1] == '/' && !strncmp(folder + base, snapshots, sizeof snapshots - 1) &&
         holder == base + sizeof blobs - 1 && !strncmp(folder, file, base) &&
         !strncmp(file + base, blobs, holder - base);
}

/* Follows the links of the file; it must be there, and in the folder. */
static sap_status check_place(const sap_checkpoint *checkpoint, const char *path, const char *file, sap_error *err) {
  const shards *own = checkpoint->own;
  char *folder = realpath(*own->folder ? own->folder : ".", NULL);
  char *real = folder ? realpath(path, NULL) : NULL;
  const int number = errno;
  sap_status status = SAP_OK;
  if (!real && number == ENOMEM)
    status = sap__fail_memory(err, strlen(path) + 1);
  else if (!real && number == ENOENT)
    status = fail_index(err, SAP_ERROR_NOT_FOUND, checkpoint, file, "no such file, expected it beside the index");
  else if (!real)
    status = sap__fail_system(err, path, number);
  else if (!is_inside(folder, real))
    status = fail_index(err, SAP_ERROR_FORMAT, checkpoint, file, "a link out of the index's folder");
  free(folder); /* both from the C library */
  free(real);
  return status;
}

/* Checks a tensor of a file against the index, where those met become `true`. */
static sap_status check_tensor(const sap_checkpoint *checkpoint, const char *name, json_t *weights, const char *file,
                               sap_error *err) {
  json_t *said = json_object_get(weights, name);
  if (!said && checkpoint->options.lenient) return SAP_OK;
  if (!said)
    return sap__fail_entry(err, SAP_ERROR_FORMAT, checkpoint, name, "in file %.80s, but not in the index", file);
  if (json_is_true(said))
    return sap__fail_entry(err, SAP_ERROR_FORMAT, checkpoint, name, "in file %.80s a second time", file);
  if (strcmp(json_string_value(said), file))
    return sap__fail_entry(err, SAP_ERROR_FORMAT, checkpoint, name, "in file %.60s, expected in %.60s", file,
                           json_string_value(said));
  return json_object_set_new(weights, name, json_true()) ? sap__fail_memory(err, strlen(name) + 1) : SAP_OK;
}

/* The tensors of one file, entries [first, …), packed ones by their parts. */
static sap_status check_tensors(const sap_checkpoint *checkpoint, size_t first, json_t *weights, const char *file,
                                sap_error *err) {
  sap_status status = SAP_OK;
  for (size_t i = first; i < checkpoint->entry_count && !status; i++) {
    const sap__entry *entry = &checkpoint->entries[i];
    if (!entry->part_count) status = check_tensor(checkpoint, entry->tensor.name, weights, file, err);
    for (size_t k = 0; k < entry->part_count && !status; k++)
      status = check_tensor(checkpoint, entry->parts[k], weights, file, err);
  }
  return status;
}

static sap_status add_file(sap_checkpoint *checkpoint, const shards *own, size_t i, json_t *weights, sap_error *err) {
  const char *file = own->files[i];
  const size_t first = checkpoint->entry_count;
  char *path = joined(own->folder, strlen(own->folder), file);
  if (!path) return sap__fail_memory(err, strlen(file) + 1);
  sap_status status = check_place(checkpoint, path, file, err);
  if (!status) status = sap__safetensors_add(checkpoint, path, i == 0, err);
  if (!status) status = check_tensors(checkpoint, first, weights, file, err);
  sap__free(path);
  return status;
}

/* What the index promises and the files do not hold. */
static sap_status check_whole(const sap_checkpoint *checkpoint, const shards *own, json_t *weights, sap_error *err) {
  for (void *at = json_object_iter(weights); at; at = json_object_iter_next(weights, at))
    if (!json_is_true(json_object_iter_value(at)))
      return sap__fail_entry(err, SAP_ERROR_FORMAT, checkpoint, json_object_iter_key(at), "not in file %.80s",
                             json_string_value(json_object_iter_value(at)));
  const json_t *total = json_object_get(json_object_get(own->index, "metadata"), "total_size");
  uint64_t bytes = 0;
  for (size_t i = 0; i < checkpoint->entry_count; i++)
    bytes += checkpoint->entries[i].part_count ? checkpoint->entries[i].stored : checkpoint->entries[i].tensor.bytes;
  if (!total || checkpoint->options.lenient || (json_is_number(total) && json_number_value(total) == (double)bytes))
    return SAP_OK;
  char expected[64];
  snprintf(expected, sizeof expected, "expected %llu, the bytes of all tensors", (unsigned long long)bytes);
  return fail_index(err, SAP_ERROR_FORMAT, checkpoint, "total_size", expected);
}

static sap_status open_shards(sap_checkpoint *checkpoint, sap_error *err) {
  shards *own = checkpoint->own = sap__calloc(1, sizeof *own);
  if (!own) return sap__fail_memory(err, sizeof *own);
  json_t *weights = NULL;
  sap_status status = find_places(checkpoint, own, err);
  if (!status) status = read_index(checkpoint, own, &weights, err);
  for (size_t i = 0; i < own->count && !status; i++) status = add_file(checkpoint, own, i, weights, err);
  if (!status) status = check_whole(checkpoint, own, weights, err);
  json_decref(own->index); /* the rest is in the entries, and for writing in map 0 */
  own->index = NULL;
  return status;
}

static void close_shards(sap_checkpoint *checkpoint) {
  shards *own = checkpoint->own;
  if (!own) return;
  for (size_t i = 0; i < own->count; i++) sap__free(own->files[i]);
  sap__free(own->files);
  sap__free(own->folder);
  sap__free(own->name);
  sap__free(own);
}

/* ---- writing ---- */

/* The index of what is written. */
typedef struct new_index {
  json_t *document; /* NULL: the old one, byte by byte */
  json_t *weights;  /* its weight map; borrowed */
  uint64_t bytes;   /* of all tensors so far */
  const char *file; /* that is being written */
} new_index;

static sap_status read_again(const sap_checkpoint *checkpoint, new_index *index, sap_error *err) {
  if (index->document) return SAP_OK;
  const sap__map *map = &checkpoint->maps[0];
  sap_status status = sap__json_object(&index->document, (const char *)map->bytes, (size_t)map->size,
                                       sap__path_tail(map->path), "index", err);
  if (!status) index->weights = json_object_get(index->document, "weight_map");
  return status;
}

/* A sap__written. */
static sap_status add_written(void *user, const sap_tensor *tensor, sap_error *err) {
  new_index *index = user;
  index->bytes += tensor->bytes;
  return json_object_set_new(index->weights, tensor->name, json_string(index->file))
             ? sap__fail_memory(err, strlen(tensor->name) + 1)
             : SAP_OK;
}

/* A file with packed tensors anew, and the names of its tensors instead of the old ones. */
static sap_status write_packed(sap_checkpoint *checkpoint, uint32_t map, sap_encoding encoding,
                               const uint64_t *const *masks, sap__atomic *file, new_index *index, sap_error *err) {
  sap_status status = read_again(checkpoint, index, err);
  if (status) return status;
  for (size_t i = 0; i < checkpoint->entry_count; i++) {
    const sap__entry *entry = &checkpoint->entries[i];
    for (size_t k = 0; k < entry->part_count && entry->map == map; k++)
      (void)json_object_del(index->weights, entry->parts[k]); /* a lenient reader may have missed it */
  }
  return sap__safetensors_rewrite_map(checkpoint, map, encoding, masks, file, add_written, index, err);
}

static sap_status write_file(sap_checkpoint *checkpoint, uint32_t map, const uint64_t *const *masks, sap__atomic *file,
                             new_index *index, sap_error *err) {
  sap_encoding encoding;
  if (sap__safetensors_packed(checkpoint, map, &encoding))
    return write_packed(checkpoint, map, encoding, masks, file, index, err);
  for (size_t i = 0; i < checkpoint->entry_count; i++)
    if (checkpoint->entries[i].map == map) index->bytes += checkpoint->entries[i].tensor.bytes;
  return sap__checkpoint_patch_map(checkpoint, map, masks, file, err);
}

/* A new one as Hugging Face's libraries write it. */
static sap_status write_index(const sap_checkpoint *checkpoint, const new_index *index, sap__atomic *file,
                              sap_error *err) {
  const sap__map *old = &checkpoint->maps[0];
  if (!index->document) return sap__atomic_write(file, old->bytes, (size_t)old->size, err);
  json_t *metadata = json_object_get(index->document, "metadata");
  if (json_object_get(metadata, "total_size") &&
      json_object_set_new(metadata, "total_size", json_integer((json_int_t)index->bytes)))
    return sap__fail_memory(err, sizeof index->bytes);
  char *text = json_dumps(index->document, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
  sap_status status =
      text ? sap__atomic_write(file, text, strlen(text), err) : sap__fail_memory(err, (size_t)old->size);
  free(text); /* from Jansson */
  return status ? status : sap__atomic_write(file, "\n", 1, err);
}

static sap_status rewrite(sap_checkpoint *checkpoint, const uint64_t *const *masks, const char *path, sap_error *err) {
  const shards *own = checkpoint->own;
  new_index index = {0};
  sap__folder folder;
  sap__atomic file = {.descriptor = -1};
  sap_status status = sap__folder_open(&folder, path, err);
  for (size_t i = 0; i <= own->count && !status; i++) {
    index.file = i < own->count ? own->files[i] : own->name;
    status = sap__folder_create(&folder, index.file, &file, err);
    if (!status)
      status = i < own->count ? write_file(checkpoint, (uint32_t)i + 1, masks, &file, &index, err)
                              : write_index(checkpoint, &index, &file, err);
    if (!status) status = sap__folder_keep(&folder, &file, err);
    sap__atomic_abort(&file);
  }
  if (!status) status = sap__folder_commit(&folder, err);
  sap__folder_abort(&folder);
  json_decref(index.document);
  return status;
}

const sap__format sap__format_shards = {
    .name = "safetensors shards", .probe = probe, .open = open_shards, .rewrite = rewrite, .close = close_shards};
