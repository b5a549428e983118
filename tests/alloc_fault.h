/* Allocations that fail on purpose, and a count of the blocks not yet freed.
 *
 * A test that includes this links the static library with `alloc_fault_link` (tests/meson.build), so that
 * every malloc, calloc, realloc, posix_memalign and free of the test and of the library passes through here;
 * allocations inside shared libraries do not. Include it in one file of the program.
 *
 *   for (long k = 1;; k++) {
 *     size_t before = fault_live();
 *     fault_arm(k);
 *     sap_status status = call_under_test(...);
 *     if (!fault_disarm()) { ... success: check it, free the result ...; break; }
 *     assert_int_equal(status, SAP_ERROR_MEMORY);
 *     assert_int_equal(fault_live(), before);
 *   }
 */
#ifndef SAP_TESTS_ALLOC_FAULT_H
#define SAP_TESTS_ALLOC_FAULT_H

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t bytes);
int __real_posix_memalign(void **block, size_t alignment, size_t bytes);
void __real_free(void *block);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t bytes);
int __wrap_posix_memalign(void **block, size_t alignment, size_t bytes);
void __wrap_free(void *block);

/* Open addressing with linear probing; a test holds far fewer blocks than this. */
#define FAULT_SLOTS 65536

static pthread_mutex_t fault_lock = PTHREAD_MUTEX_INITIALIZER;
static void *fault_table[FAULT_SLOTS];
static size_t fault_blocks;
static long fault_countdown; /* 0: no allocation fails */
static int fault_happened;

static size_t fault_home(const void *block) {
  return (size_t)(((uint64_t)(uintptr_t)block >> 4) * 0x9e3779b97f4a7c15u >> 48) % FAULT_SLOTS;
}

static void fault_remember(void *block) {
  if (!block) return;
  pthread_mutex_lock(&fault_lock);
  if (fault_blocks + 1 >= FAULT_SLOTS) abort();
  size_t i = fault_home(block);
  while (fault_table[i]) i = (i + 1) % FAULT_SLOTS;
  fault_table[i] = block;
  fault_blocks++;
  pthread_mutex_unlock(&fault_lock);
}

/* Blocks of shared libraries are not in the table: those are left alone. */
static void fault_forget(void *block) {
  if (!block) return;
  pthread_mutex_lock(&fault_lock);
  size_t i = fault_home(block);
  while (fault_table[i] && fault_table[i] != block) i = (i + 1) % FAULT_SLOTS;
  if (fault_table[i]) {
    fault_blocks--;
    fault_table[i] = NULL;
    for (size_t j = (i + 1) % FAULT_SLOTS; fault_table[j]; j = (j + 1) % FAULT_SLOTS) { /* close the gap */
      size_t home = fault_home(fault_table[j]);
      if ((j - home) % FAULT_SLOTS >= (j - i) % FAULT_SLOTS) {
        fault_table[i] = fault_table[j];
        fault_table[j] = NULL;
        i = j;
      }
    }
  }
  pthread_mutex_unlock(&fault_lock);
}

static int fault_now(void) {
  pthread_mutex_lock(&fault_lock);
  int now = fault_countdown > 0 && --fault_countdown == 0;
  fault_happened |= now;
  pthread_mutex_unlock(&fault_lock);
  return now;
}

/* The k-th allocation from now on fails, k = 1, 2, …; those after it succeed again. */
static inline void fault_arm(long k) {
  pthread_mutex_lock(&fault_lock);
  fault_countdown = k;
  fault_happened = 0;
  pthread_mutex_unlock(&fault_lock);
}

/* Back to normal; 1 if the armed allocation was reached and failed. */
static inline int fault_disarm(void) {
  pthread_mutex_lock(&fault_lock);
  fault_countdown = 0;
  int happened = fault_happened;
  pthread_mutex_unlock(&fault_lock);
  return happened;
}

/* Blocks allocated and not yet freed. */
static inline size_t fault_live(void) {
  pthread_mutex_lock(&fault_lock);
  size_t blocks = fault_blocks;
  pthread_mutex_unlock(&fault_lock);
  return blocks;
}

void *__wrap_malloc(size_t bytes) {
  void *block = fault_now() ? NULL : __real_malloc(bytes);
  fault_remember(block);
  return block;
}

void *__wrap_calloc(size_t count, size_t size) {
  void *block = fault_now() ? NULL : __real_calloc(count, size);
  fault_remember(block);
  return block;
}

void *__wrap_realloc(void *block, size_t bytes) {
  if (fault_now()) return NULL;
  fault_forget(block);
  void *moved = __real_realloc(block, bytes);
  fault_remember(moved ? moved : block);
  return moved;
}

int __wrap_posix_memalign(void **block, size_t alignment, size_t bytes) {
  if (fault_now()) return ENOMEM;
  int failed = __real_posix_memalign(block, alignment, bytes);
  if (!failed) fault_remember(*block);
  return failed;
}

void __wrap_free(void *block) {
  fault_forget(block);
  __real_free(block);
}

#endif
