#include "ends.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "options.h"

static const char *volatile watched_command, *volatile watched_path;

static void put(const char *text) {
  const size_t length = strlen(text);
  if (write(STDERR_FILENO, text, length) != (ssize_t)length) _exit(EXIT_FAILED);
}

/* Only what is allowed in a handler. Outputs are put in their place when whole: none is there. The first thread to come
 * here speaks for all. */
static void ends(int number) {
  static atomic_flag spoken = ATOMIC_FLAG_INIT;
  while (atomic_flag_test_and_set(&spoken)) pause();
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

void ends_watch(const char *title, const char *path) {
  static const int numbers[] = {SIGBUS, SIGINT, SIGTERM};
  watched_command = title;
  watched_path = path;
  struct sigaction action, before;
  memset(&action, 0, sizeof action);
  action.sa_handler = ends;
  sigfillset(&action.sa_mask); /* one end is enough */
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    /* What the parent had us ignore (nohup, a job in the background) stays ignored. */
    const int ignored = sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler == SIG_IGN;
    if (!ignored || numbers[i] == SIGBUS) sigaction(numbers[i], &action, NULL);
  }
}
