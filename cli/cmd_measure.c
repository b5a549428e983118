/* sapwood measure: how far checkpoints can be pruned. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "ends.h"
#include "measure.h"
#include "meter.h"
#include "sapwood/gini.h"
#include "sapwood/pqi.h"
#include "sapwood/prune.h"
#include "terminal.h"

/* Bytes of tensors that are measured in one go: many, so that the threads seldom wait for each other, and few, so that
 * progress shows. */
#define TOGETHER ((uint64_t)512 << 20)

/* ---- measuring ---- */

static int report_start(const char *title, measure_report *report) {
  const size_t count = report->chosen.count;
  report->items = calloc(count, sizeof *report->items);
  report->order = calloc(count, sizeof *report->order);
  if (!report->items || !report->order) return failure(title, "no memory for %zu tensors", count);
  for (size_t i = 0; i < count; i++) report->order[i] = i;
  return EXIT_DONE;
}

static void report_free(measure_report *report) {
  for (size_t i = 0; i < report->chosen.count && report->items; i++) free(report->items[i].neurons);
  free(report->items);
  free(report->order);
  tensors_free(&report->chosen);
}

/* Norms, index and prune count of each row of a tensor; the tensor's norms are theirs merged. */
static sap_status measure_rows(const sap_layer *layer, const sap_prune_options *o, measured *item, sap_error *err) {
  sap_norms *rows = malloc((layer->rows + 1) * sizeof *rows);
  free(item->neurons);
  item->neurons = malloc((layer->rows + 1) * sizeof *item->neurons);
  sap_status status = SAP_ERROR_MEMORY;
  if (rows && item->neurons)
    status = sap_measure_neurons(layer, o->p, o->q, rows, err);
  else
    snprintf(err->text, sizeof err->text, "%s: no memory for %llu rows", layer->name, (unsigned long long)layer->rows);
  item->c = 0;
  for (uint64_t row = 0; row < layer->rows && status == SAP_OK; row++) {
    item->neurons[row] = sap_norms_pqi(&rows[row]);
    item->c += sap_norms_prune_count(&rows[row], o->eta, o->gamma, o->beta);
    sap_norms_merge(&item->norms, &rows[row]);
  }
  free(rows);
  return status;
}

static sap_status measure_once(const sap_layer *layer, const measure_options *options, measured *item, sap_error *err) {
  const sap_prune_options *o = &options->prune;
  item->norms = sap_norms_empty(o->p, o->q);
  if (o->scope == SAP_SCOPE_NEURON && layer->count) return measure_rows(layer, o, item, err);
  return sap_norms_add_layer(&item->norms, layer, err);
}

/* Tensor i. With skip_nonfinite a mask leaves out what is not finite, if there is any. */
static int measure_tensor(const char *title, measure_report *report, size_t i, const measure_options *options) {
  sap_layer *layer = &report->chosen.layers[i];
  measured *item = &report->items[i];
  sap_error err;
  sap_status status = measure_once(layer, options, item, &err);
  if (status == SAP_ERROR_NONFINITE && options->skip_nonfinite) {
    if (!layer->mask) layer->mask = sap_mask_new(layer->count);
    if (!layer->mask) return failure(title, "no memory for a mask of %s", layer->name);
    item->nonfinite = sap_layer_drop_nonfinite(layer);
    status = measure_once(layer, options, item, &err);
  }
  if (status == SAP_ERROR_NONFINITE)
    return failure(title, "%s: %s (--skip-nonfinite measures the rest)", report->path, err.text);
  return status == SAP_OK ? EXIT_DONE : failure(title, "%s: %s", report->path, err.text);
}

static int measure_gini(const char *title, measure_report *report) {
  const tensors *chosen = &report->chosen;
  sap_error err;
  sap_status status = SAP_OK;
  for (size_t i = 0; i < chosen->count && status == SAP_OK; i++)
    status = sap_gini(&chosen->layers[i], 1, &report->items[i].gini, &err);
  if (status == SAP_OK) status = sap_gini(chosen->layers, chosen->count, &report->gini, &err);
  return status == SAP_OK ? EXIT_DONE : failure(title, "%s: %s", report->path, err.text);
}

