/* Evaluating saved weights: from a run directory or a single file. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "io/file.h"
#include "sapwood/cpu.h"
#include "sapwood/dataset.h"
#include "sapwood/experiment.h"
#include "sapwood/model.h"
#include "train/network.h"
#include "train/pass.h"
#include "train/remember.h"
#include "train/run.h"
#include "train/weights.h"

/* Pictures a batch: large enough for the matrix products, small enough for the cache. */
enum { BATCH = 500 };

sap_evaluate_options sap_evaluate_options_default(void) { return (sap_evaluate_options){.iteration = -1}; }

/* Where the weights are, and the data to test them on. */
static sap_status resolve(const char *path, const sap_evaluate_options *options, sap_evaluation *out, char *data,
                          sap_error *err) {
  struct stat info;
  if (stat(path, &info)) return sap__fail_system(err, path, errno);
  sap_status status = SAP_OK;
  if (strlen(path) >= sizeof out->file || (options->data && strlen(options->data) >= SAP_TEXT_SIZE))
    return sap__fail(err, SAP_ERROR_ARGUMENT, "a path of more than %d bytes", SAP_TEXT_SIZE);
  snprintf(data, SAP_TEXT_SIZE, "%s", options->data ? options->data : "");
  snprintf(out->file, sizeof out->file, "%s", path);
  out->iteration = options->iteration;
  if (S_ISDIR(info.st_mode)) {
    sap_experiment experiment;
    status = sap_experiment_load(path, &experiment, err);
    if (!status && !options->data) memcpy(data, experiment.data, sizeof experiment.data);
    if (!status) status = sap__run_find_iteration(path, &out->iteration, out->file, sizeof out->file, err);
  } else {
    out->iteration = -1;
  }
  if (!status && !*data) status = sap__fail(err, SAP_ERROR_ARGUMENT, "data: expected a data set to test a file on");
  return status;
}

/* The objects an evaluation needs; all zero before. */
typedef struct bench {
  sap_checkpoint *file;
  sap_dataset *data;
  sap__graph *graph;
  sap__arena *arena;
  sap__pass pass;
} bench;

static void bench_free(bench *b) {
  sap__pass_free(&b->pass);
  sap__arena_free(b->arena);
  sap__graph_free(b->graph);
  sap_dataset_free(b->data);
  sap_checkpoint_close(b->file);
}

/* The value of a key in the file's metadata; NULL if it has none. */
static const char *said(const sap_checkpoint *file, const char *key) {
  size_t count;
  const sap_metadata *pairs = sap_checkpoint_metadata(file, &count);
  for (size_t i = 0; i < count; i++)
    if (strcmp(pairs[i].key, key) == 0) return pairs[i].value;
  return NULL;
}

/* The pictures that the file's network takes, as far as it says so: a folder is resized to them. */
static sap_dataset_options input_of(const sap_checkpoint *file) {
  sap_dataset_options options = sap_dataset_options_default();
  const char *input = said(file, "sapwood.input");
  int channels, height, width;
  if (!input || sscanf(input, "%4dx%4dx%4d", &channels, &height, &width) != 3) return options;
  options.channels = channels;
  if (height == width && height > 0 && height <= SAP_DATASET_MAX_SIDE) options.image_size = height;
  return options;
}

/* Reads one number a channel; 0 if the text has others. */
static int read_numbers(const char *text, int count, float *numbers) {
  for (int i = 0; i < count; i++) {
    char *end;
    numbers[i] = strtof(text, &end);
    if (end == text || !isfinite(numbers[i])) return 0;
    text = end;
  }
  return !*text;
}

