#include "engine/choices.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"

typedef struct entry {
  char *key, *choice;
} entry;

struct sap__choices {
  entry *entries;
  size_t count;
};

sap__choices *sap__choices_new(void) { return sap__calloc(1, sizeof(sap__choices)); }

void sap__choices_free(sap__choices *choices) {
  if (!choices) return;
  for (size_t i = 0; i < choices->count; i++) {
    sap__free(choices->entries[i].key);
    sap__free(choices->entries[i].choice);
  }
  sap__free(choices->entries);
  sap__free(choices);
}

static entry *find(const sap__choices *choices, const char *key) {
  for (size_t i = 0; i < choices->count; i++)
    if (!strcmp(choices->entries[i].key, key)) return &choices->entries[i];
  return NULL;
}

const char *sap__choices_find(const sap__choices *choices, const char *key) {
  const entry *found = find(choices, key);
  return found ? found->choice : NULL;
}

sap_status sap__choices_add(sap__choices *choices, const char *key, const char *choice, sap_error *err) {
  char *text = sap__strdup(choice);
  entry *old = find(choices, key);
  if (old && text) {
    sap__free(old->choice);
    old->choice = text;
    return SAP_OK;
  }
  char *name = sap__strdup(key);
  if (!text || !name || !sap__grow(&choices->entries, choices->count, sizeof *choices->entries)) {
    sap__free(text);
    sap__free(name);
    return sap__fail(err, SAP_ERROR_MEMORY, "no memory for the choices of a plan");
  }
  choices->entries[choices->count++] = (entry){name, text};
  return SAP_OK;
}

int sap__choices_at(const sap__choices *choices, size_t i, const char **key, const char **choice) {
  if (i >= choices->count) return 0;
  *key = choices->entries[i].key;
  *choice = choices->entries[i].choice;
  return 1;
}

size_t sap__choices_count(const sap__choices *choices) { return choices->count; }
