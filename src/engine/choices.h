/* What planning found to be the fastest of several ways to compute a thing, so that it need not be tried again, and
 * the same plan comes out again: another way rounds in another way.
 *
 * A choice is a line of text under a key, which says what is computed on what; both are the engine's own. Safe to use
 * by one thread at a time.
 */
#ifndef SAP_ENGINE_CHOICES_H
#define SAP_ENGINE_CHOICES_H

#include <stddef.h>

#include "sapwood/status.h"

typedef struct sap__choices sap__choices;

/* NULL without memory. */
sap__choices *sap__choices_new(void);
void sap__choices_free(sap__choices *choices);

/* The choice for a key; NULL if there is none. Lives until the next addition. */
const char *sap__choices_find(const sap__choices *choices, const char *key);

/* Adds or replaces a choice. */
sap_status sap__choices_add(sap__choices *choices, const char *key, const char *choice, sap_error *err);

/* The i-th choice in the order of addition; 0 if there are fewer. */
int sap__choices_at(const sap__choices *choices, size_t i, const char **key, const char **choice);

/* How many there are. */
size_t sap__choices_count(const sap__choices *choices);

/* Adds the choices of a file's text, of which `name` is for error texts, if it was written on the same machine.
 * SAP_ERROR_FORMAT, SAP_ERROR_MEMORY. */
sap_status sap__choices_parse(sap__choices *choices, const char *name, const char *text, size_t size,
                              const char *machine, sap_error *err);

/* Adds the choices of a file that was written on the same machine; of another's it takes none.
 * SAP_ERROR_NOT_FOUND, SAP_ERROR_IO, SAP_ERROR_FORMAT, SAP_ERROR_MEMORY. */
sap_status sap__choices_read(sap__choices *choices, const char *path, const char *machine, sap_error *err);

/* Writes all choices as a file, beside its place and renamed. */
sap_status sap__choices_write(const sap__choices *choices, const char *path, const char *machine, sap_error *err);

/* The choices of all programs on this machine, in "$XDG_CACHE_HOME/sapwood/PREFIX-MACHINE.json" (~/.cache without the
 * variable): a shortcut that may be missing, broken or unwritable, which is passed over. */

/* Adds what is there. SAP_ERROR_MEMORY. */
sap_status sap__choices_recall(sap__choices *choices, const char *prefix, const char *machine, sap_error *err);

/* Adds these to what is there. */
void sap__choices_keep(const sap__choices *choices, const char *prefix, const char *machine);

#endif
