#include "report/run.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "io/file.h"

/* The metrics of a thousand iterations of two hundred epochs are some 60 MB. */
#define METRICS_LIMIT ((size_t)1 << 30)
#define CONFIG_LIMIT ((size_t)1 << 20)

enum { DEPTH_MAX = 4 };

/* A copy of the text, which is freed. */
static char *take_text(sap__text *text) {
  char *copy = text->failed ? NULL : sap__strdup(text->bytes ? text->bytes : "");
  sap__text_free(text);
  return copy;
}

sap_status sap__report_note(sap__report_runs *runs, sap_error *err, const char *format, ...) {
  char line[SAP_ERROR_TEXT_SIZE + 64];
  va_list values;
  va_start(values, format);
  vsnprintf(line, sizeof line, format, values);
  va_end(values);
  sap__text tidy = {0};
  sap__text_add_tidy(&tidy, line);
  if (!sap__grow(&runs->notes, runs->note_count, sizeof *runs->notes) ||
      !(runs->notes[runs->note_count] = take_text(&tidy))) {
    sap__text_free(&tidy);
    return sap__fail_memory(err, sizeof line);
  }
  runs->note_count++;
  return SAP_OK;
}

/* ---- one run ---- */

static void run_free(sap__report_run *run) {
  sap__metrics_free(&run->metrics);
  sap__free(run->label);
  sap__free(run->origin);
}

/* "sapwood 0.1.0, Linux x86_64, avx512, onednn": of what config.json has beside the settings, what is there. NULL
 * without memory. */
static char *read_origin(const char *config) {
  static const char *const keys[] = {"system", "processor", "instructions", "engine"};
  char *bytes;
  size_t size;
  sap__text origin = {0};
  const sap_status status = sap__file_read(config, CONFIG_LIMIT, &bytes, &size, NULL);
  if (status) return status == SAP_ERROR_MEMORY ? NULL : sap__strdup("");
  json_t *object = json_loadb(bytes, size, 0, NULL);
  sap__free(bytes);
  const char *version = json_string_value(json_object_get(object, "sapwood"));
  if (version) {
    sap__text_add(&origin, "sapwood ");
    sap__text_add_tidy(&origin, version);
  }
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    const char *word = json_string_value(json_object_get(json_object_get(object, "machine"), keys[i]));
    if (!word) continue;
    sap__text_add(&origin, "%s", !origin.length ? "" : i == 1 ? " " : ", ");
    sap__text_add_tidy(&origin, word);
  }
  json_decref(object);
  return take_text(&origin);
}

static sap_status read_metrics(const char *run, sap__metrics *metrics, sap_error *err) {
  char path[PATH_MAX];
  char *text;
  size_t size;
  snprintf(path, sizeof path, "%s/metrics.jsonl", run);
  sap_status status = sap__file_read_start(path, METRICS_LIMIT, &text, &size, err);
  if (status) return status;
  status = sap__metrics_parse(text, size, metrics, err);
  sap__free(text);
  return status;
}

static sap_status run_read(const char *path, sap__report_run *run, sap_error *err) {
  char config[PATH_MAX];
  sap__text label = {0};
  snprintf(config, sizeof config, "%s/config.json", path);
  *run = (sap__report_run){0};
  sap_status status = sap_experiment_load(path, &run->settings, err);
  if (!status) status = read_metrics(path, &run->metrics, err);
  if (!status) {
    sap__text_add_tidy(&label, path);
    run->label = take_text(&label);
    run->origin = read_origin(config);
    run->finished = run->metrics.stopped || run->metrics.count == (size_t)run->settings.iterations + 1;
    if (!run->label || !run->origin) status = sap__fail_memory(err, strlen(path));
  }
  if (status) run_free(run);
  return status;
}

/* Adds a run that was read, with notes about what it lacks. One without an iteration is left out. */
static sap_status keep(sap__report_runs *runs, sap__report_run *run, sap_error *err) {
  const size_t skipped = run->metrics.skipped;
  sap_status status = SAP_OK;
  if (skipped)
    status = sap__report_note(runs, err, "%s: %zu line%s of metrics.jsonl left out: not whole",
                              sap__path_tail(run->label), skipped, skipped == 1 ? "" : "s");
  if (!status && run->metrics.count == 0) {
    status = sap__report_note(runs, err, "%s: left out: no iteration has finished yet", sap__path_tail(run->label));
    run_free(run);
    return status;
  }
  if (!status && !sap__grow(&runs->items, runs->count, sizeof *runs->items))
    status = sap__fail_memory(err, sizeof *runs->items);
  if (status)
    run_free(run);
  else
    runs->items[runs->count++] = *run;
  return status;
}

