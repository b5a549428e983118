/* What a sweep shows: a row for each run on stdout as it ends, and how far all are on stderr. */
#include <math.h>
#include <string.h>

#include "options.h"
#include "progress.h"
#include "results.h"
#include "sweep.h"

static void clear(sweep *s) {
  if (!s->drawn) return;
  fputs("\r\033[K", stderr);
  fflush(stderr);
  s->drawn = 0;
}

void sweep_show_head(sweep *s) {
  s->output = terminal_of(stdout);
  s->errors = terminal_of(stderr);
  s->name_width = (int)strlen("run");
  for (size_t i = 0; i < s->count; i++) {
    const int length = (int)strlen(s->runs[i].planned->name);
    if (length > s->name_width) s->name_width = length;
  }
  if (s->json) return;
  printf("%s%-*s  %8s  %9s  %8s  %9s  %9s%s\n", style_begin(&s->output, STYLE_STRONG), s->name_width, "run", "dense",
         "best kept", "accuracy", "iteration", "time", style_end(&s->output, STYLE_STRONG));
  output_flush();
}

void sweep_show_start(sweep *s, const sweep_run *run) {
  if (s->quiet || s->errors.interactive) return;
  fprintf(stderr, "%s: %s\n", run->planned->name, run->resumes ? "continued" : "started");
}

static void show_row(const sweep *s, const sweep_run *run) {
  char texts[3][16], duration[32] = "before", iteration[16] = "-";
  json_t *iterations = json_array();
  results_read(run->path, iterations);
  const json_t *best = results_best(iterations);
  if (run->state == SWEEP_FINISHED) format_duration(run->seconds, duration, sizeof duration);
  if (best) snprintf(iteration, sizeof iteration, "%.0f", results_number(best, "iteration"));
  printf("%-*s  %8s  %9s  %8s  %9s  %9s\n", s->name_width, run->planned->name,
         results_percent(results_number(json_array_get(iterations, 0), "test_accuracy"), 2, texts[0]),
         results_percent(best ? results_number(best, "density") : NAN, 2, texts[1]),
         results_percent(best ? results_number(best, "test_accuracy") : NAN, 2, texts[2]), iteration, duration);
  json_decref(iterations);
}

void sweep_show_end(sweep *s, const sweep_run *run) {
  if (s->json) return;
  clear(s);
  if (run->state == SWEEP_FINISHED || run->state == SWEEP_EARLIER)
    show_row(s, run);
  else
    printf("%-*s  %s\n", s->name_width, run->planned->name, run->state == SWEEP_FAILED ? "failed" : "stopped");
  output_flush();
}

/* Time left, from the epochs that this sweep has made of all that it has to make. */
static void format_left(const sweep *s, double *done, char *text, size_t size) {
  double all = 0, before = 0, now = 0;
  for (size_t i = 0; i < s->count; i++) {
    if (s->runs[i].state == SWEEP_FAILED) continue;
    all += sweep_epochs(&s->runs[i]);
    now += sweep_epochs_done(&s->runs[i]);
    before += s->runs[i].state == SWEEP_EARLIER ? sweep_epochs(&s->runs[i]) : s->runs[i].epochs_before;
  }
  const double passed = sweep_seconds() - s->begin;
  char duration[32];
  *done = all > 0 ? now / all : 1;
  text[0] = 0;
  if (now <= before || passed < 1) return;
  format_duration(passed * (all - now) / (now - before), duration, sizeof duration);
  snprintf(text, size, ", %s left", duration);
}

