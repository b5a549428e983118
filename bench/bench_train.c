/* Training steps of a network: forward, loss, backward, clip, mask, update; and where their time goes.
 *
 *   bench_train [--model cnn] [--batch 64] [--rounds 5] [--threads 1] [--engine NAME] [--serve]
 *
 * --serve: a step for every line on stdin, its wall and processor seconds on stdout; bench/peer_step.py alternates such
 * steps with those of PyTorch. */
#define _GNU_SOURCE
#include <sys/resource.h>

#include "bench.h"
#include "engine/engine.h"
#include "graph/zoo/zoo.h"
#include "train/arena.h"
#include "train/remember.h"
#include "train/step.h"

typedef struct settings {
  const char *model, *engine;
  int batch, rounds, threads, serve;
} settings;

static sap_error err;

static void stop_on(sap_status status) {
  if (!status) return;
  fprintf(stderr, "bench_train: %s\n", err.text);
  exit(1);
}

static settings parse(int count, char **words) {
  settings s = {"cnn", NULL, 64, 5, 1, 0};
  for (int i = 1; i < count; i++) {
    const char *value = i + 1 < count ? words[i + 1] : "";
    if (!strcmp(words[i], "--serve")) {
      s.serve = 1;
      continue;
    }
    if (!strcmp(words[i], "--model"))
      s.model = value;
    else if (!strcmp(words[i], "--engine"))
      s.engine = value;
    else if (!strcmp(words[i], "--batch"))
      s.batch = atoi(value);
    else if (!strcmp(words[i], "--rounds"))
      s.rounds = atoi(value);
    else if (!strcmp(words[i], "--threads"))
      s.threads = atoi(value);
    else
      s.batch = 0;
    i++;
  }
  if (s.batch < 1 || s.rounds < 1 || s.rounds > BENCH_ROUNDS_MAX) {
    fprintf(stderr, "usage: bench_train [--model M] [--batch N] [--rounds R] [--threads T] [--engine E] [--serve]\n");
    exit(2);
  }
  return s;
}

static void fill(const void *user, int first, int count, float *x, uint8_t *labels) {
  const float *pictures = user; /* (batch, 784) */
  memcpy(x, pictures + (size_t)first * 784, (size_t)count * 784 * sizeof *x);
  for (int i = 0; i < count; i++) labels[i] = (uint8_t)((first + i) % 10);
}

static double processor(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct job {
  sap__plan *plan;
  sap__arena *arena;
  const float *pictures;
} job;

/* One step; returns the loss of a picture. */
static double run_step(const job *j, int batch, double *wall, double *cpu) {
  sap__arena *a = j->arena;
  const double start = bench_now(), used = processor();
  const double loss = sap__plan_forward(j->plan, fill, j->pictures).sum / batch;
  sap__plan_backward(j->plan);
  sap__step step = {.lr = 0.01f, .momentum = 0.9f, .weight_decay = 5e-4f};
  step.clip = sap__step_clip(sap__step_norm(a->gradients, a->trained), 1);
  sap__step_run(&step, a->weights, a->gradients, a->momentum, a->mask, a->trained);
  *wall = bench_now() - start;
  *cpu = processor() - used;
  return loss;
}

/* Where the processor time of a step goes. */
static void show_profile(const job *j, const sap__graph *graph, int batch) {
  double by_op[SAP_OP_COUNT][SAP__TIME_COUNT] = {{0}}, all = 0, wall, cpu;
  stop_on(sap__plan_profile(j->plan, &err));
  run_step(j, batch, &wall, &cpu);
  for (int n = 0; n < graph->node_count; n++)
    for (int what = 0; what < SAP__TIME_COUNT; what++) {
      const double time = sap__plan_time(j->plan, n, (sap__time)what);
      by_op[graph->nodes[n].op][what] += time;
      all += time;
    }
  printf("  %-16s %8s %8s %8s %8s %7s   (ms of processor time, all threads)\n", "", "forward", "dx", "dw", "copies",
         "share");
  for (int op = 0; op < SAP_OP_COUNT; op++) {
    const double *t = by_op[op], sum = t[0] + t[1] + t[2] + t[3];
    if (sum > 0)
      printf("  %-16s %8.2f %8.2f %8.2f %8.2f %6.1f%%\n", sap__op_info_of((sap__op)op)->name, 1e3 * t[0], 1e3 * t[1],
             1e3 * t[2], 1e3 * t[3], 100 * sum / cpu);
  }
  printf("  %-16s %35s %6.1f%%\n", "update and rest", "", 100 * (1 - all / cpu));
}

static void serve(const job *j, int batch) {
  char line[64];
  double wall, cpu;
  while (fgets(line, sizeof line, stdin)) {
    double loss = run_step(j, batch, &wall, &cpu);
    printf("%.9f %.9f %.9f\n", wall, cpu, loss);
    fflush(stdout);
  }
}

int main(int count, char **words) {
  const settings s = parse(count, words);
  sap_threads_set(s.threads);
  sap__graph *graph;
  job j;
  stop_on(sap__model_graph(s.model, sap__shape_3(1, 28, 28), 10, &graph, &err));
  stop_on(sap__arena_new(graph, 1, &j.arena, &err));
  sap__arena_initialise(j.arena, 1);
  float *pictures = bench_memory((size_t)s.batch * 784 * sizeof *pictures);
  for (size_t i = 0; i < (size_t)s.batch * 784; i++) pictures[i] = (float)(bench_random() >> 40) * 0x1p-23f - 1;
  j.pictures = pictures;
  const int bf16 = s.engine && !strcmp(s.engine, "onednn-bf16");
  const sap__engine *engine = sap__engine_find(bf16 ? "onednn" : s.engine);
  if (bf16 && engine) engine = engine->bf16;
  bench_check(engine != NULL, "an engine");
  sap__remember remember;
  double start = processor();
  stop_on(sap__remember_open(&remember, engine, graph, NULL, &err));
  stop_on(sap__plan_new(engine, graph, s.batch, j.arena->weights, j.arena->gradients, remember.choices, &j.plan, &err));
  stop_on(sap__remember_save(&remember, NULL, &err));
  const double planned = processor() - start;
  if (s.serve) {
    serve(&j, s.batch);
  } else {
    static bench_times walls, cpus;
    double wall, cpu;
    bench_check(isfinite(run_step(&j, s.batch, &wall, &cpu)), "a step");
    for (int round = 0; round < s.rounds; round++) {
      run_step(&j, s.batch, &wall, &cpu);
      bench_add(&walls, wall);
      bench_add(&cpus, cpu);
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf(
        "%s batch %d, %d threads: step min %.1f ms (%.1f img/s), median %.1f ms; processor min %.1f ms (%.1f img/s a "
        "core); planned in %.2f s; peak memory %ld MB\n",
        s.model, s.batch, s.threads, 1e3 * bench_min(&walls), s.batch / bench_min(&walls), 1e3 * bench_median(&walls),
        1e3 * bench_min(&cpus), s.batch / bench_min(&cpus), planned, usage.ru_maxrss / 1024);
    show_profile(&j, graph, s.batch);
  }
  sap__plan_free(j.plan);
  sap__remember_close(&remember);
  sap__arena_free(j.arena);
  sap__graph_free(graph);
  free(pictures);
  return 0;
}
