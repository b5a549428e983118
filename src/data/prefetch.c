#include "data/prefetch.h"

#include <pthread.h>
#include <signal.h>

#include "base/error.h"
#include "base/memory.h"

/* A buffer: prepared for `step` if ready, being prepared by a thread if busy. */
typedef struct slot {
  uint32_t step;
  int busy, ready;
  uint8_t *elements, *labels;
} slot;

struct sap__prefetch {
  const sap__loader *loader;
  uint32_t batch, steps;
  slot *slots;
  int slot_count;
  const slot *taken; /* by the trainer; NULL: none */
  uint32_t next;     /* the step that is prepared next; all below are done, being done or no longer wanted */
  uint32_t wanted;   /* the step that will be asked for next */
  int busy;          /* threads that are preparing a batch */
  int paused, ends;
  pthread_mutex_t lock;
  pthread_cond_t work, idle; /* there may be something to prepare; nobody prepares */
  pthread_t *threads;
  int thread_count;
};

/* A buffer that holds nothing of use; NULL if there is none. Locked. */
static slot *free_slot(sap__prefetch *p) {
  for (int i = 0; i < p->slot_count; i++) {
    slot *s = &p->slots[i];
    if (!s->busy && s != p->taken && (!s->ready || s->step < p->wanted)) return s;
  }
  return NULL;
}

/* Waits for a step to prepare and a buffer for it, and claims both; NULL at the end. Locked. */
static slot *claim(sap__prefetch *p) {
  slot *found = NULL;
  while (!p->ends && (p->paused || p->next >= p->steps || !(found = free_slot(p))))
    pthread_cond_wait(&p->work, &p->lock);
  if (p->ends) return NULL;
  found->step = p->next++;
  found->ready = 0;
  found->busy = 1;
  p->busy++;
  return found;
}

static void *prepare_batches(void *user) {
  sap__prefetch *p = user;
  pthread_mutex_lock(&p->lock);
  for (slot *s; (s = claim(p));) {
    uint32_t first = s->step * p->batch, left = p->loader->count - first;
    pthread_mutex_unlock(&p->lock);
    sap__loader_prepare(p->loader, first, left < p->batch ? left : p->batch, s->elements, s->labels);
    pthread_mutex_lock(&p->lock);
    s->busy = 0;
    s->ready = 1;
    if (!--p->busy) pthread_cond_broadcast(&p->idle);
  }
  pthread_mutex_unlock(&p->lock);
  return NULL;
}

/* Signals are the caller's: our threads take none. */
static int start_threads(sap__prefetch *p, int count) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  while (p->thread_count < count && !pthread_create(&p->threads[p->thread_count], NULL, prepare_batches, p))
    p->thread_count++;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return p->thread_count == count;
}

sap_status sap__prefetch_new(const sap__loader *loader, uint32_t batch, int threads, sap__prefetch **prefetch,
                             sap_error *err) {
  const sap_dataset *set = loader->set;
  size_t picture = (size_t)set->channels * (size_t)set->height * (size_t)set->width * sap__loader_element(loader);
  sap__prefetch *p = sap__calloc(1, sizeof *p);
  if (!p) return sap__fail_memory(err, sizeof *p);
  p->loader = loader;
  p->batch = batch;
  p->steps = loader->count / batch + (loader->count % batch > 0);
  p->paused = 1;
  pthread_mutex_init(&p->lock, NULL);
  pthread_cond_init(&p->work, NULL);
  pthread_cond_init(&p->idle, NULL);
  p->threads = sap__calloc((size_t)threads, sizeof *p->threads);
  p->slots = sap__calloc((size_t)threads + 2, sizeof *p->slots);
  int whole = p->threads && p->slots;
  for (; whole && p->slot_count < threads + 2; p->slot_count++) {
    slot *s = &p->slots[p->slot_count];
    s->elements = sap__alloc(batch, picture);
    s->labels = sap__alloc(batch, 1);
    whole = s->elements && s->labels;
  }
  if (whole && start_threads(p, threads)) return *prefetch = p, SAP_OK;
  sap__prefetch_free(p);
  return sap__fail(err, SAP_ERROR_MEMORY, "no memory or threads to prepare batches of %u pictures ahead", batch);
}

void sap__prefetch_free(sap__prefetch *p) {
  if (!p) return;
  pthread_mutex_lock(&p->lock);
  p->ends = 1;
  pthread_cond_broadcast(&p->work);
  pthread_mutex_unlock(&p->lock);
  for (int i = 0; i < p->thread_count; i++) pthread_join(p->threads[i], NULL);
  for (int i = 0; i < p->slot_count; i++) {
    sap__free(p->slots[i].elements);
    sap__free(p->slots[i].labels);
  }
  pthread_cond_destroy(&p->work);
  pthread_cond_destroy(&p->idle);
  pthread_mutex_destroy(&p->lock);
  sap__free(p->slots);
  sap__free(p->threads);
  sap__free(p);
}

void sap__prefetch_pause(sap__prefetch *p) {
  pthread_mutex_lock(&p->lock);
  p->paused = 1;
  while (p->busy) pthread_cond_wait(&p->idle, &p->lock);
  pthread_mutex_unlock(&p->lock);
}

void sap__prefetch_start(sap__prefetch *p, uint32_t step) {
  sap__prefetch_pause(p);
  pthread_mutex_lock(&p->lock);
  for (int i = 0; i < p->slot_count; i++) p->slots[i].ready = 0;
  p->taken = NULL;
  p->next = p->wanted = step;
  p->paused = 0;
  pthread_cond_broadcast(&p->work);
  pthread_mutex_unlock(&p->lock);
}

const void *sap__prefetch_take(sap__prefetch *p, uint32_t step, const uint8_t **labels) {
  pthread_mutex_lock(&p->lock);
  const slot *found = NULL;
  for (int i = 0; i < p->slot_count && !found; i++)
    if (p->slots[i].ready && p->slots[i].step == step) found = &p->slots[i];
  p->taken = found;
  p->wanted = step + 1;
  if (p->next <= step) p->next = step + 1; /* the caller does this one */
  pthread_cond_broadcast(&p->work);
  pthread_mutex_unlock(&p->lock);
  if (!found) return NULL;
  *labels = found->labels;
  return found->elements;
}
