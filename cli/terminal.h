/* What a stream can show, and writing results without losing an error. */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include <jansson.h>
#include <stdio.h>

typedef struct terminal {
  int interactive; /* a terminal that can redraw a line */
  int colour;      /* and NO_COLOR is not set */
  int utf8;        /* the locale's characters are UTF-8 */
  int columns;
} terminal;

terminal terminal_of(FILE *stream);

typedef enum style { STYLE_NONE, STYLE_STRONG, STYLE_FAINT, STYLE_GOOD, STYLE_WARNING } style;

/* The sequences that begin and end a style; "" without colour. */
const char *style_begin(const terminal *t, style s);
const char *style_end(const terminal *t, style s);

/* Makes sure that descriptors 0, 1 and 2 are taken, so that no file opened later becomes one of them. */
void streams_secure(void);

/* Flushes stdout; remembers the first failure. */
void output_flush(void);

/* Prints a JSON document and a newline on stdout: indented, reals as %.9g. */
void output_json(const json_t *document);

/* At the end: flushes stdout. 0, or the errno of the first failed write. */
int output_error(void);

/* A finite number, or null. */
json_t *json_number(double value);

/* "1,234,567" in buffer[32]; returns buffer. */
const char *group_digits(unsigned long long value, char *buffer);

#endif
