/* The manual page sapwood(1), from the same tables as --help. Form: man(7). */
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "sapwood/version.h"

/* The date in the page's foot: that of its last change in substance. */
static const char date[] = "2026-07-01";

/* One character, escaped where roff would read it as its own. */
static void put_character(char c) {
  if (c == '\\')
    fputs("\\e", stdout);
  else if (c == '-')
    fputs("\\-", stdout);
  else if (c == '\'')
    fputs("\\(aq", stdout);
  else
    putchar(c);
}

/* Text within a line. */
static void put(const char *text) {
  if (*text == '.') fputs("\\&", stdout);
  for (; *text; text++) put_character(*text);
}

/* Text as lines of its own: capitalised, one sentence a line, no line much longer than 70 characters. */
static void put_text(const char *text) {
  int column = 0;
  for (const char *c = text; *c; c++) {
    const int sentence_ends = c > text && c[-1] == '.', word_ends = column + (int)strcspn(c + 1, " ") >= 70;
    if (*c == ' ' && (sentence_ends || word_ends)) {
      fputs(c[1] == '.' ? "\n\\&" : "\n", stdout);
      column = 0;
      continue;
    }
    put_character(c == text && *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c);
    column++;
  }
}

static void put_paragraph(const char *text) {
  put_text(text);
  putchar('\n');
}

/* ".TP" with a bold term and an italic value, each NULL: none. */
static void put_term(const char *term, const char *value) {
  fputs(".TP\n\\fB", stdout);
  put(term);
  fputs("\\fR", stdout);
  if (value) {
    fputs(" \\fI", stdout);
    put(value);
    fputs("\\fR", stdout);
  }
  putchar('\n');
}

static void put_option(const option_list *list, size_t i) {
  const option *o = &list->items[i];
  char term[64];
  const char letter[] = {'-', o->letter, ',', ' ', 0};
  snprintf(term, sizeof term, "%s--%s", o->letter ? letter : "", o->name);
  put_term(term, o->value);
  put_text(o->text);
  puts(".");
  if (o->range) printf("Expected: %s.\n", o->range);
  if (list->required[i]) puts("Required.");
  if (list->defaults[i][0]) printf("Default: %s.\n", list->defaults[i]);
}

static void put_command(const command *c) {
  static option_list list;
  option_list_make(&list, c->settings, c->options);
  printf(".SS sapwood %s\n", c->name);
  printf("\\fBsapwood %s\\fR ", c->name);
  put(c->synopsis);
  puts("\n.PP");
  put_paragraph(c->text);
  for (size_t i = 0; i < list.count; i++) put_option(&list, i);
}

static void put_lists(void) {
  for (const name_list *l = data_and_models; l->title; l++) {
    fputs(".SH ", stdout);
    for (const char *c = l->title; *c; c++) putchar(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
    putchar('\n');
    for (size_t i = 0; l->name_at(i); i++) {
      put_term(l->name_at(i), NULL);
      put_paragraph(l->text_at(i));
    }
  }
}

static void put_examples(void) {
  size_t shown = 0;
  puts(".SH EXAMPLES");
  for (size_t i = 0; commands[i]; i++)
    for (const example *e = commands[i]->examples; e && e->words; e++) {
      if (shown++) puts(".PP"); /* none after a heading */
      put_paragraph(e->text);
      puts(".RS 4\n.nf");
      put(e->words);
      puts("\n.fi\n.RE");
    }
}

/* Term and text of a section that does not come from the tables. */
typedef struct entry {
  const char *term, *text;
} entry;

static const entry exit_codes[] = {
    {"0", "Done."},
    {"1", "Failed: data, a file, memory or the training itself. One line on standard error says why."},
    {"2", "The command line is wrong. One line on standard error names the option and what was expected."},
    {"130", "Interrupted by SIGINT or SIGTERM; the state is saved, and --resume continues the run."},
    {NULL, NULL}};

static const entry environment[] = {
    {"SAP_CPU",
     "The instruction set to use: scalar, neon, avx2 or avx512. A set that the processor lacks is ignored. "
     "Without it the best one is taken."},
    {"NO_COLOR", "If set and not empty, nothing is printed in colour."},
    {NULL, NULL}};

static const entry files[] = {{"config.json", "Every setting, the version and the machine: enough to repeat the run."},
                              {"metrics.jsonl", "One JSON object a line for every epoch and every iteration."},
                              {"initial.safetensors", "The weights before training."},
                              {"iteration-NN.safetensors", "The weights and masks at the end of each iteration."},
                              {"state.safetensors", "What --resume needs; replaced as a whole after every epoch."},
                              {NULL, NULL}};

static void put_entries(const entry *entries) {
  for (; entries->term; entries++) {
    put_term(entries->term, NULL);
    put_paragraph(entries->text);
  }
}

void manual_print(void) {
  printf(".TH SAPWOOD 1 %s \"sapwood %s\"\n", date, sap_version());
  puts(".SH NAME\nsapwood \\- measure how compressible a neural network is, and prune it");
  puts(".SH SYNOPSIS\n\\fBsapwood\\fR \\fICOMMAND\\fR [\\fIoptions\\fR]");
  puts(".PP\n\\fBsapwood help\\fR [\\fICOMMAND\\fR]\n.PP\n\\fBsapwood \\-\\-version\\fR\n.SH DESCRIPTION");
  put_paragraph(
      "Sapwood implements the PQ Index and Sparsity-informed Adaptive Pruning (SAP) of Diao, Wang, Zhan, Yang, Ding "
      "and Tarokh, \"Pruning Deep Neural Networks from a Sparsity Perspective\" (ICLR 2023, arXiv 2302.05601). "
      "Results go to standard output, everything else to standard error. "
      "A progress bar appears when standard error is a terminal.");
  puts(".SH COMMANDS");
  for (size_t i = 0; commands[i]; i++) put_command(commands[i]);
  put_lists();
  puts(".SH EXIT STATUS");
  put_entries(exit_codes);
  puts(".SH ENVIRONMENT");
  put_entries(environment);
  puts(".SH FILES\nA run directory, made by \\fBsapwood train \\-o\\fR \\fIRUN\\fR, holds:");
  put_entries(files);
  put_examples();
}
