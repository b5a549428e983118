/* What unfinished outputs have on the disk. */
#include <pthread.h>
#include <stddef.h>
#include <unistd.h>

#include "io/atomic.h"
#include "sapwood/checkpoint.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static sap__unfinished *first;

void sap__unfinished_lock(void) { (void)pthread_mutex_lock(&lock); }

void sap__unfinished_unlock(void) { (void)pthread_mutex_unlock(&lock); }

void sap__unfinished_add(sap__unfinished *part, const char *path) {
  *part = (sap__unfinished){path, first};
  first = part;
}

void sap__unfinished_remove(sap__unfinished *part) {
  sap__unfinished **at = &first;
  while (*at && *at != part) at = &(*at)->next;
  if (*at) *at = part->next;
  part->path = NULL;
}

void sap_outputs_discard(void) {
  sap__unfinished_lock();
  for (const sap__unfinished *part = first; part; part = part->next)
    if (unlink(part->path)) sap__folder_remove(part->path);
}
