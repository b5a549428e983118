/* Writing a whole file so that its place holds either the old content or the new, never a part.
 *
 * The bytes go to a file without a name in the same folder; a commit flushes it to the disk and gives it its name. What
 * a killed process wrote is gone with it. Where the file system has no such files, and for the moment in which a new
 * file takes the place of an old one, it is named ".sapwood-PID-N.tmp" and renamed. What a killed process leaves of
 * these is never in the way: N counts past it.
 *
 *   sap__atomic file;
 *   code = sap__atomic_open(&file, path, err);
 *   if (!code) code = sap__atomic_write(&file, bytes, size, err);
 *   if (!code) code = sap__atomic_commit(&file, err);
 *   sap__atomic_abort(&file);
 */
#ifndef SAP_IO_ATOMIC_H
#define SAP_IO_ATOMIC_H

#include <stddef.h>
#include <stdint.h>

#include "sapwood/status.h"

/* Part of an unfinished output that has a name on the disk: what is to be removed if the process ends now. */
typedef struct sap__unfinished {
  const char *path; /* of a file or a folder; NULL: none */
  struct sap__unfinished *next;
} sap__unfinished;

typedef struct sap__atomic {
  int descriptor;        /* of the temporary file; -1: none */
  char *path;            /* the place; a symbolic link is followed, so that the link stays */
  char *temporary;       /* path of the temporary file, or room for one */
  int unnamed;           /* 1: it has no name yet */
  const char *requested; /* the caller's path, for error texts; borrowed until commit or abort */
  uint64_t written;      /* bytes so far: where the next ones go */
  sap__unfinished unfinished;
} sap__atomic;

/* 1: files are named from the start, as on file systems that have none without a name. For tests. */
extern int sap__atomic_always_named;

/* Creates the temporary file, with the mode of the file it is to replace. After a failure sap__atomic_abort
 * is allowed but not needed. Refuses a place that holds anything but a regular file.
 * Errors: SAP_ERROR_IO with the system's reason, SAP_ERROR_MEMORY. */
sap_status sap__atomic_open(sap__atomic *file, const char *path, sap_error *err) SAP_WARN_UNUSED;

/* Appends bytes, straight from the caller's memory. After an error only abort is allowed. */
sap_status sap__atomic_write(sap__atomic *file, const void *bytes, size_t size, sap_error *err) SAP_WARN_UNUSED;

/* Writes bytes at a place of the file, behind or before its end; from any thread, none of which moves file->written.
 * Who has written all up to a new end adds to that. */
sap_status sap__atomic_write_at(const sap__atomic *file, uint64_t offset, const void *bytes, size_t size,
                                sap_error *err) SAP_WARN_UNUSED;

/* Flushes, puts the file in its place, flushes the folder. On an error the place is as before and the temporary file is
 * gone. */
sap_status sap__atomic_commit(sap__atomic *file, sap_error *err) SAP_WARN_UNUSED;

/* Removes the temporary file. Nothing after a commit, or twice. */
void sap__atomic_abort(sap__atomic *file);

/* The three in one: writes `size` bytes as the whole file. */
sap_status sap__file_write(const char *path, const void *bytes, size_t size, sap_error *err) SAP_WARN_UNUSED;

/* ---- a folder of files ---- */

/* A new folder. Its files are kept without names until all are whole; then a folder is made beside the place under a
 * temporary name, they are linked into it, and it is renamed. So a killed process leaves nothing, unless it is killed
 * in that last moment, or the file system has no files without a name, or they are too many to be held open: the
 * folder is then made earlier. What is left of it is removed by the next one that writes a folder beside it on this
 * machine: its name has that of the machine, and it is locked as long as its process lives.
 *
 *   sap__folder folder;
 *   sap__atomic file;
 *   code = sap__folder_open(&folder, path, err);
 *   if (!code) code = sap__folder_create(&folder, "name", &file, err);
 *   … as for any file, but at its end …
 *   if (!code) code = sap__folder_keep(&folder, &file, err);
 *   sap__atomic_abort(&file);
 *   … then the next one …
 *   if (!code) code = sap__folder_commit(&folder, err);
 *   sap__folder_abort(&folder);
 */
typedef struct sap__folder {
  char *path;             /* the place, as in sap__atomic */
  char *temporary;        /* path of the temporary folder, or room for one */
  int descriptor;         /* of the temporary folder, which is locked; -1: it is not made yet */
  const char *name;       /* of the file being written, in the folder; borrowed */
  char *shown;            /* its path in the place, for error texts */
  struct sap__kept *kept; /* (kept_count) whole files without a name */
  size_t kept_count;
  const char *requested;
  sap__unfinished unfinished;
} sap__folder;

/* The place must hold nothing, or an empty folder: SAP_ERROR_EXISTS. Else as sap__atomic_open. */
sap_status sap__folder_open(sap__folder *folder, const char *path, sap_error *err) SAP_WARN_UNUSED;

/* sap__atomic_open for a file of the folder, to be kept or aborted before the next one. `name` is borrowed until the
 * folder's end. */
sap_status sap__folder_create(sap__folder *folder, const char *name, sap__atomic *file, sap_error *err) SAP_WARN_UNUSED;

/* The file is whole: flushes it. */
sap_status sap__folder_keep(sap__folder *folder, sap__atomic *file, sap_error *err) SAP_WARN_UNUSED;

/* As their namesakes. An abort removes the files, too. */
sap_status sap__folder_commit(sap__folder *folder, sap_error *err) SAP_WARN_UNUSED;
void sap__folder_abort(sap__folder *folder);

/* Removes a folder of files. */
void sap__folder_remove(const char *path);

/* ---- what files and folders share ---- */

enum { SAP__TEMPORARY_ROOM = 128 }; /* bytes that a temporary name may take */

/* Bytes of the path up to and with the last '/'; 0 without one. */
size_t sap__folder_length(const char *path);

/* The path of the folder that holds `path`, "." without one; `room` has room for it. */
void sap__folder_text(const char *path, char *room);

/* The place behind a symbolic link: renaming over the link itself would leave the real one stale. A copy of `path` if
 * nothing is there; NULL without memory. */
char *sap__place_resolve(const char *path);

/* Finds a temporary name ".sapwood-MARK…" beside `path` for which make() does not fail with EEXIST, and returns what
 * that returned, -1 with errno on an error. `temporary` has room for `path` and SAP__TEMPORARY_ROOM bytes; `descriptor`
 * is make's. */
int sap__temporary_make(const char *path, const char *mark, char *temporary,
                        int (*make)(const char *temporary, int descriptor), int descriptor);

/* A file without a name on the file system that holds `path`; -1 where there is no such thing, whatever the reason.
 * `room` has room for the path's folder. */
int sap__unnamed_make(const char *path, char *room);

/* Gives such a file its name, in the folder that is open as `directory`, or AT_FDCWD. 0 or -1 with errno. */
int sap__unnamed_link(int descriptor, int directory, const char *name);

/* After a rename: flushes the folder that holds `path`, which is cut to the folder's own. */
void sap__folder_flush(char *path);

/* Every step that names, renames or removes a part of an output is between these two. sap_outputs_discard takes the
 * lock for good: from then on no output becomes whole, and nothing new is named. */
void sap__unfinished_lock(void);
void sap__unfinished_unlock(void);

/* With the lock: from now on there is, or is no longer, something to remove at `path`, which is borrowed. To remove
 * what was not added does nothing. */
void sap__unfinished_add(sap__unfinished *part, const char *path);
void sap__unfinished_remove(sap__unfinished *part);

#endif