void sweep_show_progress(sweep *s) {
  const double now = sweep_seconds();
  if (s->quiet || !s->errors.interactive || now - s->shown < 0.5) return;
  s->shown = now;
  size_t running = 0;
  const sweep_run *last = NULL;
  for (size_t i = 0; i < s->count; i++) {
    sweep_run *run = &s->runs[i];
    if (run->state != SWEEP_RUNNING) continue;
    running++;
    follow_update(&run->at);
    if (run->at.epoch > 0) last = run;
  }
  char line[512], left[48], failed[32] = "", report[320] = "";
  double done;
  format_left(s, &done, left, sizeof left);
  if (s->failed) snprintf(failed, sizeof failed, ", %zu failed", s->failed);
  if (last)
    snprintf(report, sizeof report, "  %s: iteration %d, %.1f %%", last->planned->name, last->at.iteration,
             100 * last->at.accuracy);
  snprintf(line, sizeof line, "%zu of %zu done, %zu running%s  %.0f %%%s%s%s", s->finished + s->earlier, s->count,
           running, failed, 100 * done, left, s->stopping ? ", stopping" : "", report);
  if (s->errors.columns >= 1 && (int)strlen(line) >= s->errors.columns) line[s->errors.columns - 1] = 0;
  fprintf(stderr, "\r%s\033[K", line);
  fflush(stderr);
  s->drawn = 1;
}

/* ---- the end ---- */

static const char *state_name(sweep_state state) {
  static const char *const names[] = {"waiting", "running", "finished", "earlier", "stopped", "failed"};
  return names[state];
}

static json_t *iteration_json(const json_t *iteration) {
  static const char *const keys[] = {"iteration", "density", "test_accuracy", "pqi", "gini"};
  if (!iteration) return json_null();
  json_t *object = json_object();
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
    json_object_set(object, keys[i], json_object_get(iteration, keys[i]));
  return object;
}

static json_t *run_json(const sweep_run *run) {
  json_t *object = json_object(), *iterations = json_array();
  const int failed = run->state == SWEEP_FAILED;
  if (!failed) results_read(run->path, iterations);
  const size_t count = json_array_size(iterations);
  json_object_set_new(object, "name", json_string(run->planned->name));
  json_object_set_new(object, "run", json_string(run->path));
  json_object_set_new(object, "state", json_string(state_name(run->state)));
  json_object_set_new(object, "reason", failed ? json_string(run->reason) : json_null());
  json_object_set_new(object, "seconds", json_number(run->seconds));
  json_object_set_new(object, "iterations", json_integer((json_int_t)count));
  json_object_set_new(object, "dense", iteration_json(count ? json_array_get(iterations, 0) : NULL));
  json_object_set_new(object, "best", iteration_json(results_best(iterations)));
  json_object_set_new(object, "last", iteration_json(count ? json_array_get(iterations, count - 1) : NULL));
  json_decref(iterations);
  return object;
}

static void show_json(const sweep *s, double seconds) {
  json_t *document = json_object(), *runs = json_array();
  for (size_t i = 0; i < s->count; i++) json_array_append_new(runs, run_json(&s->runs[i]));
  json_object_set_new(document, "directory", json_string(s->directory));
  json_object_set_new(document, "finished", json_integer((json_int_t)s->finished));
  json_object_set_new(document, "earlier", json_integer((json_int_t)s->earlier));
  json_object_set_new(document, "failed", json_integer((json_int_t)s->failed));
  json_object_set_new(document, "seconds", json_number(seconds));
  json_object_set_new(document, "runs", runs);
  output_json(document);
  json_decref(document);
}

void sweep_show_summary(sweep *s) {
  const double seconds = sweep_seconds() - s->begin;
  const size_t left = s->count - s->finished - s->earlier - s->failed;
  char duration[32], open[48] = "";
  clear(s);
  if (s->json) {
    show_json(s, seconds);
  } else {
    format_duration(seconds, duration, sizeof duration);
    if (left) snprintf(open, sizeof open, ", %zu still to do", left);
    printf("\n%zu of %zu runs finished (%zu before), %zu failed%s: %s (%s)\n", s->finished + s->earlier, s->count,
           s->earlier, s->failed, open, s->directory, duration);
    output_flush();
  }
  for (size_t i = 0; i < s->count; i++)
    if (s->runs[i].state == SWEEP_FAILED) failure("sweep", "%s: %s", s->runs[i].planned->name, s->runs[i].reason);
  if (s->full) fputs("stopped: the disk is full. The same command goes on when there is room again\n", stderr);
  if (left && !s->full) fputs("interrupted; every run has saved its state. The same command goes on\n", stderr);
}
