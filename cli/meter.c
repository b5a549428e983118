#include "meter.h"

#include <time.h>

enum { LEAST = 64 << 20 };

static double now_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void meter_start(meter *m, int quiet, const char *what, uint64_t total) {
  const terminal screen = terminal_of(stderr);
  *m = (meter){.visible = screen.interactive && !quiet && total >= LEAST,
               .columns = screen.columns,
               .what = what,
               .total = total,
               .begin = now_seconds()};
}

void meter_update(meter *m, uint64_t done) {
  if (!m->visible) return;
  const double now = now_seconds(), seconds = now - m->begin;
  if (m->drawn && now - m->shown < 1.0 / 6) return;
  char line[128], speed[32] = "";
  if (seconds > 0.05 && done) snprintf(speed, sizeof speed, "  %.1f GB/s", 1e-9 * (double)done / seconds);
  int length = snprintf(line, sizeof line, "%s  %3.0f %%  %.1f of %.1f GB%s", m->what,
                        100 * (double)done / (double)m->total, 1e-9 * (double)done, 1e-9 * (double)m->total, speed);
  if (m->columns >= 1 && length >= m->columns) line[m->columns - 1] = 0;
  fprintf(stderr, "\r%s\033[K", line);
  fflush(stderr);
  m->drawn = 1;
  m->shown = now;
}

void meter_clear(meter *m) {
  if (!m->drawn) return;
  fputs("\r\033[K", stderr);
  fflush(stderr);
  m->drawn = 0;
}
