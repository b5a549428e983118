/* Filling the caller's sap_error. */
#ifndef SAP_BASE_ERROR_H
#define SAP_BASE_ERROR_H

#include <stddef.h>

#include "sapwood/status.h"

/* Writes code and text into *err (NULL: nothing) and returns the code, so that a caller can
 * `return sap__fail(err, SAP_ERROR_IO, "%s: %s", path, strerror(errno))`. */
sap_status sap__fail(sap_error *err, sap_status code, const char *format, ...) SAP_PRINTF(3, 4);

/* Puts "prefix: " before the text already in *err; code unchanged. Returns err's code, or `code`. */
sap_status sap__fail_prefix(sap_error *err, sap_status code, const char *prefix);

/* The text for missing memory, with its size. */
sap_status sap__fail_memory(sap_error *err, size_t bytes);

#endif
