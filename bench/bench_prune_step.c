/* One pruning step of a whole model: index, decision, selection and mask, against plain reads of its weights.
 * The layers are those of a large network in kind: a few hold nearly everything. Goal: four reads. */
#define _GNU_SOURCE
#include "bench.h"

#define LAYERS 24

/* Layer i gets a share of the weights that grows with the square of i; rows of 576 weights or so. */
static size_t cut(sap_layer *layers, float *w, uint64_t *mask, uint64_t elements) {
  uint64_t used = 0, total = 0;
  for (uint64_t i = 1; i <= LAYERS; i++) total += i * i;
  for (uint64_t i = 0; i < LAYERS; i++) {
    uint64_t count = i + 1 < LAYERS
                         ? (uint64_t)((double)elements / (double)total * (double)((i + 1) * (i + 1))) / 576 * 576
                         : elements - used;
    uint64_t rows = count % 576 ? 1 : count / 576;
    layers[i] = (sap_layer){NULL, w + used, SAP_F32, count, rows, mask + used / 64, 0};
    used += count;
  }
  return LAYERS;
}

static void run_scope(const bench_options *o, sap_scope scope, const sap_layer *layers, const float *w) {
  static bench_times times, read, measure, decide, apply;
  bench_times *all[] = {&times, &read, &measure, &decide, &apply};
  for (int i = 0; i < 5; i++) all[i]->count = 0;
  double bytes = 4 * (double)o->elements;
  for (int round = 0; round < o->rounds; round++) {
    for (size_t i = 0; i < LAYERS; i++) sap_mask_fill(layers[i].mask, layers[i].count);
    sap_prune_options options = sap_prune_options_default();
    options.scope = scope;
    sap_decision *decision;
    sap_norms norms;
    double start = bench_now();
    bench_sink = bench_read(w, (size_t)bytes);
    double read_end = bench_now();
    if (sap_measure(layers, LAYERS, options.p, options.q, NULL, &norms, NULL)) exit(1);
    double measure_end = bench_now();
    if (sap_prune_decide(layers, LAYERS, &options, &decision, NULL)) exit(1);
    double decide_end = bench_now();
    sap_prune_apply(layers, LAYERS, decision);
    double end = bench_now();
    bench_add(&read, read_end - start);
    bench_add(&measure, measure_end - read_end);
    bench_add(&decide, decide_end - measure_end);
    bench_add(&apply, end - decide_end);
    bench_add(&times, end - measure_end);
    uint64_t kept = 0;
    for (size_t i = 0; i < LAYERS; i++) kept += sap_mask_count(layers[i].mask, layers[i].count);
    bench_check(decision->pruned + kept == decision->total && decision->total == o->elements, "count");
    if (scope == SAP_SCOPE_GLOBAL) bench_check(decision->pruned == decision->groups[0].selection.count, "global count");
    sap_decision_free(decision);
  }
  char name[64];
  const char *steps[] = {"step", "", "measure", "decide", "apply"};
  double reads[] = {4, 0, 1, 3, 1};
  for (int i = 0; i < 5; i++) {
    if (i == 1) continue;
    snprintf(name, sizeof name, "%s %s", sap_scope_name(scope), steps[i]);
    bench_report(o, name, all[i], reads[i] * bytes, &read, bytes);
  }
}

int main(int count, char **arguments) {
  bench_options o = bench_parse(count, arguments, 100000000, 7);
  o.elements = o.elements / 64 * 64 + 64;
  float *w = bench_memory(o.elements * sizeof *w);
  uint64_t *mask = bench_memory((sap_mask_words(o.elements) + LAYERS) * sizeof *mask);
  sap_layer layers[LAYERS];
  bench_fill(w, o.elements);
  cut(layers, w, mask, o.elements);
  for (int scope = 0; scope < SAP_SCOPE_COUNT; scope++)
    if (!o.only || !strcmp(o.only, sap_scope_name((sap_scope)scope))) run_scope(&o, (sap_scope)scope, layers, w);
  if (!o.only || !strcmp(o.only, "gini")) {
    static bench_times times, read;
    double bytes = 4 * (double)o.elements, gini;
    for (size_t i = 0; i < LAYERS; i++) sap_mask_fill(layers[i].mask, layers[i].count);
    for (int round = 0; round < o.rounds; round++) {
      double start = bench_now();
      bench_sink = bench_read(w, (size_t)bytes);
      double middle = bench_now();
      if (sap_gini(layers, LAYERS, &gini, NULL)) exit(1);
      bench_add(&read, middle - start);
      bench_add(&times, bench_now() - middle);
      bench_check(gini > 0 && gini < 1, "gini");
    }
    bench_report(&o, "gini", &times, bytes, &read, bytes);
  }
  free(w);
  free(mask);
  return 0;
}
