/* The settings of an experiment as a table: what command lines, config.json and manuals are made from. */
#include "train/settings.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "sapwood/dataset.h"
#include "sapwood/experiment.h"
#include "sapwood/model.h"

#define NAME(constant, name) name,
static const char *const methods[] = {SAP_METHOD_LIST(NAME) NULL};
static const char *const scopes[] = {SAP_SCOPE_LIST(NAME) NULL};
static const char *const picks[] = {SAP_PICK_LIST(NAME) NULL};
static const char *const augmentations[] = {SAP_AUGMENT_LIST(NAME) NULL};
static const char *const starts[] = {SAP_START_LIST(NAME) NULL};
static const char *const precisions[] = {SAP_PRECISION_LIST(NAME) NULL};
static const char *const stops[] = {SAP_STOP_LIST(NAME) NULL};
#undef NAME

#define FIELD(field) offsetof(sap_experiment, field), sizeof(((sap_experiment *)0)->field)

/* Ranges of one setting are checked by sap_experiment_check, and named here in words. */
static const sap_setting settings[] = {
    {"data", SAP_SETTING_TEXT, FIELD(data), "NAME[:PATH]", "a known data set", "data set to train and test on", NULL,
     1},
    {"model", SAP_SETTING_TEXT, FIELD(model), "NAME", "a known network, or a file in ONNX: PATH.onnx",
     "network to train", NULL, 1},
    {"init", SAP_SETTING_CHOICE, FIELD(start), "HOW", "file or fresh",
     "first weights of a network that is a file: its own, or drawn anew", starts, 0},
    {"method", SAP_SETTING_CHOICE, FIELD(prune.method), "NAME", "sap, lt, os or dense",
     "how much to prune: by the retain bound, or a fixed ratio (lottery ticket, one shot), or nothing", methods, 0},
    {"scope", SAP_SETTING_CHOICE, FIELD(prune.scope), "NAME", "global, layer or neuron",
     "what is measured and pruned as one group", scopes, 0},
    {"p", SAP_SETTING_REAL, FIELD(prune.p), "P", "0 < p < q <= 64", "smaller exponent of the PQ Index", NULL, 0},
    {"q", SAP_SETTING_REAL, FIELD(prune.q), "Q", "0 < p < q <= 64", "larger exponent of the PQ Index", NULL, 0},
    {"eta", SAP_SETTING_REAL, FIELD(prune.eta), "X", "eta > -1", "slack of the retain bound; more prunes more", NULL,
     0},
    {"gamma", SAP_SETTING_REAL, FIELD(prune.gamma), "X", "gamma >= 0", "factor on the ratio to prune", NULL, 0},
    {"beta", SAP_SETTING_REAL, FIELD(prune.beta), "X", "0 <= beta <= 1", "largest ratio to prune in one iteration",
     NULL, 0},
    {"ratio", SAP_SETTING_REAL, FIELD(prune.ratio), "X", "0 <= ratio < 1",
     "ratio of the kept weights that lt and os prune in one iteration", NULL, 0},
    {"iterations", SAP_SETTING_INT, FIELD(iterations), "T", "0 <= iterations <= 1000",
     "times to prune; the network is trained T + 1 times", NULL, 0},
    {"epochs", SAP_SETTING_INT, FIELD(epochs), "E", "1 <= epochs <= 100000", "epochs of training in an iteration", NULL,
     0},
    {"batch", SAP_SETTING_INT, FIELD(batch), "N", "1 <= batch <= 65536", "pictures in a step", NULL, 0},
    {"lr", SAP_SETTING_REAL, FIELD(lr), "X", "lr > 0", "learning rate, annealed to 0 by a cosine", NULL, 0},
    {"momentum", SAP_SETTING_REAL, FIELD(momentum), "X", "0 <= momentum < 1", "Nesterov momentum", NULL, 0},
    {"weight-decay", SAP_SETTING_REAL, FIELD(weight_decay), "X", "weight-decay >= 0", "weight decay", NULL, 0},
    {"clip", SAP_SETTING_REAL, FIELD(clip), "X", "clip >= 0", "largest norm of the whole gradient; 0: no limit", NULL,
     0},
    {"rewind", SAP_SETTING_REWIND, FIELD(rewind), "WHERE", "init, none or epoch:K with 1 <= K <= epochs",
     "where each iteration restarts: the initial weights, those of epoch K of the first iteration, or nowhere", NULL,
     0},
    {"select", SAP_SETTING_CHOICE, FIELD(select), "WHICH", "last, best-test or best-validation",
     "which epoch's weights are measured and pruned (best-test looks at the test set)", picks, 0},
    {"validation", SAP_SETTING_INT, FIELD(validation), "N",
     "0 <= validation < training pictures; at least 1 with select best-validation",
     "training pictures held out for validation", NULL, 0},
    {"image-size", SAP_SETTING_INT, FIELD(image_size), "N", "0 <= image-size <= 4096",
     "height and width that JPEG and PNG pictures are resized to; 0: what a network from a file takes, or the data "
     "set's own, for a folder 32",
     NULL, 0},
    {"augment", SAP_SETTING_CHOICE, FIELD(augment), "HOW", "auto, none or crop-flip",
     "training pictures shifted by up to 4 pixels and mirrored at random; auto: those with three channels",
     augmentations, 0},
    {"loader-threads", SAP_SETTING_INT, FIELD(loader_threads), "N", "0 <= loader-threads <= 64",
     "threads that augment pictures in the background; 0: those that compute do it", NULL, 0},
    {"stop", SAP_SETTING_CHOICE, FIELD(stop), "WHEN", "never or auto",
     "end before the last iteration: auto when the PQ Index hardly falls any more, so that the limit of "
     "compressibility is passed",
     stops, 0},
    {"stop-after", SAP_SETTING_INT, FIELD(stop_after), "K", "1 <= stop-after <= 1000",
     "iterations beyond the limit that make stop auto certain", NULL, 0},
    {"seed", SAP_SETTING_UINT64, FIELD(seed), "S", "0 <= seed < 2^64", "seed of all random choices", NULL, 0},
    {"threads", SAP_SETTING_INT, FIELD(threads), "N", "0 <= threads <= 1024", "threads; 0: one a core", NULL, 0},
    {"precision", SAP_SETTING_CHOICE, FIELD(precision), "HOW", "fp32 or bf16",
     "numbers between the layers while training; bf16 is faster where the processor multiplies it", precisions, 0},
    {"engine", SAP_SETTING_TEXT, FIELD(engine), "NAME", "auto or an engine of this build",
     "what computes: see sapwood info", NULL, 0},
};
static const size_t setting_count = sizeof settings / sizeof settings[0];

