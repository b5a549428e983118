/* sapwood train: one experiment into a run directory. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "commands.h"
#include "interrupt.h"
#include "progress.h"
#include "recommend.h"
#include "results.h"
#include "sapwood/dataset.h"
#include "sapwood/model.h"
#include "sapwood/prune.h"
#include "terminal.h"
#include "words.h"

/* What the callbacks work on. */
typedef struct session {
  const char *run;
  int json;
  int resumed;
  int recommends;  /* the iteration to keep is shown at the end */
  terminal screen; /* stdout */
  progress_bar bar;
  json_t *iterations; /* of the whole run, also those of earlier sessions */
} session;

/* ---- callbacks ---- */

static void print_title(const sap_experiment *e, const session *s) {
  const sap_prune_options *prune = &e->prune;
  printf("%s on %s: ", e->model, e->data);
  if (prune->method == SAP_METHOD_DENSE)
    printf("dense");
  else
    printf("%s, %s scope, ", sap_method_name(prune->method), sap_scope_name(prune->scope));
  if (prune->method == SAP_METHOD_SAP)
    printf("p %g, q %g", prune->p, prune->q);
  else if (prune->method != SAP_METHOD_DENSE)
    printf("ratio %g", prune->ratio);
  printf("; iterations 0 to %d of %d epoch%s each; seed %" PRIu64 "%s\n\n", e->iterations, e->epochs,
         e->epochs == 1 ? "" : "s", e->seed, s->resumed ? "; resumed" : "");
}

static void on_started(void *user, const sap_experiment *experiment, int resumed) {
  session *s = user;
  s->resumed = resumed;
  if (resumed) results_read(s->run, s->iterations);
  if (s->json) return;
  print_title(experiment, s);
  results_print_head(&s->screen);
  size_t i;
  const json_t *iteration;
  json_array_foreach(s->iterations, i, iteration) results_print_row(iteration);
  output_flush();
}

static void on_progress(void *user, const sap_progress *progress) {
  progress_update(&((session *)user)->bar, progress);
}

static void on_epoch(void *user, const sap_epoch_record *record) { progress_epoch(&((session *)user)->bar, record); }

static void on_iteration(void *user, const sap_iteration_record *record) {
  session *s = user;
  json_t *iteration = results_from_record(record);
  json_array_append_new(s->iterations, iteration);
  if (s->json) return;
  progress_clear(&s->bar);
  results_print_row(iteration);
  output_flush();
}

/* Where the steps' time went, on stderr: it is about the machine, and no result. */
static void on_profile(void *user, const sap_profile *profile) {
  progress_clear(&((session *)user)->bar);
  const double steps = profile->steps ? (double)profile->steps : 1, all = profile->seconds > 0 ? profile->seconds : 1;
  double rows = 0;
  fprintf(stderr, "processor time of a training step, ms\n%-16s %9s %9s %9s %9s %9s %7s\n", "op", "forward", "dx", "dw",
          "copies", "sum", "share");
  for (size_t i = 0; i < profile->row_count; i++) {
    const sap_profile_row *row = &profile->rows[i];
    const double sum = row->forward + row->data + row->weights + row->copies, to_ms = 1e3 / steps;
    fprintf(stderr, "%-16s %9.2f %9.2f %9.2f %9.2f %9.2f %6.1f%%\n", row->op, row->forward * to_ms, row->data * to_ms,
            row->weights * to_ms, row->copies * to_ms, sum * to_ms, 100 * sum / all);
    rows += sum;
  }
  fprintf(stderr, "%-16s %49.2f %6.1f%%\n", "update and rest", (profile->seconds - rows) * 1e3 / steps,
          100 * (profile->seconds - rows) / all);
}

static int on_stop(void *user) {
  (void)user;
  return interrupt_requested();
}

/* ---- settings ---- */

/* 1 if a text of the library begins with the setting's name as a word. */
static int names_setting(const char *text, const char *name) {
  const size_t length = strlen(name);
  return strncmp(text, name, length) == 0 && (text[length] == ' ' || text[length] == ':');
}

