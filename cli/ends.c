#include "shrunk.h"

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

/* Only what is allowed in a handler. Outputs are written beside their place and renamed when whole: none is there. The
 * first thread to come here speaks for all. */
static void ends(int number) {
  static atomic_flag spoken = ATOMIC_FLAG_INIT;
  (void)number;
  while (atomic_flag_test_and_set(&spoken)) pause();
  put("sapwood ");
  put(watched_command);
  put(": ");
  put(watched_path);
  put(": cannot be read: it became shorter while it was open, or its disk fails\n");
  _exit(EXIT_FAILED);
}

void shrunk_watch(const char *title, const char *path) {
  watched_command = title;
  watched_path = path;
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = ends;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, NULL);
}
