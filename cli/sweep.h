/* The runs of a plan in one folder: what is there, what runs, what is still to do. */
#ifndef CLI_SWEEP_H
#define CLI_SWEEP_H

#include <jansson.h>

#include "follow.h"
#include "jobs.h"
#include "sapwood/plan.h"
#include "terminal.h"

typedef enum sweep_state {
  SWEEP_WAITING,
  SWEEP_RUNNING,
  SWEEP_FINISHED,
  SWEEP_EARLIER, /* finished before this sweep looked */
  SWEEP_STOPPED, /* its state is saved */
  SWEEP_FAILED
} sweep_state;

typedef struct sweep_run {
  const sap_plan_run *planned;
  char path[SAP_TEXT_SIZE];
  sweep_state state;
  int resumes; /* the folder holds a part of it */
  follow at;
  double begin, seconds; /* of this sweep */
  double epochs_before;  /* done before this sweep */
  char reason[JOB_LINE_SIZE];
  job process; /* while it runs */
} sweep_run;

typedef struct sweep {
  const char *directory;
  size_t count;
  sweep_run *runs;
  int jobs;     /* runs at a time */
  int threads;  /* of each run whose plan leaves it open */
  int stopping; /* no run is started any more */
  int full;     /* because the disk is full */
  size_t finished, earlier, failed, stopped;
  double begin;
  /* what is shown */
  int json, quiet;
  terminal output, errors;
  int name_width;
  int drawn;
  double shown; /* when the progress line was drawn */
} sweep;

double sweep_seconds(void);

/* Fills *run: its place, and what is there: SWEEP_WAITING, SWEEP_EARLIER, or SWEEP_FAILED with the reason. */
void sweep_look(sweep_run *run, const char *directory, const sap_plan_run *planned);

/* The command line that starts or continues the run, with `threads` where the plan leaves them open. */
void sweep_words(words *w, const sweep_run *run, int threads);

/* Does all that is to do. EXIT_DONE, EXIT_FAILED (a run failed) or EXIT_INTERRUPTED. */
int sweep_all(sweep *s);

/* Epochs of the run that are done, and in all. */
double sweep_epochs_done(const sweep_run *run);
double sweep_epochs(const sweep_run *run);

/* ---- what is shown (sweep_show.c) ---- */

void sweep_show_head(sweep *s);
void sweep_show_start(sweep *s, const sweep_run *run);
void sweep_show_end(sweep *s, const sweep_run *run);
void sweep_show_progress(sweep *s);
void sweep_show_summary(sweep *s);

#endif
