#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

terminal terminal_of(FILE *stream) {
  const char *type = getenv("TERM"), *no_colour = getenv("NO_COLOR");
  terminal t = {0, 0, 0, 80};
  const int descriptor = fileno(stream);
  t.interactive = isatty(descriptor) && type && *type && strcmp(type, "dumb") != 0;
  t.colour = t.interactive && !(no_colour && *no_colour);
  t.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
  struct winsize size;
  if (t.interactive && ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) t.columns = size.ws_col;
  return t;
}

const char *style_begin(const terminal *t, style s) {
  static const char *const sequences[] = {"", "\033[1m", "\033[2m", "\033[32m", "\033[33m"};
  return t->colour ? sequences[s] : "";
}

const char *style_end(const terminal *t, style s) { return t->colour && s != STYLE_NONE ? "\033[0m" : ""; }

void streams_secure(void) {
  for (int descriptor = 0; descriptor <= 2; descriptor++) {
    if (fcntl(descriptor, F_GETFD) != -1 || errno != EBADF) continue;
    /* The lowest free descriptor is taken: this one. A closed stdout must fail when written: read only. */
    const int opened = open("/dev/null", descriptor == 1 ? O_RDONLY : O_RDWR);
    (void)opened;
  }
}

static int first_error;

void output_flush(void) {
  errno = 0;
  if ((fflush(stdout) != 0 || ferror(stdout)) && !first_error) first_error = errno ? errno : EIO;
}

void output_json(const json_t *document) {
  json_dumpf(document, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
  putchar('\n');
  output_flush();
}

int output_error(void) {
  output_flush();
  return first_error;
}

json_t *json_number(double value) { return isfinite(value) ? json_real(value) : json_null(); }

const char *group_digits(unsigned long long value, char *buffer) {
  char digits[24];
  const int length = snprintf(digits, sizeof digits, "%llu", value);
  char *out = buffer;
  for (int i = 0; i < length; i++) {
    if (i > 0 && (length - i) % 3 == 0) *out++ = ',';
    *out++ = digits[i];
  }
  *out = 0;
  return buffer;
}
