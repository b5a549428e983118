/* What a report says, on stdout. */
#include "report_show.h"

#include <math.h>
#include <string.h>

#include "terminal.h"

static json_t *limit_json(const sap_report_limit *limit) {
  json_t *object = json_object();
  json_object_set_new(object, "points", json_number(limit->points));
  json_object_set_new(object, "iteration", limit->iteration >= 0 ? json_integer(limit->iteration) : json_null());
  json_object_set_new(object, "density", json_number(limit->density));
  json_object_set_new(object, "accuracy", json_number(limit->accuracy));
  json_object_set_new(object, "accuracy_sd", json_number(limit->accuracy_sd));
  return object;
}

static json_t *series_json(const sap_report_series *series) {
  json_t *object = json_object(), *limits = json_array();
  json_object_set_new(object, "data", json_string(series->data));
  json_object_set_new(object, "model", json_string(series->model));
  json_object_set_new(object, "name", json_string(series->name));
  json_object_set_new(object, "runs", json_integer((json_int_t)series->runs));
  json_object_set_new(object, "finished", json_integer((json_int_t)series->finished));
  json_object_set_new(object, "iterations", json_integer(series->iterations));
  json_object_set_new(object, "dense_accuracy", json_number(series->dense_accuracy));
  json_object_set_new(object, "dense_accuracy_sd", json_number(series->dense_accuracy_sd));
  for (size_t i = 0; i < SAP_REPORT_LIMITS; i++) json_array_append_new(limits, limit_json(&series->limits[i]));
  json_object_set_new(object, "within", limits);
  return object;
}

void report_show_json(json_t *written, const sap_report *report) {
  json_t *document = json_object(), *list = json_array(), *words = json_array(), *notes = json_array();
  for (size_t i = 0; sap_report_series_at(report, i); i++)
    json_array_append_new(list, series_json(sap_report_series_at(report, i)));
  for (size_t i = 0; sap_report_words(report, i); i++)
    json_array_append_new(words, json_string(sap_report_words(report, i)));
  for (size_t i = 0; sap_report_note_at(report, i); i++)
    json_array_append_new(notes, json_string(sap_report_note_at(report, i)));
  json_object_set(document, "files", written);
  json_object_set_new(document, "series", list);
  json_object_set_new(document, "words", words);
  json_object_set_new(document, "notes", notes);
  output_json(document);
  json_decref(document);
}

/* "89.64 ± 0.12 %" or "89.64 %" in buffer[32]; the sign as the terminal can show it. */
static const char *accuracy_text(const terminal *t, double mean, double sd, char *buffer) {
  if (!isfinite(mean))
    snprintf(buffer, 32, "-");
  else if (isfinite(sd))
    snprintf(buffer, 32, "%.2f %s %.2f %%", 100 * mean, t->utf8 ? "±" : "+-", 100 * sd);
  else
    snprintf(buffer, 32, "%.2f %%", 100 * mean);
  return buffer;
}

/* Pads to a width counted in characters: a ± has two bytes. */
static void print_cell(const char *text, int width) {
  int characters = 0;
  for (const char *c = text; *c; c++) characters += (*c & 0xC0) != 0x80;
  printf("  %*s%s", width > characters ? width - characters : 0, "", text);
}

static void print_limit(const terminal *t, const sap_report_limit *limit) {
  char density[32] = "-", iteration[32] = "-", accuracy[32] = "-";
  if (limit->iteration >= 0) {
    snprintf(density, sizeof density, "%#.3g %%", 100 * limit->density);
    snprintf(iteration, sizeof iteration, "%d", limit->iteration);
    accuracy_text(t, limit->accuracy, limit->accuracy_sd, accuracy);
  }
  print_cell(density, 8);
  print_cell(iteration, 9);
  print_cell(accuracy, 14);
}

/* The library's sentences, with signs that the terminal can show. */
static void print_words(const terminal *t, const char *words) {
  static const char *const signs[][2] = {{"±", "+-"}, {"–", "-"}};
  while (*words) {
    size_t i = 0;
    while (i < 2 && (t->utf8 || strncmp(words, signs[i][0], strlen(signs[i][0])) != 0)) i++;
    if (i < 2)
      fputs(signs[i][1], stdout);
    else
      putchar(*words);
    words += i < 2 ? strlen(signs[i][0]) : 1;
  }
}

static void print_section(const terminal *t, const sap_report *report, size_t section, size_t first) {
  int width = (int)strlen("series");
  const sap_report_series *series;
  for (size_t i = first; (series = sap_report_series_at(report, i)) && series->section == section; i++)
    if ((int)strlen(series->name) > width) width = (int)strlen(series->name);
  series = sap_report_series_at(report, first);
  printf("%s%s on %s%s\n", style_begin(t, STYLE_STRONG), series->model, series->data, style_end(t, STYLE_STRONG));
  printf("%s%-*s  %4s  %14s", style_begin(t, STYLE_STRONG), width, "series", "runs", "dense accuracy");
  for (size_t i = 0; i < SAP_REPORT_LIMITS; i++)
    printf("  within %.1f  %9s  %14s", series->limits[i].points, "iteration", "accuracy");
  printf("%s\n", style_end(t, STYLE_STRONG));
  for (size_t i = first; (series = sap_report_series_at(report, i)) && series->section == section; i++) {
    char dense[32];
    printf("%-*s  %4zu", width, series->name, series->runs);
    print_cell(accuracy_text(t, series->dense_accuracy, series->dense_accuracy_sd, dense), 14);
    for (size_t k = 0; k < SAP_REPORT_LIMITS; k++) print_limit(t, &series->limits[k]);
    putchar('\n');
  }
  putchar('\n');
  print_words(t, sap_report_words(report, section));
  fputs("\n\n", stdout);
}

void report_show_text(const json_t *written, const sap_report *report) {
  const terminal t = terminal_of(stdout);
  const sap_report_series *series;
  for (size_t i = 0, section = 0; (series = sap_report_series_at(report, i)); i++) {
    if (i && series->section < section) continue;
    print_section(&t, report, series->section, i);
    section = series->section + 1;
  }
  const char *first = json_string_value(json_array_get(written, 0));
  const size_t count = json_array_size(written);
  if (count == 1) printf("written: %s\n", first);
  if (count > 1) printf("written: %zu files in %.*s\n", count, (int)(strrchr(first, '/') - first), first);
}
