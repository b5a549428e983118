/* Checking many blocks' codes: as sap__sparse_check, but many at a time where the machine can. */
#ifndef SAP_IO_SPARSE_CHECK_H
#define SAP_IO_SPARSE_CHECK_H

#include <stddef.h>

#include "io/sparse_code.h"

typedef struct sap__sparse_job {
  sap__sparse_block block; /* has passed sap__sparse_record_read, and has a code */
  const uint8_t *code;
  uint32_t length, next; /* next: nothing of the caller's */
  size_t owner;          /* whatever the caller wants */
} sap__sparse_job;

/* Returns what is wrong with one of the jobs, and its owner; NULL if nothing is. On all threads. */
const char *sap__sparse_check_jobs(sap__sparse_job *jobs, size_t count, size_t *owner);

#endif
