/* Parsing of command lines by table. */
#include "options.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sapwood/model.h"

static void print_line(const char *command, const char *format, va_list values) {
  fprintf(stderr, "sapwood%s%s: ", command ? " " : "", command ? command : "");
  vfprintf(stderr, format, values);
  fputc('\n', stderr);
}

int usage_error(const char *command, const char *format, ...) {
  va_list values;
  va_start(values, format);
  print_line(command, format, values);
  va_end(values);
  fprintf(stderr, "try 'sapwood%s%s --help'\n", command ? " " : "", command ? command : "");
  return EXIT_USAGE;
}

int failure(const char *command, const char *format, ...) {
  va_list values;
  va_start(values, format);
  print_line(command, format, values);
  va_end(values);
  return EXIT_FAILED;
}

void option_list_make(option_list *list, int settings, const option *own) {
  memset(list, 0, sizeof *list);
  size_t count = 0;
  const sap_setting *table = settings ? sap_experiment_settings(&count) : NULL;
  const sap_experiment standard = sap_experiment_default();
  for (size_t i = 0; i < count && list->count < OPTIONS_MAX; i++, list->count++) {
    const sap_setting *setting = &table[i];
    list->items[i] = (option){0, setting->name, setting->value, setting->range, setting->text};
    list->required[i] = setting->required;
    if (!setting->required) sap_experiment_get(&standard, setting, list->defaults[i], sizeof list->defaults[i]);
  }
  list->settings = list->count;
  for (; own && own->name && list->count < OPTIONS_MAX; own++) list->items[list->count++] = *own;
}

/* ---- nearest name ---- */

enum { WORD_MAX = 32 };

/* Edits (insert, delete, replace, swap of neighbours) that turn a into b; both shorter than WORD_MAX. */
static size_t edit_distance(const char *a, const char *b) {
  size_t rows[3][WORD_MAX + 1];
  const size_t na = strlen(a), nb = strlen(b);
  size_t *before = rows[0], *last = rows[1], *row = rows[2];
  for (size_t j = 0; j <= nb; j++) last[j] = j;
  for (size_t i = 1; i <= na; i++) {
    row[0] = i;
    for (size_t j = 1; j <= nb; j++) {
      size_t best = last[j - 1] + (a[i - 1] != b[j - 1]);
      if (last[j] + 1 < best) best = last[j] + 1;
      if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
      const int swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped && before[j - 2] + 1 < best) best = before[j - 2] + 1;
      row[j] = best;
    }
    size_t *oldest = before;
    before = last;
    last = row;
    row = oldest;
  }
  return last[nb];
}

const char *nearest_name(const char *word, const char *(*next)(const void *data, size_t i), const void *data) {
  const size_t length = strlen(word);
  if (length == 0 || length >= WORD_MAX) return NULL;
  const char *best = NULL, *candidate;
  const size_t limit = length < 3 ? 2 : length / 3 + 2; /* one more than what may differ */
  size_t least = SIZE_MAX;
  for (size_t i = 0; (candidate = next(data, i)) != NULL; i++) {
    if (strlen(candidate) >= WORD_MAX) continue;
    size_t distance = edit_distance(word, candidate);
    /* A word cut short ("iter") is meant as surely as one misspelt. */
    if (length >= 3 && strncmp(word, candidate, length) == 0) distance = 1;
    /* Of two equally near, the one that begins alike. */
    const size_t score = 2 * distance + (word[0] != candidate[0]);
    if (distance < limit && score < least) {
      least = score;
      best = candidate;
    }
  }
  return best;
}

static const char *list_name_at(const void *data, size_t i) {
  const option_list *list = data;
  if (i < list->count) return list->items[i].name;
  return i == list->count ? "help" : NULL;
}

/* ---- parsing ---- */

typedef struct parser {
  const char *command;
  const option_list *list;
  char **words;
  int count, next; /* words; the one to read */
  arguments *parsed;
} parser;

static size_t find_long(const option_list *list, const char *name, size_t length) {
  size_t i = 0;
  while (i < list->count && !(strncmp(list->items[i].name, name, length) == 0 && !list->items[i].name[length])) i++;
  return i;
}

static int take(parser *p, size_t found, const char *value) {
  arguments *parsed = p->parsed;
  if (parsed->given_count == GIVEN_MAX) return usage_error(p->command, "more than %d options", GIVEN_MAX);
  parsed->values[found] = value;
  parsed->given[parsed->given_count].option = found;
  parsed->given[parsed->given_count++].value = value;
  return EXIT_DONE;
}

/* The value in the next word. A word like --name is the next option, not a value. */
static int take_value(parser *p, size_t found, const char *written) {
  const option *o = &p->list->items[found];
  const char *word = p->next < p->count ? p->words[p->next] : NULL;
  if (!word || strncmp(word, "--", 2) == 0) return usage_error(p->command, "%s: needs a value, %s", written, o->value);
  p->next++;
  return take(p, found, word);
}

