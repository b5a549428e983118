#include "interrupt.h"

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

void interrupt_watch(void) {
  sigemptyset(&watched);
  for (int i = 0; i < NUMBERS; i++) {
    struct sigaction action;
    /* A signal that the parent had us ignore (nohup, a job in the background) stays ignored. */
    if (sigaction(numbers[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN) sigaddset(&watched, numbers[i]);
  }
  pthread_t thread;
  pthread_sigmask(SIG_BLOCK, &watched, NULL);
  if (pthread_create(&thread, NULL, wait_for_signals, NULL) == 0)
    pthread_detach(thread);
  else
    pthread_sigmask(SIG_UNBLOCK, &watched, NULL); /* without the thread a signal ends the process at once */
}

int interrupt_requested(void) { return atomic_load(&requested); }