const sap_setting *sap_experiment_settings(size_t *count) {
  *count = setting_count;
  return settings;
}

sap_experiment sap_experiment_default(void) {
  sap_experiment experiment = {
      .prune = sap_prune_options_default(),
      .iterations = 30,
      .epochs = 200,
      .batch = 250,
      .lr = 0.1,
      .momentum = 0.9,
      .weight_decay = 5e-4,
      .clip = 1,
      .rewind = SAP_REWIND_INIT,
      .select = SAP_PICK_LAST,
      .loader_threads = 1,
      .stop_after = 2,
      .engine = "auto",
  };
  return experiment;
}

static sap_status refuse(const sap_setting *setting, const char *text, sap_error *err) {
  return sap__fail(err, SAP_ERROR_ARGUMENT, "%s %.80s: expected %s", setting->name, text, setting->range);
}

static int set_choice(const sap_setting *setting, const char *text, int *value) {
  for (int i = 0; setting->choices[i]; i++)
    if (!strcmp(setting->choices[i], text)) return *value = i, 1;
  return 0;
}

static int set_int(const char *text, int *value) {
  char *end;
  errno = 0;
  long number = strtol(text, &end, 10);
  if (errno || end == text || *end || number < -1000000000 || number > 1000000000) return 0;
  *value = (int)number;
  return 1;
}

static int set_uint64(const char *text, uint64_t *value) {
  char *end;
  errno = 0;
  unsigned long long number = strtoull(text, &end, 10);
  if (errno || end == text || *end || strchr(text, '-')) return 0;
  *value = number;
  return 1;
}

static int set_real(const char *text, double *value) {
  char *end;
  double number = strtod(text, &end);
  if (end == text || *end || !isfinite(number)) return 0;
  *value = number;
  return 1;
}

static int set_text(const sap_setting *setting, const char *text, char *value) {
  size_t length = strlen(text);
  if (!length || length >= setting->size) return 0;
  memcpy(value, text, length + 1);
  return 1;
}

static int set_rewind(const char *text, int *value) {
  if (!strcmp(text, "init")) return *value = SAP_REWIND_INIT, 1;
  if (!strcmp(text, "none")) return *value = SAP_REWIND_NONE, 1;
  int epoch;
  if (strncmp(text, "epoch:", 6) || !set_int(text + 6, &epoch) || epoch < 1) return 0;
  return *value = epoch, 1;
}

sap_status sap_experiment_set(sap_experiment *experiment, const sap_setting *setting, const char *text,
                              sap_error *err) {
  void *field = (char *)experiment + setting->offset;
  int ok = 0;
  switch (setting->type) {
    case SAP_SETTING_INT: ok = set_int(text, field); break;
    case SAP_SETTING_UINT64: ok = set_uint64(text, field); break;
    case SAP_SETTING_REAL: ok = set_real(text, field); break;
    case SAP_SETTING_TEXT: ok = set_text(setting, text, field); break;
    case SAP_SETTING_CHOICE: ok = set_choice(setting, text, field); break;
    case SAP_SETTING_REWIND: ok = set_rewind(text, field); break;
  }
  return ok ? SAP_OK : refuse(setting, text, err);
}

