/* What pruned weights no longer cost: the size of a sparse model file against the dense one, and the time to open it
 * against reading the file twice, in turns, for a network with random weights and masks of uniform density; and the
 * time to plan a session by the fixed rule from the opened model, so that work which only moved there is seen.
 *
 *   bench_open [--model NAME] [--rounds N] [--write FOLDER]
 *
 * --write keeps the model files. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"
#include "random_model.h"

enum { DENSITIES = 5 };
static const double densities[DENSITIES] = {1, 0.2, 0.1, 0.05, 0.02};

/* Reads a file as a program does that only wants its bytes: into one buffer, 1 MiB at a time. */
static size_t read_file(const char *path) {
  static char buffer[1 << 20];
  size_t all = 0;
  int file = open(path, O_RDONLY);
  for (ssize_t got; file >= 0 && (got = read(file, buffer, sizeof buffer)) > 0;) all += (size_t)got;
  if (file >= 0) close(file);
  return all;
}

static sap_model *open_model(const char *path) {
  sap_error err;
  sap_model *model = NULL;
  random_model_stop(sap_model_open(path, NULL, &model, &err), &err);
  return model;
}

/* A session for one picture on one thread, in the way that suits it. */
static sap_session *plan(const sap_model *model) {
  sap_error err;
  sap_session *session = NULL;
  const sap_session_options options = {.batch = 1, .threads = 1, .way = SAP_WAY_PICTURE, .measure = 0};
  random_model_stop(sap_session_new(model, &options, &session, &err), &err);
  return session;
}

/* One density: writes the file, opens and reads it in turns. dense: bytes of the weights as F32. */
static void measure(const sap__graph *graph, double density, int rounds, const char *folder) {
  static bench_times opening, reading, planning;
  sap_error err;
  char dense[512], path[512];
  struct stat info;
  snprintf(dense, sizeof dense, "%s/dense.safetensors", folder);
  snprintf(path, sizeof path, "%s/density-%g.safetensors", folder, density);
  float *weights = random_weights(graph, density);
  random_model_write(graph, weights, dense);
  sap_model *model = open_model(dense);
  random_model_stop(sap_model_write(model, path, SAP_ENCODING_SPARSE, &err), &err);
  sap_model_info right, found;
  sap_model_describe(model, &right);
  sap_model_close(model);
  bench_check(stat(dense, &info) == 0, dense);
  const double dense_bytes = (double)info.st_size;
  bench_check(stat(path, &info) == 0, path);
  opening.count = reading.count = planning.count = 0;
  for (int round = 0; round <= rounds; round++) {
    double start = bench_now();
    size_t bytes = read_file(path);
    bytes += read_file(path);
    double middle = bench_now();
    model = open_model(path);
    double end = bench_now();
    sap_session *session = plan(model);
    double planned = bench_now();
    sap_session_free(session);
    sap_model_describe(model, &found);
    sap_model_close(model);
    bench_check(bytes == 2 * (size_t)info.st_size && found.kept == right.kept, path);
    if (round == 0) continue; /* the first warms up */
    bench_add(&reading, middle - start);
    bench_add(&opening, end - middle);
    bench_add(&planning, planned - end);
  }
  const double times = bench_min(&opening) / bench_min(&reading);
  printf(
      "%5g %%  %9.0f bytes  %5.1f times smaller  open min %7.3f median %7.3f ms  two reads min %7.3f median %7.3f ms"
      "  ratio %5.2f (%5.2f)  session min %7.3f median %7.3f ms\n",
      100 * density, (double)info.st_size, dense_bytes / (double)info.st_size, 1e3 * bench_min(&opening),
      1e3 * bench_median(&opening), 1e3 * bench_min(&reading), 1e3 * bench_median(&reading), times,
      bench_median(&opening) / bench_median(&reading), 1e3 * bench_min(&planning), 1e3 * bench_median(&planning));
  free(weights);
}

int main(int count, char **arguments) {
  const char *name = "resnet18", *kept = NULL;
  int rounds = 20;
  for (int i = 1; i + 1 < count; i += 2) {
    if (!strcmp(arguments[i], "--model"))
      name = arguments[i + 1];
    else if (!strcmp(arguments[i], "--rounds"))
      rounds = atoi(arguments[i + 1]);
    else if (!strcmp(arguments[i], "--write"))
      kept = arguments[i + 1];
    else
      rounds = 0;
  }
  if (count % 2 == 0 || rounds < 1 || rounds > BENCH_ROUNDS_MAX) {
    fprintf(stderr, "usage: %s [--model NAME] [--rounds N] [--write FOLDER]\n", arguments[0]);
    return 2;
  }
  char folder[] = "/tmp/bench_open_XXXXXX";
  if (!kept && !mkdtemp(folder)) return 1;
  sap__graph *graph = random_model_graph(name);
  for (int i = 0; i < DENSITIES; i++) measure(graph, densities[i], rounds, kept ? kept : folder);
  for (int i = -1; !kept && i < DENSITIES; i++) {
    char path[64];
    if (i < 0)
      snprintf(path, sizeof path, "%s/dense.safetensors", folder);
    else
      snprintf(path, sizeof path, "%s/density-%g.safetensors", folder, densities[i]);
    unlink(path);
  }
  if (!kept) rmdir(folder);
  sap__graph_free(graph);
  return 0;
}
