/* sapwood eval: accuracy and loss of saved weights. */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "commands.h"
#include "ends.h"
#include "sapwood/dataset.h"
#include "sapwood/model.h"
#include "sapwood/runtime.h"
#include "terminal.h"

static void print_json(const sap_evaluation *e) {
  json_t *document = json_object();
  json_object_set_new(document, "model", json_string(e->model));
  json_object_set_new(document, "file", json_string(e->file));
  json_object_set_new(document, "iteration", e->iteration >= 0 ? json_integer(e->iteration) : json_null());
  json_object_set_new(document, "count", json_integer(e->count));
  json_object_set_new(document, "accuracy", json_number(e->accuracy));
  json_object_set_new(document, "loss", json_number(e->loss));
  json_object_set_new(document, "total", json_integer((json_int_t)e->total));
  json_object_set_new(document, "kept", json_integer((json_int_t)e->kept));
  json_object_set_new(document, "density", json_number(e->density));
  output_json(document);
  json_decref(document);
}

static void print_text(const sap_evaluation *e) {
  char count[32], kept[32], total[32];
  printf("model      %s\n", e->model);
  printf("weights    %s\n", e->file);
  printf("test set   %s pictures\n", group_digits(e->count, count));
  printf("accuracy   %.2f %%\n", 100 * e->accuracy);
  printf("loss       %.4f\n", e->loss);
  printf("density    %.2f %% (%s of %s weights kept)\n", 100 * e->density, group_digits(e->kept, kept),
         group_digits(e->total, total));
}

/* "auto", the sparse runtime, and the engines. */
static const char *engine_name_at(size_t i) {
  static const char *const more[] = {"auto", "sparse"};
  return i < 2 ? more[i] : sap_engine_name_at(i - 2);
}

/* 1 for a file that holds its network, as 'export' writes it: that is what the runtime is for. */
static int holds_network(const char *path) {
  sap_checkpoint *file = NULL;
  size_t count = 0;
  int found = 0;
  if (sap_checkpoint_open(path, NULL, &file, NULL)) return 0;
  const sap_metadata *pairs = sap_checkpoint_metadata(file, &count);
  for (size_t i = 0; i < count; i++) found |= strcmp(pairs[i].key, "sapwood.graph") == 0;
  sap_checkpoint_close(file);
  return found;
}

/* The data set to test on: the option's, else that of the run directory. */
static sap_status find_data(const char *path, const sap_evaluate_options *options, char name[SAP_TEXT_SIZE],
                            sap_error *err) {
  sap_experiment experiment;
  struct stat info;
  if (!options->data && stat(path, &info) == 0 && !S_ISDIR(info.st_mode)) {
    *err = (sap_error){SAP_ERROR_ARGUMENT, "data: expected a data set to test a file on"};
    return err->code;
  }
  if (options->data) {
    snprintf(name, SAP_TEXT_SIZE, "%s", options->data);
    return SAP_OK;
  }
  const sap_status status = sap_experiment_load(path, &experiment, err);
  if (status == SAP_OK) memcpy(name, experiment.data, SAP_TEXT_SIZE);
  return status;
}

enum { SPARSE_BATCH = 256 };

/* The same numbers by the sparse runtime. */
static sap_status evaluate_sparse(const char *path, const sap_evaluate_options *options, sap_evaluation *out,
                                  sap_error *err) {
  char data[SAP_TEXT_SIZE];
  sap_model *model = NULL;
  sap_session *session = NULL;
  sap_dataset *set = NULL;
  sap_model_options model_options = sap_model_options_default();
  sap_session_options session_options = sap_session_options_default();
  model_options.iteration = options->iteration;
  session_options.batch = SPARSE_BATCH;
  session_options.threads = options->threads;
  sap_status status = find_data(path, options, data, err);
  if (!status) status = sap_model_open(path, &model_options, &model, err);
  if (!status) status = sap_session_new(model, &session_options, &session, err);
  if (!status) status = sap_dataset_open(data, NULL, &set, err);
  if (!status) status = sap_session_evaluate(session, set, &out->loss, &out->accuracy, err);
  if (!status) {
    sap_model_info info;
    sap_model_describe(model, &info);
    memcpy(out->model, info.name, sizeof out->model);
    memcpy(out->file, info.file, sizeof out->file);
    out->iteration = info.iteration;
    out->count = set->test.count;
    out->total = info.total;
    out->kept = info.kept;
    out->density = info.total ? (double)info.kept / (double)info.total : 1;
  }
  sap_dataset_free(set);
  sap_session_free(session);
  sap_model_close(model);
  return status;
}