void sap_experiment_get(const sap_experiment *experiment, const sap_setting *setting, char *buffer, size_t size) {
  const void *field = (const char *)experiment + setting->offset;
  int number = 0;
  if (setting->size == sizeof number) memcpy(&number, field, sizeof number);
  switch (setting->type) {
    case SAP_SETTING_INT: snprintf(buffer, size, "%d", number); break;
    case SAP_SETTING_UINT64: snprintf(buffer, size, "%llu", (unsigned long long)*(const uint64_t *)field); break;
    case SAP_SETTING_REAL:
      /* The shortest of the two that reads back as the same number. */
      snprintf(buffer, size, "%.15g", *(const double *)field);
      if (strtod(buffer, NULL) != *(const double *)field) snprintf(buffer, size, "%.17g", *(const double *)field);
      break;
    case SAP_SETTING_TEXT: snprintf(buffer, size, "%s", (const char *)field); break;
    case SAP_SETTING_CHOICE: snprintf(buffer, size, "%s", setting->choices[number]); break;
    case SAP_SETTING_REWIND:
      if (number > 0)
        snprintf(buffer, size, "epoch:%d", number);
      else
        snprintf(buffer, size, "%s", number == SAP_REWIND_INIT ? "init" : "none");
      break;
  }
}

const sap_setting *sap__setting_find(const char *name) {
  for (size_t i = 0; i < setting_count; i++)
    if (!strcmp(settings[i].name, name)) return &settings[i];
  return NULL;
}

const sap_setting *sap__setting_difference(const sap_experiment *a, const sap_experiment *b, char in_a[SAP_TEXT_SIZE],
                                           char in_b[SAP_TEXT_SIZE]) {
  for (size_t i = 0; i < setting_count; i++) {
    sap_experiment_get(a, &settings[i], in_a, SAP_TEXT_SIZE);
    sap_experiment_get(b, &settings[i], in_b, SAP_TEXT_SIZE);
    if (strcmp(in_a, in_b)) return &settings[i];
  }
  return NULL;
}

/* Fails with the named setting's own text and range. */
static sap_status out_of_range(const sap_experiment *experiment, const char *name, sap_error *err) {
  const sap_setting *setting = sap__setting_find(name);
  char text[SAP_TEXT_SIZE];
  sap_experiment_get(experiment, setting, text, sizeof text);
  return refuse(setting, text, err);
}

/* Fails with the list of names that name_at gives. */
static sap_status unknown_name(const char *setting, const char *name, const char *(*name_at)(size_t), sap_error *err) {
  char known[128] = "";
  for (size_t i = 0, used = 0; name_at(i) && used < sizeof known; i++)
    used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", name_at(i));
  return sap__fail(err, SAP_ERROR_ARGUMENT, "%s %.*s: expected one of %s", setting, (int)strcspn(name, ":"), name,
                   known);
}

/* The part of a text before a colon is one of the names. */
static int is_known(const char *text, const char *(*name_at)(size_t)) {
  size_t length = strcspn(text, ":");
  for (size_t i = 0; name_at(i); i++)
    if (strlen(name_at(i)) == length && !strncmp(name_at(i), text, length)) return 1;
  return 0;
}

sap_status sap_experiment_check(const sap_experiment *e, sap_error *err) {
  if (!is_known(e->data, sap_dataset_name_at)) return unknown_name("data", e->data, sap_dataset_name_at, err);
  if (!sap_model_is_file(e->model) && !is_known(e->model, sap_model_name_at))
    return unknown_name("model", e->model, sap_model_name_at, err);
  if (strcmp(e->engine, "auto") && !is_known(e->engine, sap_engine_name_at))
    return unknown_name("engine", e->engine, sap_engine_name_at, err);
  sap_status status = sap_prune_options_check(&e->prune, err);
  if (status) return status;
  const struct {
    const char *name;
    int ok;
  } checks[] = {
      {"iterations", e->iterations >= 0 && e->iterations <= 1000},
      {"epochs", e->epochs >= 1 && e->epochs <= 100000},
      {"batch", e->batch >= 1 && e->batch <= 65536},
      {"lr", e->lr > 0 && isfinite(e->lr)},
      {"momentum", e->momentum >= 0 && e->momentum < 1},
      {"weight-decay", e->weight_decay >= 0 && isfinite(e->weight_decay)},
      {"clip", e->clip >= 0 && isfinite(e->clip)},
      {"rewind", e->rewind >= SAP_REWIND_NONE && e->rewind <= e->epochs},
      {"init", (unsigned)e->start < SAP_START_COUNT},
      {"select", (unsigned)e->select < SAP_PICK_COUNT},
      {"precision", (unsigned)e->precision < SAP_PRECISION_COUNT},
      {"stop", (unsigned)e->stop < SAP_STOP_COUNT},
      {"stop-after", e->stop_after >= 1 && e->stop_after <= 1000},
      {"validation", e->validation >= (e->select == SAP_PICK_BEST_VALIDATION)},
      {"image-size", e->image_size >= 0 && e->image_size <= SAP_DATASET_MAX_SIDE},
      {"augment", (unsigned)e->augment < SAP_AUGMENT_COUNT},
      {"loader-threads", e->loader_threads >= 0 && e->loader_threads <= 64},
      {"threads", e->threads >= 0 && e->threads <= 1024},
  };
  for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++)
    if (!checks[i].ok) return out_of_range(e, checks[i].name, err);
  return SAP_OK;
}
