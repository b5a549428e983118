/* One epoch of training with its evaluation, against the arithmetic the processor could do in that time. */
#define _GNU_SOURCE
#include <dirent.h>
#include <unistd.h>

#include "bench.h"

typedef float peak_vector __attribute__((vector_size(64)));

/* Multiply-adds in registers (the build lets the compiler fuse them): 2 · 16 · 12 operations a turn. */
#define PEAK_BODY                                                  \
  peak_vector s[12] = {{0}}, x = (peak_vector){0} + 0.999f;        \
  for (int k = 0; k < 12; k++) s[k] = (peak_vector){0} + (float)k; \
  for (int64_t i = 0; i < turns; i++)                              \
    for (int k = 0; k < 12; k++) s[k] = s[k] * x + x;              \
  for (int k = 1; k < 12; k++) s[0] += s[k];                       \
  return s[0][0];

#if defined(__x86_64__)
__attribute__((target("avx512f"))) static float peak_avx512(int64_t turns) { PEAK_BODY }
__attribute__((target("avx2,fma"))) static float peak_avx2(int64_t turns) { PEAK_BODY }
#endif
static float peak_plain(int64_t turns) { PEAK_BODY }

static float peak(int64_t turns) {
#if defined(__x86_64__)
  if (sap_cpu_active() == SAP_CPU_AVX512) return peak_avx512(turns);
  if (sap_cpu_active() == SAP_CPU_AVX2) return peak_avx2(turns);
#endif
  return peak_plain(turns);
}

/* Operations a second of all threads together. */
static double peak_rate(void) {
  const int64_t turns = 2000000;
  double start = bench_now();
#pragma omp parallel
  {
    float result = peak(turns);
#pragma omp critical(peak_result)
    bench_sink = (uint64_t)result;
  }
  return 2.0 * 16 * 12 * (double)turns * sap_threads_get() / (bench_now() - start);
}

typedef struct epochs {
  bench_times seconds;
  double training, accuracy;
} epochs;

static void note(void *user, const sap_epoch_record *record) {
  epochs *e = user;
  bench_add(&e->seconds, record->seconds);
  e->accuracy = record->test_accuracy;
}

static void remove_folder(const char *path) {
  DIR *folder = opendir(path);
  for (struct dirent *entry; folder && (entry = readdir(folder));) unlinkat(dirfd(folder), entry->d_name, 0);
  if (folder) closedir(folder);
  rmdir(path);
}

/* Operations of an epoch: forward 2, backward 4 (2 for the first layer, which needs no input gradient) a weight
 * and picture; the evaluation 2. */
static double operations(const char *model) {
  double first = 784.0 * (strcmp(model, "mlp") ? 10 : 128), rest = strcmp(model, "mlp") ? 0 : 128.0 * 256 + 256 * 10;
  return 60000 * (4 * first + 6 * rest) + 10000 * 2 * (first + rest);
}

static void run_model(const bench_options *o, const char *model) {
  sap_experiment e = sap_experiment_default();
  strcpy(e.data, "fashion-mnist");
  strcpy(e.model, model);
  e.iterations = 0;
  e.epochs = o->rounds;
  e.threads = o->threads;
  static epochs result;
  result.seconds.count = 0;
  char run[] = "/tmp/sapwood-bench-XXXXXX";
  sap_error err = {0};
  if (!mkdtemp(run)) exit(1);
  double limit = peak_rate();
  sap_experiment_callbacks callbacks = {.user = &result, .epoch = note};
  sap_status status = sap_experiment_run(&e, run, 0, &callbacks, &err);
  remove_folder(run);
  if (status) {
    fprintf(stderr, "%s\n", err.text);
    exit(1);
  }
  double after = peak_rate();
  if (after > limit) limit = after;
  bench_check(result.accuracy > (strcmp(model, "mlp") ? 0.8 : 0.85), "accuracy");
  double least = bench_min(&result.seconds), median = bench_median(&result.seconds), work = operations(model);
  if (o->json) {
    printf(
        "{\"case\":\"%s\",\"threads\":%d,\"min_seconds\":%.6g,\"median_seconds\":%.6g,\"flops\":%.6g,"
        "\"peak_flops\":%.6g,\"accuracy\":%.6g}\n",
        model, sap_threads_get(), least, median, work, limit, result.accuracy);
    return;
  }
  printf(
      "%-8s %d thread%s  epoch min %7.3f s  median %7.3f s  %7.1f GFLOP/s  registers alone %7.1f GFLOP/s  %5.1f %%\n",
      model, sap_threads_get(), sap_threads_get() == 1 ? " " : "s", least, median, 1e-9 * work / least, 1e-9 * limit,
      100 * work / least / limit);
}

int main(int count, char **arguments) {
  bench_options o = bench_parse(count, arguments, 1, 10);
  const char *const models[] = {"linear", "mlp"};
  for (size_t i = 0; i < 2; i++)
    if (!o.only || !strcmp(o.only, models[i])) run_model(&o, models[i]);
  return 0;
}
