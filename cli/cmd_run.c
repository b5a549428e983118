/* sapwood run: a pruned network on pictures. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "ends.h"
#include "sapwood/checkpoint.h"
#include "sapwood/runtime.h"
#include "tensors.h"
#include "terminal.h"

/* What is run on what; all NULL before. */
typedef struct task {
  sap_model *model;
  sap_model_info info;
  sap_session *session;
  sap_checkpoint *input;
  const float *x; /* (count, picture) */
  size_t count;
  float *y; /* (count, outputs) */
} task;

static void task_free(task *t) {
  free(t->y);
  sap_session_free(t->session);
  sap_checkpoint_close(t->input);
  sap_model_close(t->model);
}

/* Rank 4 is (count, channels, height, width); rank 3 one picture; rank 2 (count, features). */
static int shape_fits(const task *t, const sap_tensor *tensor) {
  const uint64_t picture[] = {(uint64_t)t->info.channels, (uint64_t)t->info.height, (uint64_t)t->info.width};
  if (tensor->rank == 2) return picture[1] * picture[2] == 1 && tensor->shape[1] == picture[0] && tensor->count > 0;
  if (tensor->rank != 3 && tensor->rank != 4) return 0;
  return memcmp(&tensor->shape[tensor->rank - 3], picture, sizeof picture) == 0 && tensor->count > 0;
}

static int read_input(const char *self, const char *path, task *t) {
  sap_error err;
  if (sap_checkpoint_open(path, NULL, &t->input, &err)) return failure(self, "%s", err.text);
  if (sap_checkpoint_count(t->input) != 1)
    return failure(self, "%s: %zu tensors, expected one", path, sap_checkpoint_count(t->input));
  const sap_tensor *tensor = sap_checkpoint_at(t->input, 0);
  if (tensor->dtype != SAP_F32) return failure(self, "%s: type %s, expected F32", path, sap_dtype_name(tensor->dtype));
  if (!shape_fits(t, tensor)) {
    char found[128] = "";
    for (int i = 0; i < tensor->rank; i++)
      snprintf(found + strlen(found), sizeof found - strlen(found), "%s%llu", i ? ", " : "",
               (unsigned long long)tensor->shape[i]);
    return failure(self, "%s: shape (%s), expected (N, %d, %d, %d), N at least 1", path, found, t->info.channels,
                   t->info.height, t->info.width);
  }
  if (sap_checkpoint_load(t->input, 0, &err)) return failure(self, "%s", err.text);
  t->x = tensor->data;
  t->count = tensor->rank == 3 ? 1 : (size_t)tensor->shape[0];
  t->y = malloc(t->count * (size_t)t->info.outputs * sizeof *t->y);
  if (!t->y || (uintptr_t)t->x % sizeof(float) != 0) return failure(self, "%s: no memory for its pictures", path);
  return EXIT_DONE;
}

static int open_all(const char *self, const arguments *parsed, task *t) {
  sap_error err;
  sap_model_options model_options = sap_model_options_default();
  sap_session_options options = sap_session_options_default();
  int code = option_int(self, parsed, "iteration", 0, 1 << 30, &model_options.iteration);
  int way = options.way;
  if (code == EXIT_DONE) code = option_int(self, parsed, "threads", 0, 1024, &options.threads);
  if (code == EXIT_DONE) code = option_known(self, parsed, "way", sap_way_name);
  if (code != EXIT_DONE) return code;
  for (size_t i = 0; option_given(parsed, "way") && sap_way_name(i); i++)
    if (!strcmp(sap_way_name(i), option_value(parsed, "way"))) way = (int)i;
  options.way = (sap_way)way;
  if (sap_model_open(parsed->operands[0], &model_options, &t->model, &err)) return failure(self, "%s", err.text);
  sap_model_describe(t->model, &t->info);
  code = read_input(self, option_value(parsed, "input"), t);
  if (code != EXIT_DONE) return code;
  options.batch = t->count < 1 << 20 ? (int)t->count : 1 << 20;
  options.measure = t->count >= 1000; /* for few pictures the search would take longer than it saves */
  if (sap_session_new(t->model, &options, &t->session, &err)) return failure(self, "%s", err.text);
  if (sap_session_run(t->session, t->x, t->count, t->y, &err)) return failure(self, "%s", err.text);
  if (option_given(parsed, "softmax")) sap_softmax(t->y, t->count, (size_t)t->info.outputs);
  return EXIT_DONE;
}