/* The tensors [first, last), together if nothing hinders it. */
static int measure_some(const char *title, measure_report *report, size_t first, size_t last,
                        const measure_options *options) {
  const sap_prune_options *o = &options->prune;
  const size_t count = last - first;
  sap_norms all, *norms = o->scope == SAP_SCOPE_NEURON ? NULL : malloc(count * sizeof *norms);
  sap_error err;
  int code = EXIT_DONE;
  if (norms && sap_measure(&report->chosen.layers[first], count, o->p, o->q, norms, &all, &err) == SAP_OK)
    for (size_t i = 0; i < count; i++) report->items[first + i].norms = norms[i];
  else /* one by one, which also tells what is wrong with which */
    for (size_t i = first; i < last && code == EXIT_DONE; i++) code = measure_tensor(title, report, i, options);
  free(norms);
  return code;
}

static int measure_all(const char *title, measure_report *report, const measure_options *options) {
  const tensors *chosen = &report->chosen;
  meter progress;
  sample some;
  uint64_t bytes = 0, done = 0;
  for (size_t i = 0; i < chosen->count; i++) bytes += sap_checkpoint_at(chosen->file, chosen->places[i])->bytes;
  int code = sample_start(title, report, options, &some);
  meter_start(&progress, options->quiet, "measuring", bytes);
  report->all = sap_norms_empty(options->prune.p, options->prune.q);
  for (size_t first = 0, last; first < chosen->count && code == EXIT_DONE; first = last) {
    const uint64_t before = done;
    meter_update(&progress, done);
    for (last = first; last < chosen->count && done - before < TOGETHER; last++) {
      sample_take(&some, report, last);
      done += sap_checkpoint_at(chosen->file, chosen->places[last])->bytes;
    }
    code = measure_some(title, report, first, last, options);
    for (size_t i = first; i < last; i++) sap_norms_merge(&report->all, &report->items[i].norms);
  }
  meter_clear(&progress);
  if (code == EXIT_DONE) code = advice_find(title, report, options, &some);
  free(some.magnitudes);
  if (code == EXIT_DONE && options->gini) code = measure_gini(title, report);
  return code;
}

/* ---- sorting ---- */

static const measure_report *sorted; /* qsort hands its comparison no data */

static int tie(size_t a, size_t b) { return (a > b) - (a < b); }

static int by_pqi(const void *left, const void *right) {
  const size_t a = *(const size_t *)left, b = *(const size_t *)right;
  const double x = sap_norms_pqi(&sorted->items[a].norms), y = sap_norms_pqi(&sorted->items[b].norms);
  return x != y ? (x < y) - (x > y) : tie(a, b);
}

static int by_name(const void *left, const void *right) {
  const size_t a = *(const size_t *)left, b = *(const size_t *)right;
  const int order = strcmp(sorted->chosen.layers[a].name, sorted->chosen.layers[b].name);
  return order ? order : tie(a, b);
}

static int by_size(const void *left, const void *right) {
  const size_t a = *(const size_t *)left, b = *(const size_t *)right;
  const uint64_t x = sorted->chosen.layers[a].count, y = sorted->chosen.layers[b].count;
  return x != y ? (x < y) - (x > y) : tie(a, b);
}

static void sort_report(const measure_report *report, sort_by sort) {
  static int (*const orders[])(const void *, const void *) = {NULL, by_pqi, by_name, by_size};
  sorted = report;
  if (sort != SORT_NOT) qsort(report->order, report->chosen.count, sizeof *report->order, orders[sort]);
}

/* ---- the command ---- */

static const char *sort_name_at(size_t i) {
  static const char *const names[] = {"file", "pqi", "name", "size", NULL};
  return names[i];
}

