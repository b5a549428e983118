/* JSON from files that are not trusted. */
#ifndef SAP_IO_JSON_H
#define SAP_IO_JSON_H

#include <jansson.h>

#include "sapwood/status.h"

/* Reads the text, which must be an object in which no key comes twice; freed with json_decref. `name`, the file's,
 * and `what` ("header") are for error texts. Errors: SAP_ERROR_FORMAT, SAP_ERROR_MEMORY. */
sap_status sap__json_object(json_t **object, const char *text, size_t size, const char *name, const char *what,
                            sap_error *err) SAP_WARN_UNUSED;

#endif
