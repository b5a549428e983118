/* The results of `measure` as a table and as JSON. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"
#include "sapwood/histogram.h"
#include "sapwood/pqi.h"
#include "terminal.h"

double prune_ratio_of(const sap_norms *norms, const sap_prune_options *options) {
  if (!norms->count) return 0;
  const double ratio = options->gamma * (1 - sap_norms_retain(norms, options->eta) / (double)norms->count);
  return fmax(fmin(ratio, options->beta), 0);
}

/* ---- JSON ---- */

/* The numbers of G in the manual: of one tensor, or of all. */
static json_t *norms_json(const sap_norms *norms, uint64_t count, const sap_prune_options *options) {
  json_t *object = json_object();
  json_object_set_new(object, "count", json_integer((json_int_t)count));
  json_object_set_new(object, "kept", json_integer((json_int_t)norms->count));
  json_object_set_new(object, "zeros", json_integer((json_int_t)norms->zeros));
  json_object_set_new(object, "pqi", json_number(sap_norms_pqi(norms)));
  json_object_set_new(object, "retain", json_number(sap_norms_retain(norms, options->eta)));
  json_object_set_new(object, "prune_ratio", json_number(prune_ratio_of(norms, options)));
  return object;
}

static json_t *histogram_json(const sap_layer *layer) {
  sap_histogram histogram;
  sap_error err;
  json_t *object = json_object(), *bins = json_object();
  if (sap_layer_histogram(layer, &histogram, &err) != SAP_OK) return json_null();
  for (int i = 0; i < SAP_HISTOGRAM_BINS; i++) {
    char exponent[16];
    if (!histogram.bins[i]) continue;
    snprintf(exponent, sizeof exponent, "%d", i - SAP_HISTOGRAM_ZERO);
    json_object_set_new(bins, exponent, json_integer((json_int_t)histogram.bins[i]));
  }
  json_object_set_new(object, "zeros", json_integer((json_int_t)histogram.zeros));
  json_object_set_new(object, "log2", bins);
  return object;
}

static json_t *item_json(const measure_report *report, size_t i, const measure_options *options) {
  const measured *item = &report->items[i];
  const sap_layer *layer = &report->chosen.layers[i];
  json_t *object = norms_json(&item->norms, layer->count, &options->prune);
  json_object_set_new(object, "name", json_string(layer->name));
  json_object_set_new(object, "dtype", json_string(sap_dtype_name(layer->dtype)));
  json_object_set_new(object, "shape", shape_json(sap_checkpoint_at(report->chosen.file, report->chosen.places[i])));
  if (options->gini) json_object_set_new(object, "gini", json_number(item->gini));
  if (options->skip_nonfinite) json_object_set_new(object, "nonfinite", json_integer((json_int_t)item->nonfinite));
  if (options->histogram) json_object_set_new(object, "histogram", histogram_json(layer));
  if (!item->neurons) return object;
  json_t *pqi = json_array();
  for (uint64_t row = 0; row < layer->rows; row++) json_array_append_new(pqi, json_number(item->neurons[row]));
  json_object_set_new(object, "neurons", json_pack("{s:o}", "pqi", pqi));
  return object;
}

static double share_of(uint64_t part, uint64_t whole) { return whole ? (double)part / (double)whole : 0; }

static json_t *advice_json(const measure_report *report, const measure_options *options) {
  const measured *most = &report->items[report->most];
  json_t *object = json_object();
  json_object_set_new(object, "scope", json_string(sap_scope_name(options->prune.scope)));
  json_object_set_new(object, "pruned", json_integer((json_int_t)report->c));
  json_object_set_new(object, "prune_ratio", json_number(share_of(report->c, report->all.count)));
  json_object_set_new(object, "tensor", json_string(report->chosen.layers[report->most].name));
  json_object_set_new(object, "tensor_prune_ratio", json_number(share_of(most->c, most->norms.count)));
  json_object_set_new(object, "exact", json_boolean(report->exact));
  return object;
}