/* A text of the library about a setting as a usage error about its option: "--NAME VALUE: expected RANGE". */
static int settings_error(const command *self, const sap_experiment *experiment, const sap_error *err) {
  size_t count;
  const sap_setting *settings = sap_experiment_settings(&count);
  for (size_t i = 0; i < count; i++) {
    if (!names_setting(err->text, settings[i].name)) continue;
    char value[SAP_TEXT_SIZE];
    if (strstr(err->text, ": expected ")) return usage_error(self->name, "--%s", err->text);
    sap_experiment_get(experiment, &settings[i], value, sizeof value);
    return usage_error(self->name, "--%s %s: expected %s", settings[i].name, value, settings[i].range);
  }
  return usage_error(self->name, "%s", err->text);
}

/* Lays the given options over *experiment. A value out of its range counts before an option that is missing. */
static int apply_options(const command *self, const arguments *parsed, sap_experiment *experiment) {
  size_t count;
  const sap_setting *settings = sap_experiment_settings(&count);
  sap_error err;
  for (size_t i = 0; i < count; i++) {
    const char *text = parsed->values[i]; /* the list begins with the settings */
    if (text && sap_experiment_set(experiment, &settings[i], text, &err) != SAP_OK)
      return usage_error(self->name, "--%s %s: expected %s", settings[i].name, text, settings[i].range);
  }
  sap_experiment complete = *experiment;
  if (!*complete.data) snprintf(complete.data, sizeof complete.data, "%s", sap_dataset_name_at(0));
  if (!*complete.model) snprintf(complete.model, sizeof complete.model, "%s", sap_model_name_at(0));
  if (sap_experiment_check(&complete, &err) != SAP_OK) return settings_error(self, &complete, &err);
  const int data = !*experiment->data, model = !*experiment->model, output = !option_given(parsed, "output");
  if (data || model || output)
    return usage_error(self->name, "missing:%s%s%s", data ? " --data NAME[:PATH]" : "", model ? " --model NAME" : "",
                       output ? " -o RUN" : "");
  return EXIT_DONE;
}

static int load_settings(const command *self, const char *run, sap_experiment *experiment) {
  sap_error err;
  const sap_status status = sap_experiment_load(run, experiment, &err);
  if (status == SAP_OK) return EXIT_DONE;
  if (status == SAP_ERROR_NOT_FOUND) return usage_error(self->name, "--resume: %s holds no run to continue", run);
  return failure(self->name, "%s", err.text);
}

/* ---- ends ---- */

static int report_failure(const command *self, const session *s, const sap_experiment *experiment, sap_status status,
                          const sap_error *err) {
  switch (status) {
    case SAP_INTERRUPTED:
      fputs("interrupted; state saved. Resume with: sapwood train -o ", stderr);
      word_print(stderr, s->run);
      fputs(" --resume\n", stderr);
      return EXIT_INTERRUPTED;
    case SAP_ERROR_ARGUMENT: return settings_error(self, experiment, err);
    default: return failure(self->name, "%s", err->text);
  }
}

/* As in config.json: a 64-bit seed is a string, since few JSON readers keep its digits. */
static json_t *setting_json(const sap_experiment *experiment, const sap_setting *setting) {
  char text[SAP_TEXT_SIZE];
  sap_experiment_get(experiment, setting, text, sizeof text);
  switch (setting->type) {
    case SAP_SETTING_INT: return json_integer(strtoll(text, NULL, 10));
    case SAP_SETTING_REAL: return json_number(strtod(text, NULL));
    default: return json_string(text);
  }
}

static void print_json(const session *s, const sap_experiment *experiment, double seconds) {
  json_t *document = json_object(), *settings = json_object();
  size_t count;
  const sap_setting *table = sap_experiment_settings(&count);
  for (size_t i = 0; i < count; i++) json_object_set_new(settings, table[i].name, setting_json(experiment, &table[i]));
  json_object_set_new(document, "run", json_string(s->run));
  json_object_set_new(document, "settings", settings);
  json_object_set(document, "iterations", s->iterations);
  json_object_set_new(document, "resumed", json_boolean(s->resumed));
  json_object_set_new(document, "seconds", json_number(seconds));
  if (s->recommends) json_object_set_new(document, "recommended", recommend_json(experiment, s->iterations));
  output_json(document);
  json_decref(document);
}

static void print_summary(const session *s, const sap_experiment *experiment, double seconds) {
  char duration[32];
  const size_t count = json_array_size(s->iterations);
  if (count > 0) {
    putchar('\n');
    results_print_layers(&s->screen, json_array_get(s->iterations, count - 1));
    putchar('\n');
    results_print_best(&s->screen, s->iterations);
    if (s->recommends) recommend_print(&s->screen, experiment, s->iterations);
  }
  format_duration(seconds, duration, sizeof duration);
  printf("run: %s (%s)\n", s->run, duration);
}

