#include "shrunk.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "options.h"

static const char *volatile watched_command, *volatile watched_path;

static void put(const char *text) {
  const size_t length = strlen(text);
  if (write(STDERR_FILENO, text, length) != (ssize_t)length) _exit(EXIT_FAILED);
}

/* Only what is allowed in a handler. Outputs are written beside their place and renamed when whole: none is there. */
static void ends(int number) {
  (void)number;
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
