/* The files of a run directory, for those that write one and those that only read it. */
#ifndef SAP_IO_RUN_FILES_H
#define SAP_IO_RUN_FILES_H

#include <stddef.h>

#include "sapwood/status.h"

/* "<run>/<name>" into text[size]. */
void sap__run_file(const char *run, const char *name, char *text, size_t size);

/* "<run>/iteration-NN.safetensors", or with another ending, into text[size]. */
void sap__run_iteration(const char *run, int iteration, const char *ending, char *text, size_t size);

/* The weights of an iteration that is finished, or with *iteration = -1 of the last that is, into text[size].
 * SAP_ERROR_NOT_FOUND. */
sap_status sap__run_find_iteration(const char *run, int *iteration, char *text, size_t size,
                                   sap_error *err) SAP_WARN_UNUSED;

#endif
