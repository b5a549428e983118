/* --help, from the tables. */
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "sapwood/version.h"

enum { WIDTH = 80, TEXT_COLUMN = 26 };

/* Stands for a space that is no place to break a line. */
#define GLUE '\001'

/* Prints words from the given column on, wrapped to WIDTH, with `indent` spaces before further lines. */
static void print_wrapped(const char *text, int column, int indent) {
  int at = column;
  while (*text) {
    const int length = (int)strcspn(text, " ");
    if (at > indent && at + 1 + length > WIDTH) {
      printf("\n%*s", indent, "");
      at = indent;
    } else if (at > indent) {
      putchar(' ');
      at++;
    }
    for (int i = 0; i < length; i++) putchar(text[i] == GLUE ? ' ' : text[i]);
    at += length;
    text += length;
    while (*text == ' ') text++;
  }
  putchar('\n');
}

/* A term in the left column and its text in the right one. */
static void print_entry(const char *term, const char *text) {
  printf("  %s", term);
  const int used = 2 + (int)strlen(term);
  if (used + 2 > TEXT_COLUMN)
    printf("\n%*s", TEXT_COLUMN, "");
  else
    printf("%*s", TEXT_COLUMN - used, "");
  print_wrapped(text, TEXT_COLUMN, TEXT_COLUMN);
}

/* "[RANGE; default D]" into text[size], in one piece where that fits in a line. */
static void format_range(const option_list *list, size_t i, char *text, size_t size) {
  const char *range = list->items[i].range;
  const char *standard = list->defaults[i];
  text[0] = 0;
  if (!range && !*standard && !list->required[i]) return;
  snprintf(text, size, " [%s%s%s%s]", range ? range : "", range ? "; " : "",
           list->required[i] ? "required" : (*standard ? "default " : ""), standard);
  if (range && !list->required[i] && !*standard) snprintf(text, size, " [%s]", range);
  if (strlen(text) > WIDTH - TEXT_COLUMN) return;
  for (char *c = text + 1; *c; c++)
    if (*c == ' ') *c = GLUE;
}

static void print_option(const option_list *list, size_t i) {
  const option *o = &list->items[i];
  char term[96], text[512], range[256];
  const char letter[] = {'-', o->letter, ',', ' ', 0};
  snprintf(term, sizeof term, "%s--%s%s%s", o->letter ? letter : "", o->name, o->value ? " " : "",
           o->value ? o->value : "");
  format_range(list, i, range, sizeof range);
  snprintf(text, sizeof text, "%s%s", o->text, range);
  print_entry(term, text);
}

static void print_lists(const name_list *lists) {
  for (; lists && lists->title; lists++) {
    printf("\n%s:\n", lists->title);
    for (size_t i = 0; lists->name_at(i); i++) print_entry(lists->name_at(i), lists->text_at(i));
  }
}

void help_print_command(const command *c) {
  static option_list list;
  option_list_make(&list, c->settings, c->options);
  char usage[512];
  snprintf(usage, sizeof usage, "Usage: sapwood %s %s", c->name, c->synopsis);
  print_wrapped(usage, 0, 0);
  putchar('\n');
  print_wrapped(c->text, 0, 0);
  if (list.settings) printf("\nSettings of the experiment:\n");
  for (size_t i = 0; i < list.count; i++) {
    if (i == list.settings) printf("\nOptions:\n");
    print_option(&list, i);
  }
  print_entry("-h, --help", "print this help");
  print_lists(c->lists);
  if (c->examples) printf("\nExamples:\n");
  for (const example *e = c->examples; e && e->words; e++) {
    printf("  # %s\n  %s\n", e->text, e->words);
  }
}

void help_print_program(void) {
  printf(
      "Usage: sapwood COMMAND [options]\n\n"
      "Measures how compressible a neural network is and prunes it by that measure\n"
      "(PQ Index and Sparsity-informed Adaptive Pruning, arXiv 2302.05601).\n\nCommands:\n");
  for (size_t i = 0; commands[i]; i++) print_entry(commands[i]->name, commands[i]->summary);
  print_entry("help [COMMAND]", "print this help, or that of a command");
  printf("\nOptions:\n");
  print_entry("-h, --help", "print this help");
  print_entry("-V, --version", "print the version");
  printf("\n'sapwood COMMAND --help' shows the options of a command; 'man sapwood' shows all.\n");
}
