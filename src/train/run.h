/* The run directory: config.json, metrics.jsonl, weights and the state to resume from.
 *
 * Order on disk: metrics.jsonl is flushed before the state that counts its bytes is renamed into place, so
 * a killed run resumes by cutting metrics.jsonl to that count. One process at a time holds a run: the
 * directory itself is locked.
 */
#ifndef SAP_TRAIN_RUN_H
#define SAP_TRAIN_RUN_H

#include "io/run_files.h"
#include "sapwood/experiment.h"
#include "train/arena.h"

typedef struct sap__run {
  char *path;
  int directory, metrics;      /* descriptors; -1: none */
  int created, made_directory; /* by this process: what sap__run_discard removes */
  uint64_t metrics_size;       /* bytes of metrics.jsonl that count */
} sap__run;

/* Makes the directory with config.json and an empty metrics.jsonl. SAP_ERROR_EXISTS if it is not empty. */
sap_status sap__run_create(sap__run *run, const char *path, const sap_experiment *experiment, sap_error *err);

/* Opens an existing run of the same settings, with metrics_size as the file has it. SAP_ERROR_NOT_FOUND,
 * SAP_ERROR_MISMATCH. */
sap_status sap__run_resume(sap__run *run, const char *path, const sap_experiment *experiment, sap_error *err);

/* Removes what sap__run_create made and nothing else. */
void sap__run_discard(sap__run *run);

void sap__run_close(sap__run *run);

/* Appends a whole line; takes it over (free). NULL counts as missing memory. On an error (a full disk)
 * the file is cut to what it was. */
sap_status sap__run_append(sap__run *run, char *line, sap_error *err);

/* Flushes metrics.jsonl to the disk. */
sap_status sap__run_flush(sap__run *run, sap_error *err);

/* Cuts metrics.jsonl to `size` bytes. SAP_ERROR_FORMAT if it is shorter. */
sap_status sap__run_cut(sap__run *run, uint64_t size, sap_error *err);

#endif
