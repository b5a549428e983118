/* What pruning would take from each tensor: the line that a person can act on.
 *
 * In the scopes layer and neuron the norms say it. In global scope the threshold has to be found among all weights:
 * up to EXACT_MAX of them it is selected exactly, two more reads of a file that takes a moment. Beyond that a sample
 * that is taken on the way stands for the rest, so that measuring stays one read.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"
#include "sapwood/pqi.h"
#include "sapwood/select.h"

#define EXACT_MAX ((uint64_t)1 << 26)

/* Weights of the whole sample, those of a tensor at least, and how many lie together: few pages are touched. */
enum { SAMPLE = 1 << 18, SAMPLE_LEAST = 64, RUN = 1024 };

static uint64_t sample_size(const measure_report *report, size_t i) {
  const uint64_t n = report->chosen.layers[i].count;
  const double share = (double)n / (double)report->chosen.weights;
  const uint64_t size = SAMPLE_LEAST + (uint64_t)(share * SAMPLE);
  return size < n ? size : n;
}

int sample_start(const char *title, const measure_report *report, const measure_options *options, sample *s) {
  *s = (sample){0};
  if (options->prune.scope != SAP_SCOPE_GLOBAL || report->chosen.weights <= EXACT_MAX) return EXIT_DONE;
  for (size_t i = 0; i < report->chosen.count; i++) s->room += (size_t)sample_size(report, i);
  s->magnitudes = malloc(s->room * sizeof *s->magnitudes);
  return s->magnitudes ? EXIT_DONE : failure(title, "no memory for a sample of %zu weights", s->room);
}

/* `n` magnitudes of kept weights from `start` on. */
static void take_run(sample *s, const sap_layer *layer, uint64_t start, size_t n) {
  float run[RUN];
  const char *at = (const char *)layer->data + start * (sap_dtype_bits(layer->dtype) / 8);
  sap_dtype_to_f32(layer->dtype, at, run, n);
  for (size_t i = 0; i < n; i++)
    if ((!layer->mask || sap_mask_get(layer->mask, start + i)) && isfinite(run[i]))
      s->magnitudes[s->count++] = fabsf(run[i]);
}

void sample_take(sample *s, measure_report *report, size_t i) {
  const sap_layer *layer = &report->chosen.layers[i];
  measured *item = &report->items[i];
  item->sample_at = s->count;
  if (!s->magnitudes || !layer->count) return;
  const uint64_t size = sample_size(report, i), runs = (size + RUN - 1) / RUN;
  for (uint64_t r = 0; r < runs; r++) {
    const size_t n = (size_t)(size - r * RUN < RUN ? size - r * RUN : RUN);
    const uint64_t place = (uint64_t)((double)(layer->count - n) * ((double)r + 0.5) / (double)runs);
    take_run(s, layer, place, n);
  }
  item->sample_count = s->count - item->sample_at;
  sap_layer_release(layer); /* the system brings in much around each run */
}

/* A bin of magnitudes: 128 of them for each power of two. */
static size_t bin_of(float magnitude) {
  uint32_t bits;
  memcpy(&bits, &magnitude, sizeof bits);
  return bits >> 16;
}

/* Each tensor's share of the c smallest, from the sample: the bins up to the threshold, and part of the last. */
static int estimate(const char *title, measure_report *report, const sample *s) {
  enum { BINS = 1 << 15 };
  double *weights = calloc(BINS, sizeof *weights), below = 0;
  if (!weights) return failure(title, "no memory for a histogram");
  for (size_t i = 0; i < report->chosen.count; i++) {
    const measured *item = &report->items[i];
    const double weight = item->sample_count ? (double)item->norms.count / (double)item->sample_count : 0;
    for (size_t j = 0; j < item->sample_count; j++) weights[bin_of(s->magnitudes[item->sample_at + j])] += weight;
  }
  size_t last = 0;
  while (last + 1 < BINS && below + weights[last] < (double)report->c) below += weights[last++];
  const double part = weights[last] > 0 ? ((double)report->c - below) / weights[last] : 0;
  free(weights);
  for (size_t i = 0; i < report->chosen.count; i++) {
    measured *item = &report->items[i];
    double taken = 0;
    for (size_t j = 0; j < item->sample_count; j++) {
      const size_t bin = bin_of(s->magnitudes[item->sample_at + j]);
      taken += bin < last ? 1 : bin == last ? part : 0;
    }
    const double share = item->sample_count ? taken / (double)item->sample_count : 0;
    item->c = (uint64_t)fmin(share * (double)item->norms.count, (double)item->norms.count);
  }
  report->exact = 0;
  return EXIT_DONE;
}

/* The same exactly. */
static int count_exactly(const char *title, measure_report *report) {
  const tensors *chosen = &report->chosen;
  sap_selection selection;
  sap_error err;
  uint64_t *taken = calloc(chosen->count, sizeof *taken);
  if (!taken) return failure(title, "no memory for %zu numbers", chosen->count);
  sap_status status = sap_select_smallest(chosen->layers, chosen->count, report->c, &selection, &err);
  if (status == SAP_OK) status = sap_select_counts(chosen->layers, chosen->count, &selection, taken, &err);
  for (size_t i = 0; i < chosen->count && status == SAP_OK; i++) report->items[i].c = taken[i];
  free(taken);
  return status == SAP_OK ? EXIT_DONE : failure(title, "%s: %s", report->path, err.text);
}

static double share_of(const measured *item) {
  return item->norms.count ? (double)item->c / (double)item->norms.count : 0;
}

int advice_find(const char *title, measure_report *report, const measure_options *options, sample *s) {
  const sap_prune_options *o = &options->prune;
  int code = EXIT_DONE;
  report->exact = 1;
  if (o->scope == SAP_SCOPE_GLOBAL) {
    report->c = sap_norms_prune_count(&report->all, o->eta, o->gamma, o->beta);
    code = s->magnitudes ? estimate(title, report, s) : count_exactly(title, report);
  } else {
    report->c = 0;
    for (size_t i = 0; i < report->chosen.count; i++) {
      measured *item = &report->items[i];
      if (o->scope == SAP_SCOPE_LAYER) item->c = sap_norms_prune_count(&item->norms, o->eta, o->gamma, o->beta);
      report->c += item->c;
    }
  }
  for (size_t i = 1; i < report->chosen.count; i++)
    if (share_of(&report->items[i]) > share_of(&report->items[report->most])) report->most = i;
  free(s->magnitudes);
  s->magnitudes = NULL;
  return code;
}
