/* Sparse inference: a network with random weights and masks of uniform density, in every way the runtime has, in
 * turns, checked against the reference engine.
 *
 *   bench_runtime [--model NAME] [--density D] [--batch N] [--threads N] [--rounds N] [--write FILE]
 *
 * --write keeps the model file, for bench/peer_runtime.py. */
#include <math.h>
#include <unistd.h>

#include "bench.h"
#include "engine/engine.h"
#include "random_model.h"

typedef struct setup {
  const char *model, *file;
  double density;
  int batch, threads, rounds;
} setup;

static setup parse(int count, char **arguments) {
  setup s = {.model = "resnet18", .density = 0.1, .batch = 1, .threads = 1, .rounds = 20};
  for (int i = 1; i + 1 < count; i += 2) {
    const char *name = arguments[i], *value = arguments[i + 1];
    if (!strcmp(name, "--model"))
      s.model = value;
    else if (!strcmp(name, "--density"))
      s.density = atof(value);
    else if (!strcmp(name, "--batch"))
      s.batch = atoi(value);
    else if (!strcmp(name, "--threads"))
      s.threads = atoi(value);
    else if (!strcmp(name, "--rounds"))
      s.rounds = atoi(value);
    else if (!strcmp(name, "--write"))
      s.file = value;
    else
      s.rounds = 0;
  }
  if (count % 2 == 1 && s.batch > 0 && s.threads > 0 && s.rounds > 0 && s.rounds <= BENCH_ROUNDS_MAX) return s;
  fprintf(stderr, "usage: %s [--model NAME] [--density D] [--batch N] [--threads N] [--rounds N] [--write FILE]\n",
          arguments[0]);
  exit(2);
}

static const float *feed_pictures;
static size_t feed_picture;
static void feed(const void *user, int first, int count, float *x, uint8_t *labels) {
  (void)user;
  memcpy(x, feed_pictures + (size_t)first * feed_picture, (size_t)count * feed_picture * sizeof *x);
  memset(labels, 0, (size_t)count);
}

/* Logits of the first picture by the reference engine. */
static void reference(const sap__graph *graph, float *weights, const float *x, double *y) {
  sap_error err;
  sap__plan *plan = NULL;
  random_model_stop(sap__plan_new(sap__engine_find("ref"), graph, 1, weights, NULL, NULL, &plan, &err), &err);
  feed_pictures = x;
  feed_picture = (size_t)sap__shape_count(&graph->values[0].shape);
  sap__plan_forward(plan, feed, NULL);
  sap__plan_value(plan, graph->nodes[graph->node_count - 1].inputs[0], y);
  sap__plan_free(plan);
}

/* Largest difference over the largest logit. */
static double error_of(const float *y, const double *right, int outputs) {
  double worst = 0, largest = 0;
  for (int i = 0; i < outputs; i++) {
    largest = fmax(largest, fabs(right[i]));
    worst = fmax(worst, fabs((double)y[i] - right[i]));
  }
  return worst / largest;
}

int main(int count, char **arguments) {
  setup s = parse(count, arguments);
  sap_error err;
  sap__graph *graph = random_model_graph(s.model);
  float *weights = random_weights(graph, s.density);
  char path[] = "/tmp/bench_runtime_XXXXXX";
  if (!s.file && mkstemp(path) < 0) return 1;
  random_model_write(graph, weights, s.file ? s.file : path);
  double opening = bench_now();
  sap_model *model = NULL;
  random_model_stop(sap_model_open(s.file ? s.file : path, NULL, &model, &err), &err);
  opening = bench_now() - opening;
  if (!s.file) unlink(path);

  sap_model_info info;
  sap_model_describe(model, &info);
  size_t picture = (size_t)info.channels * (size_t)info.height * (size_t)info.width, batch = (size_t)s.batch;
  float *x = bench_memory(batch * picture * sizeof *x), *y = bench_memory(batch * (size_t)info.outputs * sizeof *y);
  double right[64];
  bench_fill(x, batch * picture);
  for (size_t i = 0; i < batch * picture; i++) x[i] *= 8;
  reference(graph, weights, x, right);

  sap_session *sessions[SAP_WAY_COUNT] = {NULL};
  static bench_times times[SAP_WAY_COUNT];
  for (int way = 0; way < SAP_WAY_COUNT; way++) {
    sap_session_options options = {.batch = s.batch, .threads = s.threads, .way = (sap_way)way, .measure = 1};
    if (sap_session_new(model, &options, &sessions[way], &err)) continue;
    random_model_stop(sap_session_run(sessions[way], x, batch, y, &err), &err);
    bench_check(error_of(y, right, info.outputs) < 1e-4, sap_way_name((size_t)way));
  }
  for (int round = 0; round < s.rounds; round++)
    for (int way = 0; way < SAP_WAY_COUNT; way++) {
      if (!sessions[way]) continue;
      random_model_stop(sap_session_run(sessions[way], x, batch, y, &err),
                        &err); /* the way before has emptied the caches */
      double start = bench_now();
      random_model_stop(sap_session_run(sessions[way], x, batch, y, &err), &err);
      bench_add(&times[way], bench_now() - start);
    }
  printf("%s, density %g, batch %d, %d threads, %s: opened in %.1f ms\n", info.name, s.density, s.batch, s.threads,
         sap_cpu_name(sap_cpu_active()), 1e3 * opening);
  for (int way = 0; way < SAP_WAY_COUNT; way++) {
    if (!sessions[way]) continue;
    double products = way == SAP_WAY_DENSE ? (double)info.products : (double)info.useful;
    double least = bench_min(&times[way]);
    printf("  %-8s min %8.3f ms  median %8.3f ms  %6.1f GFLOP/s useful\n", sap_way_name((size_t)way), 1e3 * least,
           1e3 * bench_median(&times[way]), 2e-9 * products * s.batch / least);
    sap_session_free(sessions[way]);
  }
  sap_model_close(model);
  sap__graph_free(graph);
  return 0;
}