static int train(const command *self, const arguments *parsed) {
  session s = {.run = option_value(parsed, "output"), .json = option_given(parsed, "json")};
  const int resume = option_given(parsed, "resume");
  if (resume && !s.run) return usage_error(self->name, "--resume: needs -o RUN, the run to continue");
  if (s.run && !*s.run) return usage_error(self->name, "-o '': expected the path of a folder");
  sap_experiment experiment = sap_experiment_default();
  int code = resume ? load_settings(self, s.run, &experiment) : EXIT_DONE;
  if (code == EXIT_DONE) code = apply_options(self, parsed, &experiment);
  if (code != EXIT_DONE) return code;

  sap_experiment_callbacks callbacks = {&s, on_started, on_progress, on_epoch, on_iteration, on_stop, NULL};
  if (option_given(parsed, "profile")) callbacks.profile = on_profile;
  struct timespec begin, end;
  sap_error err;
  s.recommends = option_given(parsed, "recommend") || experiment.stop == SAP_STOP_AUTO;
  s.screen = terminal_of(stdout);
  s.iterations = json_array();
  progress_start(&s.bar, option_given(parsed, "quiet"), experiment.batch);
  interrupt_watch();
  if (option_given(parsed, "until-eof")) interrupt_at_end_of_input();
  clock_gettime(CLOCK_MONOTONIC, &begin);
  const sap_status status = sap_experiment_run(&experiment, s.run, resume, &callbacks, &err);
  clock_gettime(CLOCK_MONOTONIC, &end);
  progress_clear(&s.bar);
  if (status == SAP_OK) {
    const double seconds = (double)(end.tv_sec - begin.tv_sec) + 1e-9 * (double)(end.tv_nsec - begin.tv_nsec);
    if (s.json)
      print_json(&s, &experiment, seconds);
    else
      print_summary(&s, &experiment, seconds);
  } else {
    output_flush();
    code = report_failure(self, &s, &experiment, status, &err);
  }
  json_decref(s.iterations);
  return code;
}

static const option options[] = {
    {'o', "output", "RUN", NULL, "the run directory to make, or with --resume to continue (required)"},
    {0, "resume", NULL, NULL, "continue the run in RUN from its last saved state, with its settings"},
    {0, "recommend", NULL, NULL, "say at the end which iteration to keep, by the course of the PQ Index"},
    {0, "json", NULL, NULL, "print one JSON document at the end instead of tables"},
    {0, "until-eof", NULL, NULL,
     "stop as by Ctrl-C when standard input ends: for programs that start runs and may be killed"},
    {0, "profile", NULL, NULL, "say at the end, on standard error, where the time of the training steps went"},
    {'q', "quiet", NULL, NULL, "no progress bar"},
    {0, NULL, NULL, NULL, NULL},
};

static const example examples[] = {
    {"sapwood train --data fashion-mnist --model mlp --iterations 6 --epochs 10 -o runs/mlp",
     "prune a small network by its own measure, six times"},
    {"sapwood train -o runs/mlp --resume", "continue a run that was interrupted"},
    {"sapwood train --data fashion-mnist --model mlp --method lt --ratio 0.2 -o runs/lottery",
     "prune a fixed fifth in each iteration, for comparison"},
    {NULL, NULL},
};

const command command_train = {
    .name = "train",
    .summary = "train, measure and prune a network, again and again",
    .synopsis = "--data NAME[:PATH] --model NAME -o RUN [options]",
    .text =
        "Trains a network, measures how compressible it is, prunes it by as much as the measure allows, "
        "rewinds it to its initial weights and trains it again: once more for each of the iterations. "
        "Everything is written to the run directory RUN. A row of results is printed at the end of each "
        "iteration; at the end come the layers and the best trade-off, the sparsest iteration that loses at "
        "most half a point of the accuracy of iteration 0. Ctrl-C saves the state and stops; --resume goes on "
        "from there and ends with the same weights as a run that was never stopped.",
    .computes = 1,
    .settings = 1,
    .options = options,
    .lists = data_and_models,
    .examples = examples,
    .run = train,
};
