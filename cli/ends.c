#include "ends.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "options.h"
#include "sapwood/checkpoint.h"

/* A thread of its own waits for the signals: it may do what a handler may not, which is to remove half an output. Only
 * SIGBUS, which comes to the thread that reads, has a handler, which wakes that one. */
static const char *volatile watched_command, *volatile watched_path;
static sigset_t watched;
static pthread_t waiting;
static atomic_int is_waiting;

static void put(const char *text) {
  const size_t length = strlen(text);
  if (write(STDERR_FILENO, text, length) != (ssize_t)length) _exit(EXIT_FAILED);
}

/* Only what is allowed in a handler. */
static _Noreturn void end(int number) {
  put("sapwood ");
  put(watched_command);
  put(": ");
  if (number != SIGBUS) {
    put("interrupted\n");
    _exit(EXIT_INTERRUPTED);
  }
  put(watched_path);
  put(": cannot be read: it became shorter while it was open, or its disk fails\n");
  _exit(EXIT_FAILED);
}

static void *wait_for_signals(void *unused) {
  (void)unused;
  int number;
  while (sigwait(&watched, &number) != 0) continue;
  sap_outputs_discard();
  end(number);
}

/* The first thread to come here speaks for all. */
static void cannot_read(int number) {
  static atomic_flag spoken = ATOMIC_FLAG_INIT;
  if (!atomic_flag_test_and_set(&spoken)) {
    if (!atomic_load(&is_waiting)) end(number);
    (void)pthread_kill(waiting, number);
  }
  for (;;) pause();
}

static void handle_sigbus(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = cannot_read;
  sigfillset(&action.sa_mask); /* one end is enough */
  sigaction(SIGBUS, &action, NULL);
}

/* What the parent had us ignore (nohup, a job in the background) stays ignored. */
static void choose_signals(void) {
  static const int numbers[] = {SIGINT, SIGTERM};
  sigemptyset(&watched);
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    struct sigaction action;
    if (sigaction(numbers[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN) sigaddset(&watched, numbers[i]);
  }
}

/* Threads inherit which signals are blocked: all in the one that waits, the watched ones in all others. */
static void start_waiting(void) {
  sigset_t all, before, blocked;
  choose_signals();
  blocked = watched;
  sigaddset(&watched, SIGBUS);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int started = pthread_create(&waiting, NULL, wait_for_signals, NULL) == 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (!started) return; /* without memory for a thread a signal ends the process at once */
  pthread_detach(waiting);
  atomic_store(&is_waiting, 1);
  pthread_sigmask(SIG_BLOCK, &blocked, NULL);
}

void ends_watch(const char *title, const char *path) {
  watched_command = title;
  watched_path = path;
  if (atomic_load(&is_waiting)) return;
  start_waiting();
  handle_sigbus();
}
