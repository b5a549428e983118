/* The progress bar of a run: one line of stderr, redrawn at most six times a second. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include "sapwood/experiment.h"
#include "terminal.h"

typedef struct progress_bar {
  terminal screen;
  int visible;          /* 0: nothing is ever drawn */
  int drawn;            /* the line is on the screen now */
  int batch;            /* pictures a step */
  int iteration, epoch; /* those of the last update; -1: none yet */
  int begun;            /* the session's first update has been seen */
  double begin_time, begin_done;
  double epoch_time; /* when the epoch's first update came, and its step */
  int epoch_step;
  double drawn_time;
  double accuracy; /* of the last epoch on the test set; NaN: none yet */
  double speed;    /* images a second of the last epoch; 0: none yet */
} progress_bar;

/* `quiet`, or a stderr that is no terminal: every later call does nothing. */
void progress_start(progress_bar *bar, int quiet, int batch);

void progress_update(progress_bar *bar, const sap_progress *now);
void progress_epoch(progress_bar *bar, const sap_epoch_record *record);

/* Takes the line off the screen, before something else is printed and at the end. */
void progress_clear(progress_bar *bar);

/* "1:23", "2:03:04" or "3 d 4 h" in buffer[size]. */
void format_duration(double seconds, char *buffer, size_t size);

#endif