/* The output of a picture that is the largest; a NaN never is. */
static size_t largest(const task *t, size_t picture) {
  const float *y = t->y + picture * (size_t)t->info.outputs;
  size_t best = 0;
  for (size_t i = 1; i < (size_t)t->info.outputs; i++)
    if (y[i] > y[best]) best = i;
  return best;
}

static void print_json(const task *t, int all) {
  json_t *document = json_object(), *classes = json_array(), *rows = json_array();
  for (size_t k = 0; k < t->count; k++) {
    json_array_append_new(classes, json_integer((json_int_t)largest(t, k)));
    json_t *row = json_array();
    for (size_t i = 0; i < (size_t)t->info.outputs && all; i++)
      json_array_append_new(row, json_number((double)t->y[k * (size_t)t->info.outputs + i]));
    json_array_append_new(rows, row);
  }
  json_object_set_new(document, "model", json_string(t->info.name));
  json_object_set_new(document, "count", json_integer((json_int_t)t->count));
  json_object_set_new(document, "classes", classes);
  if (all)
    json_object_set_new(document, "outputs", rows);
  else
    json_decref(rows);
  output_json(document);
  json_decref(document);
}

static void print_text(const task *t) {
  printf("picture  class      output\n");
  for (size_t k = 0; k < t->count; k++) {
    const size_t best = largest(t, k);
    printf("%7zu  %5zu  %10.4f\n", k, best, (double)t->y[k * (size_t)t->info.outputs + best]);
  }
}

static int write_output(const char *self, const task *t, const char *path) {
  sap_error err;
  const uint64_t count = t->count, outputs = (uint64_t)t->info.outputs;
  sap_tensor tensor = {.name = "y", .dtype = SAP_F32, .rank = 2, .shape = {count, outputs}, .data = t->y};
  tensor.count = count * outputs;
  tensor.bytes = tensor.count * sizeof *t->y;
  if (sap_npy_write(path, &tensor, &err)) return failure(self, "%s", err.text);
  return EXIT_DONE;
}

static int run(const command *self, const arguments *parsed) {
  if (parsed->operand_count == 0) return usage_error(self->name, "a run directory or a model file is needed");
  if (!option_given(parsed, "input")) return usage_error(self->name, "--input is needed");
  const char *output = option_value(parsed, "output"), *input = option_value(parsed, "input");
  if (output) {
    const char *const inputs[] = {input, parsed->operands[0]};
    const int code = output_check(self->name, parsed, output, inputs, 2);
    if (code != EXIT_DONE) return code;
  }
  ends_watch(self->name, parsed->operands[0]);
  task t = {0};
  int code = open_all(self->name, parsed, &t);
  if (code == EXIT_DONE && output) code = write_output(self->name, &t, output);
  if (code == EXIT_DONE) {
    if (option_given(parsed, "json"))
      print_json(&t, !output);
    else if (!output)
      print_text(&t);
  }
  task_free(&t);
  return code;
}

static const option options[] = {
    {0, "input", "X.npy", NULL, "the pictures, F32 (N, C, H, W) or (N, features), normalised as in training"},
    {'o', "output", "Y.npy", NULL, "write the outputs, F32 (N, classes), here"},
    {0, "softmax", NULL, NULL, "probabilities instead of logits"},
    {0, "iteration", "N", "0 <= iteration", "the iteration of a run; without it the last finished one"},
    {0, "way", "WAY", NULL,
     "picture, lanes, dense, mixed (each layer in one of these), or auto, the fastest; without it auto"},
    {0, "threads", "N", "0 <= threads <= 1024", "threads; 0 or without it one a core"},
    {'f', "force", NULL, NULL, "overwrite an output that exists"},
    {0, "json", NULL, NULL, "print one JSON document"},
    {0, NULL, NULL, NULL, NULL},
};

static const example examples[] = {
    {"sapwood run runs/mlp --input pictures.npy", "the class of each picture"},
    {"sapwood run model.safetensors --input x.npy -o y.npy --softmax", "probabilities into a NumPy file"},
    {NULL, NULL},
};

const command command_run = {
    .name = "run",
    .computes = 1,
    .summary = "run a pruned network on pictures, without its pruned weights",
    .synopsis = "RUN|MODEL --input X.npy [options]",
    .text =
        "Computes the outputs of a pruned network for pictures in a NumPy file. Pruned weights take no time: the "
        "kept ones are packed for this processor's vectors. Without -o the largest output of each picture is "
        "printed.",
    .options = options,
    .operands = 1,
    .examples = examples,
    .run = run,
};