static int parse_long(parser *p, const char *word) {
  const char *name = word + 2, *equals = strchr(name, '=');
  const size_t length = equals ? (size_t)(equals - name) : strlen(name);
  const size_t found = find_long(p->list, name, length);
  if (found == p->list->count) {
    char typed[WORD_MAX] = "";
    if (length < sizeof typed) memcpy(typed, name, length);
    const char *near = nearest_name(typed, list_name_at, p->list);
    if (near) return usage_error(p->command, "--%.*s: unknown option; did you mean --%s?", (int)length, name, near);
    return usage_error(p->command, "--%.*s: unknown option", (int)length, name);
  }
  const option *o = &p->list->items[found];
  if (!o->value && equals) return usage_error(p->command, "--%s: takes no value", o->name);
  if (o->value && !equals) return take_value(p, found, word);
  return take(p, found, equals ? equals + 1 : "");
}

static int parse_short(parser *p, const char *word) {
  for (const char *letter = word + 1; *letter; letter++) {
    size_t found = 0;
    while (found < p->list->count && p->list->items[found].letter != *letter) found++;
    if (found == p->list->count) return usage_error(p->command, "-%c: unknown option", *letter);
    if (p->list->items[found].value) {
      if (!letter[1]) return take_value(p, found, (char[]){'-', *letter, 0});
      return take(p, found, letter + 1);
    }
    const int code = take(p, found, "");
    if (code != EXIT_DONE) return code;
  }
  return EXIT_DONE;
}

int options_parse(const char *command, const option_list *list, size_t operands, int argc, char **argv,
                  arguments *parsed) {
  parser p = {command, list, argv, argc, 0, parsed};
  memset(parsed, 0, sizeof *parsed);
  parsed->list = list;
  int ended = 0, status = EXIT_DONE;
  while (status == EXIT_DONE && p.next < argc) {
    const char *word = argv[p.next++];
    if (ended || word[0] != '-' || !word[1]) {
      if (parsed->operand_count == operands || parsed->operand_count == OPERANDS_MAX)
        return usage_error(command, "unexpected argument '%s'", word);
      parsed->operands[parsed->operand_count++] = word;
    } else if (strcmp(word, "--") == 0) {
      ended = 1;
    } else {
      status = word[1] == '-' ? parse_long(&p, word) : parse_short(&p, word);
    }
  }
  return status;
}

const char *option_value(const arguments *parsed, const char *name) {
  const size_t found = find_long(parsed->list, name, strlen(name));
  return found < parsed->list->count ? parsed->values[found] : NULL;
}

int option_given(const arguments *parsed, const char *name) { return option_value(parsed, name) != NULL; }

const char *option_next(const arguments *parsed, const char *name, size_t *at) {
  const size_t found = find_long(parsed->list, name, strlen(name));
  while (*at < parsed->given_count) {
    const size_t i = (*at)++;
    if (parsed->given[i].option == found) return parsed->given[i].value;
  }
  return NULL;
}

/* "--NAME TEXT: expected RANGE" */
static int range_error(const char *command, const arguments *parsed, const char *name, const char *text) {
  const size_t found = find_long(parsed->list, name, strlen(name));
  return usage_error(command, "--%s %s: expected %s", name, text, parsed->list->items[found].range);
}

int option_real(const char *command, const arguments *parsed, const char *name, double *number) {
  const char *text = option_value(parsed, name);
  if (!text) return EXIT_DONE;
  char *end;
  const double value = strtod(text, &end);
  if (end == text || *end || !isfinite(value)) return range_error(command, parsed, name, text);
  *number = value;
  return EXIT_DONE;
}

int option_word(const char *command, const arguments *parsed, const char *name, const char *(*name_at)(size_t i),
                int *word) {
  const char *text = option_value(parsed, name);
  if (!text) return EXIT_DONE;
  for (size_t i = 0; name_at(i); i++) {
    if (strcmp(name_at(i), text) != 0) continue;
    *word = (int)i;
    return EXIT_DONE;
  }
  return range_error(command, parsed, name, text);
}

int option_int(const char *command, const arguments *parsed, const char *name, int least, int most, int *number) {
  const char *text = option_value(parsed, name);
  if (!text) return EXIT_DONE;
  char *end;
  errno = 0;
  const long value = strtol(text, &end, 10);
  if (end == text || *end || errno || value < least || value > most) return range_error(command, parsed, name, text);
  *number = (int)value;
  return EXIT_DONE;
}

int option_known(const char *command, const arguments *parsed, const char *name, const char *(*name_at)(size_t i)) {
  const char *text = option_value(parsed, name);
  if (!text) return EXIT_DONE;
  const size_t length = strcspn(text, ":");
  char known[256] = "";
  for (size_t i = 0, used = 0; name_at(i); i++) {
    if (strlen(name_at(i)) == length && strncmp(name_at(i), text, length) == 0) return EXIT_DONE;
    if (used < sizeof known)
      used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", name_at(i));
  }
  return usage_error(command, "--%s %.*s: expected one of %s", name, (int)length, text, known);
}

int option_model(const char *command, const arguments *parsed) {
  const char *model = option_value(parsed, "model");
  return model && sap_model_is_file(model) ? EXIT_DONE : option_known(command, parsed, "model", sap_model_name_at);
}
