/* Opening and reading files, with the system's reasons as error texts. */
#ifndef SAP_IO_FILE_H
#define SAP_IO_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "sapwood/status.h"

/* The last 120 bytes of a path: what an error text has room for. Points into `path`. */
const char *sap__path_tail(const char *path);

/* "PATH: no such file or directory": the text of system error `number` (an errno). Code:
 * SAP_ERROR_NOT_FOUND where the path does not exist, SAP_ERROR_MEMORY for ENOMEM, else SAP_ERROR_IO. */
sap_status sap__fail_system(sap_error *err, const char *path, int number);

/* Opens a file, or a folder: then *is_folder is 1 and there is nothing to close. Pipes and devices are refused:
 * SAP_ERROR_IO. */
sap_status sap__file_open_any(const char *path, int *descriptor, uint64_t *size, int *is_folder,
                              sap_error *err) SAP_WARN_UNUSED;

/* Opens a regular file for reading; *descriptor is closed by the caller. *size: its length in bytes. Folders, pipes and
 * devices are refused: SAP_ERROR_IO. */
sap_status sap__file_open(const char *path, int *descriptor, uint64_t *size, sap_error *err) SAP_WARN_UNUSED;

/* Reads a whole regular file of at most `limit` bytes into a block freed with sap__free. A NUL follows
 * the *size bytes. Errors: SAP_ERROR_NOT_FOUND, SAP_ERROR_IO, SAP_ERROR_FORMAT (longer than `limit`),
 * SAP_ERROR_MEMORY. */
sap_status sap__file_read(const char *path, size_t limit, char **text, size_t *size, sap_error *err) SAP_WARN_UNUSED;

/* The same for a file that may grow meanwhile: what it holds when it is opened. */
sap_status sap__file_read_start(const char *path, size_t limit, char **text, size_t *size,
                                sap_error *err) SAP_WARN_UNUSED;

#endif