json_t *measure_json(const measure_report *report, const measure_options *options) {
  const sap_prune_options *o = &options->prune;
  json_t *document = json_object(), *list = json_array();
  uint64_t nonfinite = 0;
  for (size_t k = 0; k < report->chosen.count; k++) {
    nonfinite += report->items[k].nonfinite;
    json_array_append_new(list, item_json(report, report->order[k], options));
  }
  json_t *all = norms_json(&report->all, report->chosen.weights, o);
  if (options->gini) json_object_set_new(all, "gini", json_number(report->gini));
  if (options->skip_nonfinite) json_object_set_new(all, "nonfinite", json_integer((json_int_t)nonfinite));
  json_object_set_new(document, "file", json_string(report->path));
  json_object_set_new(document, "format", json_string(sap_checkpoint_format(report->chosen.file)));
  json_object_set_new(document, "p", json_number(o->p));
  json_object_set_new(document, "q", json_number(o->q));
  json_object_set_new(document, "eta", json_number(o->eta));
  json_object_set_new(document, "gamma", json_number(o->gamma));
  json_object_set_new(document, "beta", json_number(o->beta));
  json_object_set_new(document, "global", all);
  json_object_set_new(document, "tensors", list);
  json_object_set_new(document, "left_out", left_out_json(&report->chosen.out));
  json_object_set_new(document, "advice", advice_json(report, options));
  return document;
}

/* ---- the table ---- */

enum { DTYPE_WIDTH = 8, SHAPE_WIDTH = 16, COUNT_WIDTH = 15 };

/* The columns that this report shows beyond the common ones. */
typedef struct columns {
  int name, masks, gini, neurons, nonfinite;
} columns;

static columns columns_of(const measure_report *report, const measure_options *options) {
  columns c = {tensors_name_width(&report->chosen, 6), 0, options->gini, options->prune.scope == SAP_SCOPE_NEURON, 0};
  for (size_t i = 0; i < report->chosen.count; i++) {
    if (report->items[i].nonfinite) c.nonfinite = 1;
    if (report->chosen.layers[i].mask && options->mask) c.masks = 1;
    if (sap_checkpoint_mask(report->chosen.file, report->chosen.places[i])) c.masks = 1;
  }
  return c;
}

static void print_head(const columns *c) {
  printf("%-*s  %-*s %-*s %*s", c->name, "tensor", DTYPE_WIDTH, "dtype", SHAPE_WIDTH, "shape", COUNT_WIDTH, "weights");
  if (c->masks) printf("  %9s", "density");
  printf("  %9s %8s %9s %9s", "zeros", "PQI", "retain", "prune");
  if (c->gini) printf(" %8s", "Gini");
  if (c->nonfinite) printf(" %11s", "not finite");
  if (c->neurons) printf("  %26s", "PQI of rows: min median max");
  putchar('\n');
}

static void print_numbers(const columns *c, const sap_norms *norms, uint64_t count, double gini, uint64_t nonfinite,
                          const sap_prune_options *options) {
  const double d = norms->count ? (double)norms->count : 1;
  if (c->masks) printf("  %7.2f %%", 100 * share_of(norms->count, count));
  printf("  %7.2f %% %8.4f %7.2f %% %7.2f %%", 100 * (double)norms->zeros / d, sap_norms_pqi(norms),
         100 * sap_norms_retain(norms, options->eta) / d, 100 * prune_ratio_of(norms, options));
  if (c->gini) printf(" %8.4f", gini);
  if (c->nonfinite) printf(" %11" PRIu64, nonfinite);
}

static int by_value(const void *left, const void *right) {
  const double a = *(const double *)left, b = *(const double *)right;
  return (a > b) - (a < b);
}

/* Least, middle and largest of the rows' indices. */
static int print_rows(const char *title, const double *values, uint64_t rows) {
  if (!rows) return EXIT_DONE;
  double *sorted = malloc(rows * sizeof *sorted);
  if (!sorted) return failure(title, "no memory for %" PRIu64 " rows", rows);
  memcpy(sorted, values, rows * sizeof *sorted);
  qsort(sorted, rows, sizeof *sorted, by_value);
  const double median = rows % 2 ? sorted[rows / 2] : (sorted[rows / 2 - 1] + sorted[rows / 2]) / 2;
  printf("  %10s%8.4f %7.4f %7.4f", "", sorted[0], median, sorted[rows - 1]);
  free(sorted);
  return EXIT_DONE;
}