static sap_status add_run(sap__report_runs *runs, const char *path, sap_error *err) {
  sap__report_run run;
  sap_status status = run_read(path, &run, err);
  return status ? status : keep(runs, &run, err);
}

/* ---- folders ---- */

static int exists(const char *folder, const char *name) {
  char path[PATH_MAX];
  struct stat status;
  return snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path && !stat(path, &status);
}

static int is_folder(const char *path) {
  struct stat status;
  return !stat(path, &status) && S_ISDIR(status.st_mode);
}

typedef struct names {
  size_t count;
  char **items;
} names;

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void names_free(names *list) {
  for (size_t i = 0; i < list->count; i++) sap__free(list->items[i]);
  sap__free(list->items);
}

/* The visible entries of a folder in the order of their names. */
static sap_status read_names(const char *path, names *list, sap_error *err) {
  DIR *folder = opendir(path);
  if (!folder) return sap__fail_system(err, path, errno);
  sap_status status = SAP_OK;
  for (struct dirent *entry; !status && (entry = readdir(folder));) {
    if (entry->d_name[0] == '.') continue;
    char *name = sap__grow(&list->items, list->count, sizeof *list->items) ? sap__strdup(entry->d_name) : NULL;
    if (name)
      list->items[list->count++] = name;
    else
      status = sap__fail_memory(err, strlen(entry->d_name) + 1);
  }
  closedir(folder);
  if (list->count) qsort(list->items, list->count, sizeof *list->items, by_text);
  return status;
}

static sap_status add_folder(sap__report_runs *runs, const char *path, int depth, sap_error *err);

/* An entry of a folder: what is no folder is passed over; a run or folder that cannot be read gets a note. */
static sap_status add_entry(sap__report_runs *runs, const char *path, int depth, sap_error *err) {
  if (!is_folder(path)) return SAP_OK;
  sap_error reason;
  sap_status status = SAP_OK;
  if (exists(path, "config.json"))
    status = add_run(runs, path, &reason);
  else if (depth < DEPTH_MAX)
    status = add_folder(runs, path, depth + 1, &reason);
  if (status == SAP_OK) return SAP_OK;
  if (status == SAP_ERROR_MEMORY) return sap__fail(err, status, "%s", reason.text);
  return sap__report_note(runs, err, "left out: %s", reason.text);
}

static sap_status add_folder(sap__report_runs *runs, const char *path, int depth, sap_error *err) {
  names list = {0};
  sap_status status = read_names(path, &list, err);
  for (size_t i = 0; i < list.count && !status; i++) {
    char entry[PATH_MAX];
    const size_t length = strlen(path);
    if (snprintf(entry, sizeof entry, "%s%s%s", path, length && path[length - 1] == '/' ? "" : "/", list.items[i]) <
        (int)sizeof entry)
      status = add_entry(runs, entry, depth, err);
  }
  names_free(&list);
  return status;
}

sap_status sap__report_runs_add(sap__report_runs *runs, const char *path, sap_error *err) {
  if (!is_folder(path) || exists(path, "config.json")) return add_run(runs, path, err);
  const size_t runs_before = runs->count, notes_before = runs->note_count;
  sap_status status = add_folder(runs, path, 1, err);
  if (status || runs->count > runs_before || runs->note_count > notes_before) return status;
  return sap__fail(err, SAP_ERROR_NOT_FOUND, "%s: neither a run (no config.json) nor a folder with runs",
                   sap__path_tail(path));
}

void sap__report_runs_free(sap__report_runs *runs) {
  for (size_t i = 0; i < runs->count; i++) run_free(&runs->items[i]);
  for (size_t i = 0; i < runs->note_count; i++) sap__free(runs->notes[i]);
  sap__free(runs->items);
  sap__free(runs->notes);
  *runs = (sap__report_runs){0};
}
