#include "sweep.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "interrupt.h"
#include "options.h"

double sweep_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- what is there ---- */

/* 1 if the run in the folder has other settings than the planned one, with the first difference as the reason. Threads
 * may differ: the run goes on with its own. */
static int differs(sweep_run *run, const sap_experiment *found) {
  size_t count;
  const sap_setting *settings = sap_experiment_settings(&count);
  for (size_t i = 0; i < count; i++) {
    char there[SAP_TEXT_SIZE], planned[SAP_TEXT_SIZE];
    if (strcmp(settings[i].name, "threads") == 0) continue;
    sap_experiment_get(found, &settings[i], there, sizeof there);
    sap_experiment_get(&run->planned->experiment, &settings[i], planned, sizeof planned);
    if (strcmp(there, planned) == 0) continue;
    snprintf(run->reason, sizeof run->reason, "the run in its folder has %s %.200s, the plan %.200s", settings[i].name,
             there, planned);
    return 1;
  }
  return 0;
}

void sweep_look(sweep_run *run, const char *directory, const sap_plan_run *planned) {
  memset(run, 0, sizeof *run);
  run->planned = planned;
  snprintf(run->path, sizeof run->path, "%s/%s", directory, planned->name);
  follow_start(&run->at, run->path);
  sap_experiment found;
  sap_error err;
  int finished = 0;
  sap_status status = sap_experiment_load(run->path, &found, &err);
  if (status == SAP_ERROR_NOT_FOUND) return;
  run->resumes = 1;
  if (status == SAP_OK && differs(run, &found)) {
    run->state = SWEEP_FAILED;
    return;
  }
  if (status == SAP_OK) status = sap_experiment_finished(run->path, &finished, &err);
  if (status != SAP_OK) {
    run->state = SWEEP_FAILED;
    snprintf(run->reason, sizeof run->reason, "%s", err.text);
    return;
  }
  if (finished) run->state = SWEEP_EARLIER;
  follow_update(&run->at);
  run->epochs_before = sweep_epochs_done(run);
}

double sweep_epochs(const sweep_run *run) {
  const sap_experiment *e = &run->planned->experiment;
  return (e->iterations + 1.0) * e->epochs;
}

double sweep_epochs_done(const sweep_run *run) {
  if (run->state == SWEEP_FINISHED || run->state == SWEEP_EARLIER) return sweep_epochs(run);
  return (double)run->at.iteration * run->planned->experiment.epochs + run->at.epoch;
}

/* ---- one run ---- */

void sweep_words(words *w, const sweep_run *run, int threads) {
  if (run->resumes) {
    words_of_resume(w, run->path);
    return;
  }
  sap_experiment experiment = run->planned->experiment;
  if (experiment.threads == 0) experiment.threads = threads;
  words_of_run(w, &experiment, run->path);
}

static void fail(sweep *s, sweep_run *run, const char *reason) {
  run->state = SWEEP_FAILED;
  s->failed++;
  snprintf(run->reason, sizeof run->reason, "%s", reason);
}

static void start(sweep *s, sweep_run *run) {
  words w = {0};
  sweep_words(&w, run, s->threads);
  words_add(&w, "--quiet");
  words_add(&w, "--until-eof");
  run->begin = sweep_seconds();
  const int error = words_complete(&w) ? job_start(&run->process, &w) : ENOMEM;
  words_free(&w);
  if (error) {
    fail(s, run, strerror(error));
    sweep_show_end(s, run);
    return;
  }
  run->state = SWEEP_RUNNING;
  sweep_show_start(s, run);
}

/* What the child said last, without the program's name before it. */
static const char *last_words(const job *j) {
  static const char prefix[] = "sapwood train: ";
  return strncmp(j->last, prefix, strlen(prefix)) == 0 ? j->last + strlen(prefix) : j->last;
}

/* Whether a reason ends with the system's text for that error; the library begins it with a small letter. */
static int is_system_error(const char *reason, int error) {
  const char *text = strerror(error);
  const size_t length = strlen(reason), tail = strlen(text);
  return length >= tail && strcasecmp(reason + length - tail, text) == 0;
}

static void finish(sweep *s, sweep_run *run, int status) {
  run->seconds = sweep_seconds() - run->begin;
  follow_update(&run->at);
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  if (code == EXIT_DONE) {
    run->state = SWEEP_FINISHED;
    s->finished++;
  } else if (code == EXIT_INTERRUPTED && s->stopping) {
    run->state = SWEEP_STOPPED;
    s->stopped++;
  } else if (code < 0) {
    char reason[64];
    snprintf(reason, sizeof reason, "killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    fail(s, run, reason);
  } else {
    fail(s, run, code == EXIT_INTERRUPTED ? "stopped by a signal; its state is saved" : last_words(&run->process));
  }
  if (run->state == SWEEP_FAILED && is_system_error(run->reason, ENOSPC)) s->stopping = s->full = 1;
  sweep_show_end(s, run);
}

/* ---- all of them ---- */

enum { WAIT_MILLISECONDS = 100 };

/* Sleeps until a child says something, or a moment; then takes what came. Returns how many still run. */
static int attend(sweep *s) {
  struct pollfd descriptors[1024];
  nfds_t count = 0;
  for (size_t i = 0; i < s->count; i++)
    if (s->runs[i].state == SWEEP_RUNNING && count < sizeof descriptors / sizeof *descriptors)
      descriptors[count++] = (struct pollfd){.fd = s->runs[i].process.errors, .events = POLLIN};
  poll(descriptors, count, WAIT_MILLISECONDS); /* a child that ends closes its side, which counts as news */
  int running = 0;
  for (size_t i = 0; i < s->count; i++) {
    sweep_run *run = &s->runs[i];
    int status;
    if (run->state != SWEEP_RUNNING) continue;
    job_read(&run->process);
    if (job_ended(&run->process, &status))
      finish(s, run, status);
    else
      running++;
  }
  return running;
}

static void stop(sweep *s) {
  s->stopping = 1;
  for (size_t i = 0; i < s->count; i++)
    if (s->runs[i].state == SWEEP_RUNNING) job_stop(&s->runs[i].process);
}

int sweep_all(sweep *s) {
  size_t next = 0;
  int running = 0;
  s->begin = sweep_seconds();
  sweep_show_head(s);
  for (size_t i = 0; i < s->count; i++) {
    s->earlier += s->runs[i].state == SWEEP_EARLIER;
    s->failed += s->runs[i].state == SWEEP_FAILED;
    if (s->runs[i].state != SWEEP_WAITING) sweep_show_end(s, &s->runs[i]);
  }
  for (;;) {
    for (; !s->stopping && running < s->jobs && next < s->count; next++) {
      if (s->runs[next].state != SWEEP_WAITING) continue;
      start(s, &s->runs[next]);
      running += s->runs[next].state == SWEEP_RUNNING;
    }
    if (running == 0) break;
    if (interrupt_requested()) stop(s);
    running = attend(s);
    sweep_show_progress(s);
  }
  sweep_show_summary(s);
  const size_t left = s->count - s->earlier - s->finished - s->failed;
  if (left > 0 && !s->full) return EXIT_INTERRUPTED;
  return s->failed ? EXIT_FAILED : EXIT_DONE;
}
