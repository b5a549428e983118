/* Finding the c smallest of one long vector, and clearing their bits, against a plain read of it. */
#define _GNU_SOURCE
#include "bench.h"

static const struct select_case {
  const char *name;
  int levels; /* 0: nearly normal weights; else that many different magnitudes */
  double share;
} cases[] = {
    {"normal 50 %", 0, 0.5}, {"normal 5 %", 0, 0.05}, {"16 magnitudes 50 %", 16, 0.5}, {"constant 50 %", 1, 0.5}};

static uint32_t key_of(float w) {
  uint32_t bits;
  memcpy(&bits, &w, sizeof bits);
  return bits & 0x7fffffff;
}

/* The definition: exactly c, all below the key, the ties first by position. */
static int is_selection(const float *w, uint64_t n, const sap_selection *s, uint64_t c) {
  uint64_t below = 0, ties = 0;
  for (uint64_t i = 0; i < n; i++) {
    below += key_of(w[i]) < s->key;
    ties += key_of(w[i]) == s->key;
  }
  return s->count == c && ties == s->ties_total && below + s->ties == c && s->ties >= 1 && s->ties <= ties;
}

static int is_cleared(const float *w, uint64_t n, const uint64_t *mask, const sap_selection *s) {
  uint64_t ties = 0;
  for (uint64_t i = 0; i < n; i++) {
    int tie = key_of(w[i]) == s->key;
    int pruned = key_of(w[i]) < s->key || (tie && ties < s->ties);
    ties += (uint64_t)tie;
    if (sap_mask_get(mask, i) == pruned) return 0;
  }
  return 1;
}

static void run_case(const bench_options *o, const struct select_case *c, const float *w, uint64_t *mask) {
  static bench_times find, clear, read;
  char name[64];
  double bytes = 4 * (double)o->elements;
  uint64_t count = (uint64_t)(c->share * (double)o->elements);
  sap_layer layer = {c->name, w, SAP_F32, o->elements, 1, mask, 0};
  find.count = clear.count = read.count = 0;
  for (int round = 0; round < o->rounds; round++) {
    sap_selection selection;
    sap_mask_fill(mask, o->elements);
    double start = bench_now();
    bench_sink = bench_read(w, (size_t)bytes);
    double read_end = bench_now();
    if (sap_select_smallest(&layer, 1, count, &selection, NULL)) exit(1);
    double find_end = bench_now();
    sap_select_clear(&layer, 1, &selection);
    bench_add(&clear, bench_now() - find_end);
    bench_add(&find, find_end - read_end);
    bench_add(&read, read_end - start);
    if (round) continue;
    bench_check(is_selection(w, o->elements, &selection, count), c->name);
    bench_check(is_cleared(w, o->elements, mask, &selection), c->name);
  }
  snprintf(name, sizeof name, "find %s", c->name);
  bench_report(o, name, &find, 2 * bytes, &read, bytes);
  snprintf(name, sizeof name, "clear %s", c->name);
  bench_report(o, name, &clear, bytes * (1 + 1.0 / 32), &read, bytes);
}

int main(int count, char **arguments) {
  bench_options o = bench_parse(count, arguments, 100000000, 11);
  float *w = bench_memory(o.elements * sizeof *w);
  uint64_t *mask = bench_memory(sap_mask_words(o.elements) * sizeof *mask);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const struct select_case *c = &cases[i];
    if (o.only && strcmp(o.only, c->name)) continue;
    bench_fill(w, o.elements);
    for (uint64_t j = 0; c->levels && j < o.elements; j++)
      w[j] = (float)(1 + bench_random() % (uint64_t)c->levels) * 0.37f;
    run_case(&o, c, w, mask);
  }
  free(w);
  free(mask);
  return 0;
}
