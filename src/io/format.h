/* What a format is to the rest: a way to open, to load a tensor, and to write. One file a format, one line
 * in the table of checkpoint.c.
 */
#ifndef SAP_IO_FORMAT_H
#define SAP_IO_FORMAT_H

#include "base/by_name.h"
#include "base/memory.h"
#include "io/atomic.h"
#include "sapwood/checkpoint.h"

/* A mapped file. */
typedef struct sap__map {
  char *path;
  const uint8_t *bytes; /* NULL for an empty file */
  uint64_t size;
} sap__map;

/* Maps a regular file read-only; `name` (kept as a copy) is for error texts. */
sap_status sap__map_open(const char *path, sap__map *map, sap_error *err) SAP_WARN_UNUSED;
/* The same, but for a folder, which is not mapped: *is_folder becomes 1. */
sap_status sap__map_open_any(const char *path, sap__map *map, int *is_folder, sap_error *err) SAP_WARN_UNUSED;
void sap__map_close(sap__map *map);

/* Appends the bytes [from, to) of the mapping to a file, and gives their pages back. */
sap_status sap__map_copy(const sap__map *map, uint64_t from, uint64_t to, sap__atomic *file,
                         sap_error *err) SAP_WARN_UNUSED;

/* Where a tensor's bytes are. `in_place`: they lie in a mapped file as tensor.data wants them, and may be
 * written back at the same place. */
extern const char sap__form_dense[], sap__form_sparse[], sap__form_deflated[];

typedef struct sap__entry sap__entry;
struct sap__entry {
  sap_tensor tensor; /* name among the checkpoint's pieces; data NULL until loaded */
  int in_place;
  uint32_t map;       /* in_place, or packed: which of the checkpoint's maps */
  uint64_t offset;    /* in_place: first byte in that map */
  void *decoded;      /* else: from base/memory.h once loaded; freed by checkpoint.c */
  uint64_t *mask;     /* of a sparse layout, set at load or at open; freed by checkpoint.c */
  const void *source; /* the format's own record of where to decode from, among the pieces or its own */
  const char **parts; /* packed: the names of the file's tensors that it is made of, among the checkpoint's pieces */
  size_t part_count;  /* 0: it is one tensor of the file */
  const char *form;   /* how it is stored: one of the sap__form_…; NULL: dense */
  uint64_t stored;    /* bytes that it takes in the file; 0: those of the tensor */
  /* Decodes an entry that is not in place: sets decoded (and mask). NULL: the format's load. */
  sap_status (*load)(sap_checkpoint *checkpoint, sap__entry *entry, sap_error *err);
};

typedef struct sap__format sap__format;

/* What every format shares. Opening fills it; checkpoint.c frees it, after format->close. */
struct sap_checkpoint {
  const sap__format *format;
  char *path;
  sap_checkpoint_options options;
  sap__map *maps; /* the first is the file itself; none yet when a folder is opened */
  size_t map_count;
  sap__entry *entries;
  size_t entry_count, entry_room;
  sap__by_name names;     /* of the entries; made by checkpoint.c */
  sap_metadata *metadata; /* keys and values among the pieces */
  size_t metadata_count;
  sap__pieces pieces;
  uint64_t decoded_bytes; /* so far, held against options.max_expand */
  void *own;              /* the format's */
};

struct sap__format {
  const char *name;
  /* 1 if this looks like the format: the first `count` (at most 64) bytes of a file, or count 0 and
   * is_folder. Content first, `path`'s ending where content cannot tell. */
  int (*probe)(const char *path, const uint8_t *head, size_t count, int is_folder);
  /* Fills entries, metadata, and maps but for the file's own. On an error what it took so far stays in *checkpoint and
   * is freed by the caller. */
  sap_status (*open)(sap_checkpoint *checkpoint, sap_error *err);
  /* Decodes an entry that is not in place: sets decoded (and mask). NULL: all entries are in place. */
  sap_status (*load)(sap_checkpoint *checkpoint, sap__entry *entry, sap_error *err);
  /* Writes the whole again with masked weights zero. NULL: the generic writer, which copies the one mapped
   * file and patches the entries that are in place. */
  sap_status (*rewrite)(sap_checkpoint *checkpoint, const uint64_t *const *masks, const char *path, sap_error *err);
  /* Writes tensors of any checkpoint anew, dense or (if there is a sparse form) sparse. NULL: not a format to convert
   * to. */
  sap_status (*convert)(sap_checkpoint *from, const uint64_t *const *masks, sap_encoding encoding, const char *path,
                        sap_error *err);
  const char *suffix;                        /* of paths to convert to, ".npz" */
  int sparse;                                /* 1: convert knows a sparse form */
  void (*close)(sap_checkpoint *checkpoint); /* frees checkpoint->own; NULL: nothing to free */
};