static int print_item(const char *title, const measure_report *report, size_t i, const columns *c,
                      const measure_options *options) {
  const measured *item = &report->items[i];
  const sap_layer *layer = &report->chosen.layers[i];
  char shape[200], count[32];
  name_print(layer->name, c->name);
  printf("  %-*s %-*s %*s", DTYPE_WIDTH, sap_dtype_name(layer->dtype), SHAPE_WIDTH,
         shape_text(sap_checkpoint_at(report->chosen.file, report->chosen.places[i]), shape, sizeof shape), COUNT_WIDTH,
         group_digits(layer->count, count));
  print_numbers(c, &item->norms, layer->count, item->gini, item->nonfinite, &options->prune);
  const int code = item->neurons ? print_rows(title, item->neurons, layer->rows) : EXIT_DONE;
  putchar('\n');
  return code;
}

static void print_bar(const char *label, uint64_t count, uint64_t largest, uint64_t all) {
  static const char marks[] = "########################################";
  const int length = largest ? (int)((double)count / (double)largest * 40 + 0.5) : 0;
  printf("  %6s  %-40.*s  %6.2f %%\n", label, length, marks, 100 * share_of(count, all));
}

/* Text bars of floor(log2 |w|), one a power of two; what lies below a ten thousandth of the weights at the low end
 * is taken together. */
static int print_histogram(const char *title, const measure_report *report, size_t i) {
  sap_histogram h;
  sap_error err;
  const sap_layer *layer = &report->chosen.layers[i];
  if (sap_layer_histogram(layer, &h, &err) != SAP_OK) return failure(title, "%s: %s", report->path, err.text);
  uint64_t all = h.zeros, low = 0, largest = h.zeros;
  int first = 0, last = SAP_HISTOGRAM_BINS - 1;
  for (int k = 0; k < SAP_HISTOGRAM_BINS; k++) all += h.bins[k];
  while (last > 0 && !h.bins[last]) last--;
  while (first < last && low + h.bins[first] <= all / 10000) low += h.bins[first++];
  if (low) h.bins[--first] = low;
  for (int k = first; k <= last; k++) largest = h.bins[k] > largest ? h.bins[k] : largest;
  putchar('\n');
  name_print(layer->name, 0);
  printf(": share of weights by log2 |w|\n");
  if (h.zeros) print_bar("zero", h.zeros, largest, all);
  for (int k = first; k <= last && all > h.zeros; k++) {
    char label[16];
    snprintf(label, sizeof label, "%s%d", low && k == first ? "<=" : "", k - SAP_HISTOGRAM_ZERO);
    print_bar(label, h.bins[k], largest, all);
  }
  return EXIT_DONE;
}

static void print_advice(const measure_report *report, const measure_options *options) {
  static const char *const subjects[] = {"global pruning", "pruning each tensor", "pruning each row"};
  const measured *most = &report->items[report->most];
  const char *weights = report->all.count < report->chosen.weights ? "kept weights" : "weights";
  if (!report->c) {
    printf("%s at the retain bound removes nothing\n", subjects[options->prune.scope]);
    return;
  }
  printf("%s at the retain bound removes %.3g %% of the %s; ", subjects[options->prune.scope],
         100 * share_of(report->c, report->all.count), weights);
  name_print(report->chosen.layers[report->most].name, 0);
  printf(" would lose most (%s%.3g %%)\n", report->exact ? "" : "about ", 100 * share_of(most->c, most->norms.count));
}

int measure_print(const char *title, const measure_report *report, const measure_options *options) {
  const columns c = columns_of(report, options);
  char count[32];
  uint64_t nonfinite = 0;
  printf("%s: %s, p %g, q %g\n\n", report->path, sap_checkpoint_format(report->chosen.file), options->prune.p,
         options->prune.q);
  print_head(&c);
  int code = EXIT_DONE;
  for (size_t k = 0; k < report->chosen.count && code == EXIT_DONE; k++) {
    nonfinite += report->items[k].nonfinite;
    code = print_item(title, report, report->order[k], &c, options);
  }
  printf("%-*s  %-*s %-*s %*s", c.name, "global", DTYPE_WIDTH, "", SHAPE_WIDTH, "", COUNT_WIDTH,
         group_digits(report->chosen.weights, count));
  print_numbers(&c, &report->all, report->chosen.weights, report->gini, nonfinite, &options->prune);
  putchar('\n');
  for (size_t k = 0; k < report->chosen.count && options->histogram && code == EXIT_DONE; k++)
    code = print_histogram(title, report, report->order[k]);
  putchar('\n');
  left_out_print(&report->chosen.out);
  print_advice(report, options);
  return code;
}
