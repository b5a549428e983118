/* The table of commands. A command is one file cmd_NAME.c and one line in commands.c. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "options.h"

/* A list of names that the library knows, shown after a command's options. */
typedef struct name_list {
  const char *title;
  const char *(*name_at)(size_t i); /* NULL past the last */
  const char *(*text_at)(size_t i);
} name_list;

typedef struct example {
  const char *words; /* the command line */
  const char *text;  /* what it does */
} example;

typedef struct command {
  const char *name;
  const char *summary;     /* one line, in the list of commands */
  const char *synopsis;    /* the words after "sapwood NAME" */
  const char *text;        /* one paragraph */
  int computes;            /* 1: its threads often wait for each other */
  int settings;            /* 1: the settings of an experiment are options, too */
  const option *options;   /* its own; ends with a NULL name */
  size_t operands;         /* most operands it takes */
  const name_list *lists;  /* ends with a NULL title; NULL: none */
  const example *examples; /* ends with NULL words; NULL: none */
  int (*run)(const struct command *self, const arguments *parsed); /* the exit code */
} command;

/* The commands, in the order of help texts; ends with NULL. */
extern const command *const commands[];

extern const command command_train, command_eval, command_measure, command_prune, command_convert, command_compare,
    command_sweep, command_report, command_info, command_export, command_run, command_bench;

const command *command_find(const char *name);

/* The known command nearest to a misspelt name; NULL: none is near. */
const char *command_nearest(const char *name);

/* Help on stdout, at most 80 columns wide. */
void help_print_program(void);
void help_print_command(const command *c);

/* The manual page sapwood(1) in man(7) form, on stdout. */
void manual_print(void);

/* The data sets and models of the library; ends with a NULL title. */
extern const name_list data_and_models[];

#endif
