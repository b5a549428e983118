/* How far a file has been read: one line of stderr, on a terminal and for large files only. */
#ifndef CLI_METER_H
#define CLI_METER_H

#include <stdint.h>

#include "terminal.h"

typedef struct meter {
  int visible, drawn;
  int columns;
  const char *what; /* the word before the numbers */
  uint64_t total;   /* bytes */
  double begin, shown;
} meter;

/* `quiet`, no terminal, or fewer than 64 MiB: every later call does nothing. */
void meter_start(meter *m, int quiet, const char *what, uint64_t total);

void meter_update(meter *m, uint64_t done);

/* Takes the line off the screen. */
void meter_clear(meter *m);

#endif
