/* Command-line options as tables: one table a command gives parsing, --help and the manual page. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stddef.h>

#include "sapwood/experiment.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_INTERRUPTED = 130 };

enum { OPTIONS_MAX = 64, OPERANDS_MAX = 1024, GIVEN_MAX = 256, OPTION_DEFAULT_SIZE = 48 };

/* One option. A table of them ends with a NULL name. */
typedef struct option {
  char letter;       /* -o; 0: none */
  const char *name;  /* --name */
  const char *value; /* what help writes for its value, "N"; NULL: a flag */
  const char *range; /* allowed values in words; NULL: any */
  const char *text;  /* what it does, without a full stop */
} option;

/* All options of a command, in the order of its help. */
typedef struct option_list {
  size_t count;
  option items[OPTIONS_MAX];
  char defaults[OPTIONS_MAX][OPTION_DEFAULT_SIZE]; /* as text; "": none to show */
  int required[OPTIONS_MAX];
  size_t settings; /* the first so many come from sap_experiment_settings, in its order */
} option_list;

/* A parsed command line. The strings are those of argv. */
typedef struct arguments {
  const option_list *list;
  const char *values[OPTIONS_MAX]; /* NULL: not given; "" for a flag; the last of several */
  size_t given_count;              /* every option as it was given, in order */
  struct {
    size_t option; /* its place in the list */
    const char *value;
  } given[GIVEN_MAX];
  size_t operand_count;
  const char *operands[OPERANDS_MAX];
} arguments;

/* Puts the library's settings of an experiment (`settings` 1) before the command's own table. */
void option_list_make(option_list *list, int settings, const option *own);

/* Parses argv[0 … argc−1], the words after the command's name. `--` ends the options. Values: --name VALUE,
 * --name=VALUE, -o VALUE, -oVALUE; the last of several counts. Prints the usage error and returns
 * EXIT_USAGE, or EXIT_DONE. At most `operands` operands are taken. */
int options_parse(const char *command, const option_list *list, size_t operands, int argc, char **argv,
                  arguments *parsed);

/* The value of an option that the command's table holds; NULL if it was not given. */
const char *option_value(const arguments *parsed, const char *name);
int option_given(const arguments *parsed, const char *name);

/* The next value of an option that may be repeated; NULL past the last. *at starts at 0. */
const char *option_next(const arguments *parsed, const char *name, size_t *at);

/* A finite number into *number, which stays untouched when the option is not given. EXIT_DONE, or EXIT_USAGE after
 * printing the table's range; whether the number lies in it is for the caller to say. */
int option_real(const char *command, const arguments *parsed, const char *name, double *number);

/* The number of the given word: name_at(i) for i = 0 … count − 1 are the words. EXIT_USAGE after printing the table's
 * range if it is none of them. */
int option_word(const char *command, const arguments *parsed, const char *name, const char *(*name_at)(size_t i),
                int *word);

/* A whole number in [least, most] into *number, which stays untouched when the option is not given.
 * EXIT_DONE, or EXIT_USAGE after printing the table's range. */
int option_int(const char *command, const arguments *parsed, const char *name, int least, int most, int *number);

/* EXIT_USAGE, after printing the known names, if the option is given and its value up to a colon is none of
 * them. `name_at` gives the i-th name, NULL past the last. */
int option_known(const char *command, const arguments *parsed, const char *name, const char *(*name_at)(size_t i));

/* The same of --model: a known network, or a path that ends in .onnx. */
int option_model(const char *command, const arguments *parsed);

/* "sapwood COMMAND: text", then where to find help, on stderr; EXIT_USAGE. `command` NULL: the program. */
int usage_error(const char *command, const char *format, ...) SAP_PRINTF(2, 3);

/* "sapwood COMMAND: text" on stderr; EXIT_FAILED. */
int failure(const char *command, const char *format, ...) SAP_PRINTF(2, 3);

/* The candidate nearest to `word` in edits, NULL when none is near enough to be meant. `next` gives the
 * i-th candidate, NULL past the last. */
const char *nearest_name(const char *word, const char *(*next)(const void *data, size_t i), const void *data);

#endif