static int read_options(const command *self, const arguments *parsed, measure_options *options) {
  int sort = SORT_NOT;
  *options = (measure_options){.prune = sap_prune_options_default(),
                               .mask = option_value(parsed, "mask"),
                               .gini = option_given(parsed, "gini"),
                               .histogram = option_given(parsed, "histogram"),
                               .skip_nonfinite = option_given(parsed, "skip-nonfinite"),
                               .json = option_given(parsed, "json"),
                               .quiet = option_given(parsed, "quiet")};
  int code = index_options(self->name, parsed, &options->prune);
  if (code == EXIT_DONE) code = option_word(self->name, parsed, "sort", sort_name_at, &sort);
  options->sort = (sort_by)sort;
  return code;
}

static int measure_file(const command *self, const arguments *parsed, const char *path, const measure_options *options,
                        json_t *documents) {
  measure_report report = {.path = path};
  sap_checkpoint *file = NULL;
  ends_watch(self->name, path);
  int code = tensors_open(self->name, parsed, path, &file);
  if (code != EXIT_DONE) return code;
  code = tensors_choose(self->name, parsed, file, &report.chosen);
  if (code == EXIT_DONE && options->mask) code = tensors_read_masks(self->name, options->mask, &report.chosen);
  if (code == EXIT_DONE) code = report_start(self->name, &report);
  if (code == EXIT_DONE) code = measure_all(self->name, &report, options);
  if (code == EXIT_DONE) {
    sort_report(&report, options->sort);
    if (options->json)
      json_array_append_new(documents, measure_json(&report, options));
    else
      code = measure_print(self->name, &report, options);
    output_flush();
  }
  report_free(&report);
  return code;
}

static int measure(const command *self, const arguments *parsed) {
  measure_options options;
  if (parsed->operand_count == 0) return usage_error(self->name, "a file is needed");
  int code = read_options(self, parsed, &options);
  json_t *documents = json_array();
  for (size_t i = 0; i < parsed->operand_count && code == EXIT_DONE; i++) {
    if (i && !options.json) putchar('\n');
    code = measure_file(self, parsed, parsed->operands[i], &options, documents);
  }
  if (code == EXIT_DONE && options.json)
    output_json(parsed->operand_count == 1 ? json_array_get(documents, 0) : documents);
  json_decref(documents);
  return code;
}

static const option options[] = {
    INDEX_OPTIONS,
    TENSOR_OPTIONS,
    {0, "mask", "F|zeros", NULL, "measure what this file of masks keeps, or what is not 0"},
    {0, "gini", NULL, NULL, "the Gini index, too; takes 8 bytes of memory a weight, 16 for F64"},
    {0, "histogram", NULL, NULL, "text bars of log2 |w| for each tensor"},
    {0, "sort", "KEY", "file, pqi, name or size", "order of the tensors; without it that of the file"},
    {0, "skip-nonfinite", NULL, NULL, "leave out weights that are NaN or infinite, and count them"},
    {0, "json", NULL, NULL, "print one JSON document; an array for several files"},
    {'q', "quiet", NULL, NULL, "no progress"},
    {0, NULL, NULL, NULL, NULL},
};

static const example examples[] = {
    {"sapwood measure model.safetensors", "how far a checkpoint can be pruned"},
    {"sapwood measure pruned.safetensors --mask zeros --sort pqi", "the same of what an earlier pruning left"},
    {NULL, NULL},
};

const command command_measure = {
    .name = "measure",
    .summary = "how far the weights in files can be pruned",
    .synopsis = "FILE... [options]",
    .text =
        "Measures the tensors of checkpoints: their PQ Index, the retain bound (how many weights must stay) and the "
        "share that one step of SAP would prune. A tensor counts if it is of a float type and of rank 2 or more, and "
        "if its name ends in 'weight' where the format has such names. Its last line says what pruning would take, in "
        "the scope asked for. Measuring is one read of the file; in global scope the last line takes two more, or, for "
        "more than 67,108,864 weights, an estimate from a sample.",
    .options = options,
    .operands = OPERANDS_MAX,
    .examples = examples,
    .run = measure,
};
