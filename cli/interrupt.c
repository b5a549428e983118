#include "interrupt.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

/* The signals are blocked everywhere and a thread of their own waits for them; no handler ever runs. A
 * handler's frame would be pushed on the stack of whatever computes, and the matrix products of oneDNN up to
 * 3.11 let the stack pointer point into small blocks of the heap (its issue 4845): the frame would overwrite
 * what lies below. */

static const int numbers[] = {SIGINT, SIGTERM};
enum { NUMBERS = sizeof numbers / sizeof *numbers };

static sigset_t watched;
static atomic_int requested;

static void *wait_for_signals(void *unused) {
  (void)unused;
  int number;
  while (sigwait(&watched, &number) != 0) continue;
  atomic_store(&requested, 1);
  /* The second one, of either kind, meets the default action in this thread: the end of the process. */
  pthread_sigmask(SIG_UNBLOCK, &watched, NULL);
  for (;;) pause();
  return NULL;
}

static void *wait_for_end_of_input(void *unused) {
  (void)unused;
  char bytes[64];
  ssize_t size;
  do size = read(STDIN_FILENO, bytes, sizeof bytes);
  while (size > 0 || (size < 0 && errno == EINTR));
  atomic_store(&requested, 1);
  return NULL;
}

/* Without memory for a thread there is nobody to wait: 0. */
static int start_thread(void *(*run)(void *)) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, run, NULL) != 0) return 0;
  pthread_detach(thread);
  return 1;
}

void interrupt_watch(void) {
  sigemptyset(&watched);
  for (int i = 0; i < NUMBERS; i++) {
    struct sigaction action;
    /* A signal that the parent had us ignore (nohup, a job in the background) stays ignored. */
    if (sigaction(numbers[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN) sigaddset(&watched, numbers[i]);
  }
  pthread_sigmask(SIG_BLOCK, &watched, NULL);
  if (!start_thread(wait_for_signals))
    pthread_sigmask(SIG_UNBLOCK, &watched, NULL); /* without the thread a signal ends the process at once */
}

void interrupt_at_end_of_input(void) {
  if (!start_thread(wait_for_end_of_input)) atomic_store(&requested, 1);
}

int interrupt_requested(void) { return atomic_load(&requested); }