/* As sap_checkpoint_open() with the defaults, but of a folder only says that it is one: *is_folder becomes 1. */
sap_status sap__checkpoint_open_file(const char *path, sap_checkpoint **out, int *is_folder,
                                     sap_error *err) SAP_WARN_UNUSED;

/* For formats: there will be so many more entries, about. */
sap_status sap__checkpoint_expect(sap_checkpoint *checkpoint, size_t more, sap_error *err);

/* For formats: appends a map, an entry (zeroed but for its name, a copy of length bytes), a metadata pair. */
sap_status sap__checkpoint_add_map(sap_checkpoint *checkpoint, const char *path, uint32_t *map, sap_error *err);
sap_status sap__checkpoint_add_entry(sap_checkpoint *checkpoint, const char *name, size_t length, sap__entry **entry,
                                     sap_error *err);
sap_status sap__checkpoint_add_metadata(sap_checkpoint *checkpoint, const char *key, const char *value, sap_error *err);

/* The same of a name, and of a key and a value, that are among the checkpoint's pieces. */
sap_status sap__checkpoint_take_entry(sap_checkpoint *checkpoint, const char *name, sap__entry **entry, sap_error *err);
sap_status sap__checkpoint_take_metadata(sap_checkpoint *checkpoint, const sap_metadata *pair, sap_error *err);
/* For formats: memory for a decoded tensor, counted against max_expand. SAP_ERROR_FORMAT beyond it. */
sap_status sap__checkpoint_decoded(sap_checkpoint *checkpoint, sap__entry *entry, sap_error *err);

/* For formats and writers: frees what was decoded of an entry, so that it is decoded again when it is next needed. */
void sap__checkpoint_unload(sap_checkpoint *checkpoint, sap__entry *entry);

/* For writers: gives tensor i other values than the file has: a block of base/memory.h of the tensor's bytes, which the
 * checkpoint then owns. */
void sap__checkpoint_replace(sap_checkpoint *checkpoint, size_t i, void *data);

/* "FILE: TENSOR: " … as an error text, with the tail of the path. */
sap_status sap__fail_entry(sap_error *err, sap_status code, const sap_checkpoint *checkpoint, const char *tensor,
                           const char *format, ...) SAP_PRINTF(5, 6);

/* The generic writer: copies the one mapped file and writes zeros over masked weights, all of them in place. */
sap_status sap__checkpoint_patch(sap_checkpoint *checkpoint, const uint64_t *const *masks, const char *path,
                                 sap_error *err);

/* The same of one mapped file, and the tensors that lie in it, into an open file. */
sap_status sap__checkpoint_patch_map(sap_checkpoint *checkpoint, uint32_t map, const uint64_t *const *masks,
                                     sap__atomic *file, sap_error *err);

/* For writers: visits elements of tensor i in pieces of at most 1 MiB, masked weights zeroed: calls
 * sink(user, bytes, size). Loads the entry if needed. */
typedef sap_status sap__sink(void *user, const void *bytes, size_t size, sap_error *err);
sap_status sap__checkpoint_stream(sap_checkpoint *checkpoint, size_t i, const uint64_t *mask, sap__sink *sink,
                                  void *user, sap_error *err);

/* SAP_ERROR_ARGUMENT if `path` is one of the files the checkpoint reads from (same device and inode). */
sap_status sap__checkpoint_refuse_input(const sap_checkpoint *checkpoint, const char *path, sap_error *err);

#endif
