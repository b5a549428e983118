/* The optimizer's step over arenas too large for the caches, against streams of the same bytes. */
#define _GNU_SOURCE
#include "bench.h"
#include "train/step.h"

/* The limit of the update: the same five streams (three read, two of them written) with no arithmetic to
 * speak of, in the same parts. */
static void stream(float *w, const float *g, float *v, uint64_t n) {
#pragma omp parallel for simd schedule(static)
  for (uint64_t i = 0; i < n; i++) {
    v[i] = v[i] + g[i];
    w[i] = w[i] + v[i];
  }
}

/* Against the formula in double, for some elements. */
static int is_right(const sap__step *s, const float *before, const float *after, uint64_t stride) {
  for (int k = 0; k < 1000; k++) {
    double w = (double)before[3 * k], g = (double)before[3 * k + 1], v = (double)before[3 * k + 2];
    double gradient = (double)s->clip * g + (double)s->weight_decay * w;
    double velocity = (double)s->momentum * v + gradient;
    double expected = w - (double)s->lr * (gradient + (double)s->momentum * velocity);
    if (fabs((double)after[(uint64_t)k * stride] - expected) > 1e-6) return 0;
  }
  return 1;
}

int main(int count, char **arguments) {
  bench_options o = bench_parse(count, arguments, 32000000, 15);
  uint64_t n = o.elements / 64 * 64, stride = n / 1000;
  float *w = bench_memory(n * sizeof *w), *g = bench_memory(n * sizeof *g), *v = bench_memory(n * sizeof *v);
  uint64_t *mask = bench_memory(sap_mask_words(n) * sizeof *mask);
  bench_fill(w, n);
  bench_fill(g, n);
  bench_fill(v, n);
  sap_mask_fill(mask, n);
  sap__step step = {.lr = 0.1f, .momentum = 0.9f, .weight_decay = 5e-4f, .clip = 0.5f};
  float before[3000];
  for (uint64_t k = 0; k < 1000; k++) {
    before[3 * k] = w[k * stride];
    before[3 * k + 1] = g[k * stride];
    before[3 * k + 2] = v[k * stride];
  }
  sap__step_run(&step, w, g, v, mask, n);
  bench_check(is_right(&step, before, w, stride), "update");
  step.lr = 1e-6f; /* the rounds below must not run away */
  static bench_times norm, update, read, streams, masked;
  for (int round = 0; round < o.rounds; round++) {
    double t0 = bench_now();
    bench_sink = bench_read(g, n * sizeof *g);
    double t1 = bench_now();
    bench_sink = (uint64_t)sap__step_norm(g, n);
    double t2 = bench_now();
    stream(w, g, v, n);
    double t3 = bench_now();
    sap__step_run(&step, w, g, v, mask, n);
    double t4 = bench_now();
    bench_add(&read, t1 - t0);
    bench_add(&norm, t2 - t1);
    bench_add(&streams, t3 - t2);
    bench_add(&update, t4 - t3);
  }
  for (uint64_t i = 0; i < n / 64; i++) mask[i] = bench_random() & bench_random();
  for (int round = 0; round < o.rounds; round++) {
    double start = bench_now();
    sap__step_run(&step, w, g, v, mask, n);
    bench_add(&masked, bench_now() - start);
  }
  double bytes = 4 * (double)n;
  bench_report(&o, "gradient norm", &norm, bytes, &read, bytes);
  bench_report(&o, "update", &update, 5 * bytes, &streams, 5 * bytes);
  bench_report(&o, "update, 75 % pruned", &masked, 5 * bytes, &streams, 5 * bytes);
  free(w);
  free(g);
  free(v);
  free(mask);
  return 0;
}
