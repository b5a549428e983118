/* sapwood: finds the command and runs it. */
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "sapwood/version.h"
#include "terminal.h"
#include "waits.h"

static int run_help(int argc, char **argv) {
  if (argc == 0) {
    help_print_program();
    return EXIT_DONE;
  }
  if (argc > 1) return usage_error(NULL, "help: unexpected argument '%s'", argv[1]);
  const command *c = command_find(argv[0]);
  if (!c) return usage_error(NULL, "help: unknown command '%s'", argv[0]);
  help_print_command(c);
  return EXIT_DONE;
}

/* 1 if an option of the words before "--" asks for help. */
static int wants_help(int argc, char **argv) {
  for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
    if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) return 1;
  return 0;
}

static int run_command(const command *c, int argc, char **argv) {
  if (wants_help(argc, argv)) {
    help_print_command(c);
    return EXIT_DONE;
  }
  static option_list list;
  arguments parsed;
  option_list_make(&list, c->settings, c->options);
  const int status = options_parse(c->name, &list, c->operands, argc, argv, &parsed);
  return status == EXIT_DONE ? c->run(c, &parsed) : status;
}

static int dispatch(int argc, char **argv) {
  if (argc < 2) {
    fputs("sapwood: a command is needed\ntry 'sapwood --help'\n", stderr);
    return EXIT_USAGE;
  }
  const char *word = argv[1];
  if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) return run_help(0, NULL);
  if (strcmp(word, "help") == 0) return run_help(argc - 2, argv + 2);
  if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
    printf("sapwood %s\n", sap_version());
    return EXIT_DONE;
  }
  if (strcmp(word, "--man") == 0) {
    manual_print();
    return EXIT_DONE;
  }
  if (word[0] == '-') return usage_error(NULL, "%s: unknown option", word);
  const command *c = command_find(word);
  if (c && c->computes) waits_sleep_soon(argv);
  if (c) return run_command(c, argc - 2, argv + 2);
  const char *near = command_nearest(word);
  if (near) return usage_error(NULL, "unknown command '%s'; did you mean '%s'?", word, near);
  return usage_error(NULL, "unknown command '%s'", word);
}

int main(int argc, char **argv) {
  streams_secure();
  setlocale(LC_CTYPE, "");  /* characters only: numbers keep their decimal point */
  signal(SIGPIPE, SIG_IGN); /* a reader that went away is an error of a write, not the end of a training */
  const int status = dispatch(argc, argv);
  const int error = output_error();
  if (error && status == EXIT_DONE) return failure(NULL, "standard output: %s", strerror(error));
  return status;
}