/* Pictures as the network knew them: another folder's own mean would be another normalisation. */
static void normalise_as(const sap_checkpoint *file, sap_dataset *data) {
  const char *mean = said(file, "sapwood.mean");
  const char *stddev = said(file, "sapwood.stddev");
  float means[SAP_DATASET_MAX_CHANNELS], stddevs[SAP_DATASET_MAX_CHANNELS];
  if (!mean || !stddev || !read_numbers(mean, data->channels, means)) return;
  if (!read_numbers(stddev, data->channels, stddevs)) return;
  for (int c = 0; c < data->channels; c++)
    if (stddevs[c] <= 0) return;
  memcpy(data->mean, means, (size_t)data->channels * sizeof *means);
  memcpy(data->stddev, stddevs, (size_t)data->channels * sizeof *stddevs);
}

/* Opens the file of weights and finds out which network they are of. A network in ONNX is both. */
static sap_status open_weights(bench *b, const char *model, sap_evaluation *out, sap_error *err) {
  if (sap_model_is_file(out->file)) {
    snprintf(out->model, sizeof out->model, "%s", out->file);
    return SAP_OK;
  }
  sap_status status = sap_checkpoint_open(out->file, NULL, &b->file, err);
  if (status) return status;
  if (!model) model = said(b->file, "sapwood.model");
  if (!model)
    return sap__fail(err, SAP_ERROR_ARGUMENT, "model: expected a network for %s: the file does not name one",
                     sap__path_tail(out->file));
  snprintf(out->model, sizeof out->model, "%s", model);
  return SAP_OK;
}

/* run: the directory that the weights are in; NULL: a file on its own. */
static sap_status set_up(bench *b, const sap__engine *engine, const sap_evaluate_options *options, const char *run,
                         const char *data, sap_evaluation *out, sap_error *err) {
  sap_status status = open_weights(b, options->model, out, err);
  if (status) return status;
  const sap_dataset_options pictures = b->file ? input_of(b->file) : sap__network_pictures(run, out->model, data);
  status = sap_dataset_open(data, &pictures, &b->data, err);
  if (status) return status;
  if (b->file) normalise_as(b->file, b->data);
  sap__shape input = sap__shape_3(b->data->channels, b->data->height, b->data->width);
  status = sap__network_open(run, out->model, input, b->data->classes, &b->graph, err);
  if (!status) status = sap__arena_new(b->graph, 0, &b->arena, err);
  if (!status) status = b->file ? sap__weights_read(b->file, b->arena, err) : sap__network_weights(b->arena, err);
  if (!status) status = sap__loader_new(b->data, &b->data->test, &b->pass.loader, err);
  sap__remember remember = {0};
  if (!status) status = sap__remember_open(&remember, engine, b->graph, NULL, err);
  if (!status) status = sap__pass_plan(&b->pass, engine, b->arena, BATCH, NULL, remember.choices, err);
  if (!status) status = sap__remember_save(&remember, NULL, err);
  sap__remember_close(&remember);
  return status;
}

sap_status sap_evaluate(const char *path, const sap_evaluate_options *options, sap_evaluation *evaluation,
                        sap_error *err) {
  const sap__engine *engine = sap__engine_find(options->engine);
  if (!engine) return sap__fail(err, SAP_ERROR_ARGUMENT, "engine %.40s: not in this build", options->engine);
  if (options->threads < 0 || options->threads > 1024)
    return sap__fail(err, SAP_ERROR_ARGUMENT, "threads %d: expected 0 <= threads <= 1024", options->threads);
  sap_evaluation out = {0};
  char data[SAP_TEXT_SIZE];
  sap_status status = resolve(path, options, &out, data, err);
  if (status) return status;
  int threads = sap_threads_get();
  sap_threads_set(options->threads);
  bench b = {0};
  status = set_up(&b, engine, options, out.iteration < 0 ? NULL : path, data, &out, err);
  if (!status) {
    sap__pass_evaluate(&b.pass, &out.loss, &out.accuracy);
    out.count = b.pass.loader.count;
    out.total = b.arena->prunable;
    out.kept = sap__arena_kept(b.arena);
    out.density = out.total ? (double)out.kept / (double)out.total : 1;
    *evaluation = out;
  }
  bench_free(&b);
  sap_threads_set(threads);
  return status;
}
