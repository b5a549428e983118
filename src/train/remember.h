/* Where the choices of plans are kept: in the run directory, so that a run repeats and resumes to the same bytes, and
 * for the next run in a file of this machine, "$XDG_CACHE_HOME/sapwood/plan-MACHINE.json" (~/.cache without the
 * variable), which is only a shortcut: a file that is missing, broken or cannot be written is passed over.
 */
#ifndef SAP_TRAIN_REMEMBER_H
#define SAP_TRAIN_REMEMBER_H

#include "engine/engine.h"

typedef struct sap__remember {
  sap__choices *choices; /* NULL: the engine makes none for this network */
  char machine[256];
  size_t known; /* choices that were read */
} sap__remember;

/* Reads what this machine's file has, or for a run that goes on, `path`, its own file. */
sap_status sap__remember_open(sap__remember *remember, const sap__engine *engine, const sap__graph *graph,
                              const char *path, sap_error *err);

/* 1 if planning added a choice. */
int sap__remember_grew(const sap__remember *remember);

/* After planning: adds what was new to the machine's file, and writes all to `path` unless it is NULL. */
sap_status sap__remember_save(sap__remember *remember, const char *path, sap_error *err);

void sap__remember_close(sap__remember *remember);

#endif
