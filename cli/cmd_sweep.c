/* sapwood sweep: the runs of a plan, several at a time, each a process of its own. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "commands.h"
#include "interrupt.h"
#include "sapwood/cpu.h"
#include "sweep.h"

/* ---- the folder ---- */

/* Makes the folder and those above it. 0, or an errno. */
static int make_folders(const char *path) {
  char part[SAP_TEXT_SIZE];
  snprintf(part, sizeof part, "%s", path);
  for (char *slash = part; *slash; slash++) {
    if (*slash != '/' || slash == part) continue;
    *slash = 0;
    if (mkdir(part, 0777) != 0 && errno != EEXIST) return errno;
    *slash = '/';
  }
  return mkdir(path, 0777) != 0 && errno != EEXIST ? errno : 0;
}

enum { PATIENCE = 15 }; /* seconds for the runs of a killed sweep to save their state */

/* Holds the folder: alone, or with others that do one run each. The descriptor stays open in the children, too: as long
 * as a run of a killed sweep lives, the folder is taken. */
static int hold_folder(const char *path, int alone) {
  int error = make_folders(path);
  const int descriptor = error ? -1 : open(path, O_RDONLY | O_DIRECTORY);
  if (descriptor < 0) return failure("sweep", "%s: %s", path, strerror(error ? error : errno));
  const struct timespec moment = {.tv_nsec = 100 * 1000 * 1000};
  for (int tries = 0; flock(descriptor, (alone ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0 && errno == EWOULDBLOCK; tries++) {
    if (tries == PATIENCE * 10)
      return failure("sweep", "%s: another sweep is at work in this folder; nothing was started", path);
    if (tries == 0) fprintf(stderr, "%s: another sweep is at work in this folder; waiting for its end\n", path);
    nanosleep(&moment, NULL);
  }
  return EXIT_DONE;
}

/* ---- lists ---- */

static void print_words(const words *w) {
  fputs("sapwood", stdout);
  for (size_t i = 0; i < w->count; i++) {
    putchar(' ');
    word_print(stdout, w->items[i]);
  }
  putchar('\n');
}

static json_t *words_json(size_t number, const char *name, const words *w) {
  json_t *object = json_object(), *list = json_array();
  json_array_append_new(list, json_string("sapwood"));
  for (size_t i = 0; i < w->count; i++) json_array_append_new(list, json_string(w->items[i]));
  json_object_set_new(object, "index", json_integer((json_int_t)number));
  json_object_set_new(object, "name", json_string(name));
  json_object_set_new(object, "command", list);
  return object;
}

static int list_runs(const command *self, const sap_plan *plan, const char *directory, int json) {
  json_t *document = json_array();
  int complete = 1;
  for (size_t i = 0; i < plan->count && complete; i++) {
    char path[SAP_TEXT_SIZE];
    words w = {0};
    snprintf(path, sizeof path, "%s/%s", directory, plan->runs[i].name);
    words_of_run(&w, &plan->runs[i].experiment, path);
    complete = words_complete(&w);
    if (complete && json)
      json_array_append_new(document, words_json(i + 1, plan->runs[i].name, &w));
    else if (complete)
      print_words(&w);
    words_free(&w);
  }
  if (complete && json) output_json(document);
  json_decref(document);
  return complete ? EXIT_DONE : failure(self->name, "%s", strerror(ENOMEM));
}

/* ---- running ---- */

/* The K-th run: becomes it, or says that it is finished. */
static int run_one(const command *self, const sap_plan *plan, const char *directory, int index, int quiet) {
  if (index > (int)plan->count)
    return usage_error(self->name, "--index %d: expected at most %zu, the number of runs", index, plan->count);
  const int code = hold_folder(directory, 0);
  if (code != EXIT_DONE) return code;
  static sweep_run run;
  words w = {0};
  sweep_look(&run, directory, &plan->runs[index - 1]);
  if (run.state == SWEEP_FAILED) return failure(self->name, "%s: %s", run.planned->name, run.reason);
  if (run.state == SWEEP_EARLIER) {
    printf("%s: finished before\n", run.planned->name);
    return EXIT_DONE;
  }
  sweep_words(&w, &run, 0);
  if (quiet) words_add(&w, "--quiet");
  const int error = words_complete(&w) ? job_become(&w) : ENOMEM;
  words_free(&w);
  return failure(self->name, "%s: %s", run.planned->name, strerror(error));
}

static int run_all(const command *self, const sap_plan *plan, const char *directory, const arguments *parsed,
                   int jobs) {
  int code = hold_folder(directory, 1);
  if (code != EXIT_DONE) return code;
  const int threads = sap_threads_get() / jobs;
  sweep s = {.directory = directory,
             .count = plan->count,
             .runs = calloc(plan->count, sizeof *s.runs),
             .jobs = jobs,
             .threads = threads > 1 ? threads : 1,
             .json = option_given(parsed, "json"),
             .quiet = option_given(parsed, "quiet")};
  if (!s.runs) return failure(self->name, "%s", strerror(ENOMEM));
  for (size_t i = 0; i < s.count; i++) sweep_look(&s.runs[i], directory, &plan->runs[i]);
  interrupt_watch();
  code = sweep_all(&s);
  free(s.runs);
  return code;
}

static int sweep_command(const command *self, const arguments *parsed) {
  const char *directory = option_value(parsed, "output");
  int jobs = 1, index = 0;
  int code = option_int(self->name, parsed, "jobs", 1, 1024, &jobs);
  if (code == EXIT_DONE) code = option_int(self->name, parsed, "index", 1, SAP_PLAN_RUNS_MAX, &index);
  if (code != EXIT_DONE) return code;
  if (parsed->operand_count == 0) return usage_error(self->name, "a plan is needed");
  if (!directory) return usage_error(self->name, "missing: -o DIR");
  if (!*directory || strlen(directory) > SAP_TEXT_SIZE - SAP_PLAN_NAME_SIZE - 64)
    return usage_error(self->name, "-o '%.40s': expected the path of a folder", directory);
  const int list = option_given(parsed, "list");
  if (list && index > 0) return usage_error(self->name, "--list and --index: expected one of them");
  sap_plan *plan;
  sap_error err;
  if (sap_plan_open(parsed->operands, parsed->operand_count, &plan, &err) != SAP_OK)
    return failure(self->name, "%s", err.text);
  if (list)
    code = list_runs(self, plan, directory, option_given(parsed, "json"));
  else if (index > 0)
    code = run_one(self, plan, directory, index, option_given(parsed, "quiet"));
  else
    code = run_all(self, plan, directory, parsed, jobs);
  sap_plan_free(plan);
  return code;
}

static const option options[] = {
    {'o', "output", "DIR", NULL, "the folder for the runs; made if need be (required)"},
    {'j', "jobs", "N", "1 <= jobs <= 1024", "runs at a time, each a process; without it one"},
    {0, "list", NULL, NULL, "only print the command line of every run"},
    {0, "index", "K", "1 <= index <= number of runs", "do only the K-th run of the list, in this process"},
    {0, "json", NULL, NULL, "print one JSON document at the end, or the list as one"},
    {'q', "quiet", NULL, NULL, "no progress"},
    {0, NULL, NULL, NULL, NULL},
};

static const example examples[] = {
    {"sapwood sweep experiments/fashion-mnist-mlp.json -o runs/study --jobs 2", "the runs of a plan, two at a time"},
    {"sapwood sweep experiments/fashion-mnist-mlp.json -o runs/study --list", "their command lines"},
    {NULL, NULL},
};

const command command_sweep = {
    .name = "sweep",
    .summary = "many runs from a plan: every combination of the values it lists",
    .synopsis = "PLAN... -o DIR [options]",
    .text =
        "Reads plans, JSON files that give settings of 'sapwood train' lists of values, and does a run for every "
        "combination, each in a folder of DIR whose name says what it is. Runs that are finished are skipped, and "
        "those that were stopped or killed go on from their last saved state, so the same command continues a sweep. "
        "A run that fails does not stop the others; it is named at the end with its reason. A plan without threads "
        "shares out the cores among the jobs. Ctrl-C lets every run save its state and stops.",
    .options = options,
    .operands = OPERANDS_MAX,
    .examples = examples,
    .run = sweep_command,
};
