#include "progress.h"

#include <math.h>
#include <string.h>
#include <time.h>

enum { BAR_MAX = 24, BAR_MIN = 6, LINE_SIZE = 512 };

static double now_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void progress_start(progress_bar *bar, int quiet, int batch) {
  memset(bar, 0, sizeof *bar);
  bar->screen = terminal_of(stderr);
  bar->visible = bar->screen.interactive && !quiet;
  bar->batch = batch;
  bar->iteration = bar->epoch = -1;
  bar->accuracy = NAN;
}

void progress_clear(progress_bar *bar) {
  if (!bar->drawn) return;
  fputs("\r\033[K", stderr);
  fflush(stderr);
  bar->drawn = 0;
}

void progress_epoch(progress_bar *bar, const sap_epoch_record *record) {
  bar->accuracy = record->test_accuracy;
  bar->speed = record->images_per_second;
}

void format_duration(double seconds, char *buffer, size_t size) {
  if (!(seconds >= 0)) seconds = 0;
  if (seconds > 1e9) seconds = 1e9;
  const long long s = (long long)(seconds + 0.5);
  if (s < 3600)
    snprintf(buffer, size, "%lld:%02lld", s / 60, s % 60);
  else if (s < 48 * 3600)
    snprintf(buffer, size, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
  else
    snprintf(buffer, size, "%lld d %lld h", s / 86400, s / 3600 % 24);
}

/* Images a second: of this epoch once it says something, else of the one before; 0: not known yet. */
static double current_speed(const progress_bar *bar, const sap_progress *now, double time) {
  const double seconds = time - bar->epoch_time;
  const int steps = now->step - bar->epoch_step;
  return seconds > 0.5 && steps > 2 ? (double)steps * bar->batch / seconds : bar->speed;
}

static void format_speed(double speed, char *buffer, size_t size) {
  if (speed <= 0)
    buffer[0] = 0;
  else if (speed < 9999.5)
    snprintf(buffer, size, "  %.0f img/s", speed);
  else
    snprintf(buffer, size, "  %.0fk img/s", speed / 1e3);
}

/* The epoch's steps as a bar of `width` columns into line. */
static void format_bar(const progress_bar *bar, const sap_progress *now, int width, char *line) {
  const int full = now->steps > 0 ? (int)((double)width * now->step / now->steps) : 0;
  for (int i = 0; i < width; i++) strcat(line, bar->screen.utf8 ? (i < full ? "━" : "─") : (i < full ? "=" : "-"));
}

static void draw(progress_bar *bar, const sap_progress *now, double time) {
  char left[96], right[160], accuracy[32] = "", speed[48], remaining[32] = "";
  snprintf(left, sizeof left, "iteration %d/%d  epoch %d/%d  ", now->iteration, now->iterations, now->epoch,
           now->epochs);
  if (isfinite(bar->accuracy)) snprintf(accuracy, sizeof accuracy, "  test %.1f %%", 100 * bar->accuracy);
  format_speed(current_speed(bar, now, time), speed, sizeof speed);
  const double advanced = now->done - bar->begin_done;
  if (advanced > 0 && time - bar->begin_time > 1) {
    char duration[24];
    format_duration((time - bar->begin_time) * (1 - now->done) / advanced, duration, sizeof duration);
    snprintf(remaining, sizeof remaining, ", %s left", duration);
  }
  char line[LINE_SIZE] = "";
  int room = -1; /* for the bar; without room the speed goes first */
  for (int with_speed = 1; with_speed >= 0 && room < BAR_MIN; with_speed--) {
    snprintf(right, sizeof right, "%s%s  run %3.0f %%%s", accuracy, with_speed ? speed : "", 100 * now->done,
             remaining);
    room = bar->screen.columns - 1 - (int)strlen(left) - (int)strlen(right);
  }
  if (room >= BAR_MIN) {
    strcat(line, left);
    format_bar(bar, now, room < BAR_MAX ? room : BAR_MAX, line);
    strcat(line, right);
  } else { /* a narrow terminal: plain text, cut */
    snprintf(line, sizeof line, "%s%s", left, right + 2);
    if (bar->screen.columns >= 1 && (int)strlen(line) >= bar->screen.columns) line[bar->screen.columns - 1] = 0;
  }
  fprintf(stderr, "\r%s\033[K", line);
  fflush(stderr);
  bar->drawn = 1;
  bar->drawn_time = time;
}

void progress_update(progress_bar *bar, const sap_progress *now) {
  if (!bar->visible) return;
  const double time = now_seconds();
  if (!bar->begun) {
    bar->begun = 1;
    bar->begin_time = time;
    bar->begin_done = now->done;
  }
  if (bar->iteration != now->iteration || bar->epoch != now->epoch) {
    bar->iteration = now->iteration;
    bar->epoch = now->epoch;
    bar->epoch_time = time;
    bar->epoch_step = now->step;
  }
  if (time - bar->drawn_time >= 1.0 / 6) draw(bar, now, time);
}
