/* Writing a whole file so that its place holds either the old content or the new, never a part.
 *
 * The bytes go to a temporary file in the same folder, named ".sapwood-PID-N.tmp"; a commit flushes it to the
 * disk and renames it. What a killed process leaves behind is never in the way: N counts past it.
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

#include "sapwood/status.h"

typedef struct sap__atomic {
  int descriptor;        /* of the temporary file; -1: none */
  char *path;            /* the place; a symbolic link is followed, so that the link stays */
  char *temporary;       /* path of the temporary file */
  const char *requested; /* the caller's path, for error texts; borrowed until commit or abort */
} sap__atomic;

/* Creates the temporary file, with the mode of the file it is to replace. After a failure sap__atomic_abort
 * is allowed but not needed. Refuses a place that holds anything but a regular file.
 * Errors: SAP_ERROR_IO with the system's reason, SAP_ERROR_MEMORY. */
sap_status sap__atomic_open(sap__atomic *file, const char *path, sap_error *err) SAP_WARN_UNUSED;

/* Appends bytes, straight from the caller's memory. After an error only abort is allowed. */
sap_status sap__atomic_write(sap__atomic *file, const void *bytes, size_t size, sap_error *err) SAP_WARN_UNUSED;

/* Flushes, renames, flushes the folder. On an error the place is as before and the temporary file is gone. */
sap_status sap__atomic_commit(sap__atomic *file, sap_error *err) SAP_WARN_UNUSED;

/* Removes the temporary file. Nothing after a commit, or twice. */
void sap__atomic_abort(sap__atomic *file);

/* The three in one: writes `size` bytes as the whole file. */
sap_status sap__file_write(const char *path, const void *bytes, size_t size, sap_error *err) SAP_WARN_UNUSED;

#endif