/* What the library says about an argument: "data: …" and "model: …" mean the options of that name. */
static int argument_error(const command *self, const sap_error *err) {
  const int names_option = strncmp(err->text, "data: ", 6) == 0 || strncmp(err->text, "model: ", 7) == 0;
  return usage_error(self->name, "%s%s", names_option ? "--" : "", err->text);
}

static int eval(const command *self, const arguments *parsed) {
  if (parsed->operand_count == 0) return usage_error(self->name, "a run directory or a weights file is needed");
  sap_evaluate_options options = sap_evaluate_options_default();
  int code = option_int(self->name, parsed, "iteration", 0, INT_MAX, &options.iteration);
  if (code == EXIT_DONE) code = option_int(self->name, parsed, "threads", 0, 1024, &options.threads);
  if (code == EXIT_DONE) code = option_known(self->name, parsed, "data", sap_dataset_name_at);
  if (code == EXIT_DONE) code = option_model(self->name, parsed);
  if (code == EXIT_DONE) code = option_known(self->name, parsed, "engine", engine_name_at);
  if (code != EXIT_DONE) return code;
  if (option_given(parsed, "data")) options.data = option_value(parsed, "data");
  if (option_given(parsed, "model")) options.model = option_value(parsed, "model");
  if (option_given(parsed, "engine")) options.engine = option_value(parsed, "engine");

  sap_evaluation evaluation;
  sap_error err;
  const char *path = parsed->operands[0];
  const int given = options.engine && strcmp(options.engine, "auto") != 0;
  const int sparse = given ? strcmp(options.engine, "sparse") == 0 : !options.model && holds_network(path);
  if (sparse && options.model)
    return usage_error(self->name, "--model: a file for the sparse runtime holds its network");
  if (sparse) ends_watch(self->name, path);
  const sap_status status =
      sparse ? evaluate_sparse(path, &options, &evaluation, &err) : sap_evaluate(path, &options, &evaluation, &err);
  if (status == SAP_ERROR_ARGUMENT) return argument_error(self, &err);
  if (status != SAP_OK) return failure(self->name, "%s", err.text);
  if (option_given(parsed, "json"))
    print_json(&evaluation);
  else
    print_text(&evaluation);
  return EXIT_DONE;
}

static const option options[] = {
    {0, "data", "NAME[:PATH]", NULL, "the data set; without it that of the run"},
    {0, "model", "NAME", NULL, "the model, or PATH.onnx; without it that of the run or as the file says"},
    {0, "iteration", "N", "0 <= iteration", "the iteration of the run; without it the last finished one"},
    {0, "engine", "NAME", NULL, "the engine, or sparse, the runtime; without it the best of this build"},
    {0, "threads", "N", "0 <= threads <= 1024", "threads; 0 or without it one a core"},
    {0, "json", NULL, NULL, "print one JSON document"},
    {0, NULL, NULL, NULL, NULL},
};

static const example examples[] = {
    {"sapwood eval runs/mlp --iteration 4", "test the fifth trained model of a run"},
    {"sapwood eval weights.safetensors --data fashion-mnist --model mlp", "test the weights in a file"},
    {NULL, NULL},
};

const command command_eval = {
    .name = "eval",
    .computes = 1,
    .summary = "accuracy and loss of a run or of a weights file",
    .synopsis = "RUN|MODEL [options]",
    .text =
        "Tests saved weights on the test set: those of a run directory, or a checkpoint of any format "
        "whose tensors are named as in the network's PyTorch state dict. Masks in the file are applied; without "
        "them, the weights that are not 0 count as kept.",
    .options = options,
    .operands = 1,
    .lists = data_and_models,
    .examples = examples,
    .run = eval,
};
