/* sapwood bench: how fast a pruned network runs, layer by layer, and against dense. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "commands.h"
#include "ends.h"
#include "sapwood/cpu.h"
#include "sapwood/runtime.h"
#include "terminal.h"

/* The plain ways, and behind them what a session chooses by itself. */
enum { ROUNDS_MAX = 1000, PLAIN = SAP_WAY_MIXED, CHOSEN = PLAIN, WAYS = CHOSEN + 1 };

typedef struct bench {
  sap_model *model;
  sap_model_info info;
  sap_session_options options;
  int rounds;
  sap_session *ways[WAYS];             /* NULL: this build or network lacks it */
  char why[WAYS][SAP_ERROR_TEXT_SIZE]; /* for that */
  double seconds[WAYS][ROUNDS_MAX];    /* sorted */
  int fastest;                         /* plain way, by the medians */
  sap_layer_timing *layers[WAYS];      /* NULL as ways is */
  size_t layer_count;
  float *x, *y;
} bench;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static sap_way way_at(int i) { return i == CHOSEN ? SAP_WAY_AUTO : (sap_way)i; }

static double least(const bench *b, int way) { return b->seconds[way][0]; }
static double median(const bench *b, int way) { return b->seconds[way][b->rounds / 2]; }

/* Pictures of noise in [−1, 1). */
static void fill(float *x, size_t n) {
  uint64_t state = 1;
  for (size_t i = 0; i < n; i++) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    x[i] = (float)(state >> 40) * 0x1p-23f - 1;
  }
}

/* One run of the batch. The way before it has emptied the caches, so an untimed run fills them. */
static sap_status timed_run(bench *b, int way, double *seconds, sap_error *err) {
  const size_t batch = (size_t)b->options.batch;
  sap_status status = sap_session_run(b->ways[way], b->x, batch, b->y, err);
  if (status) return status;
  const double start = now();
  status = sap_session_run(b->ways[way], b->x, batch, b->y, err);
  *seconds = now() - start;
  return status;
}

/* All ways in turns. */
static int race(const char *self, bench *b) {
  sap_error err;
  for (int round = 0; round < b->rounds; round++)
    for (int way = 0; way < WAYS; way++)
      if (b->ways[way] && timed_run(b, way, &b->seconds[way][round], &err)) return failure(self, "%s", err.text);
  b->fastest = SAP_WAY_PICTURE;
  for (int way = 0; way < WAYS; way++) {
    if (!b->ways[way]) continue;
    qsort(b->seconds[way], (size_t)b->rounds, sizeof(double), by_value);
    if (way < PLAIN && median(b, way) < median(b, b->fastest)) b->fastest = way;
  }
  return EXIT_DONE;
}

static int time_layers(const char *self, bench *b) {
  sap_error err;
  for (int way = 0; way < WAYS; way++) {
    if (!b->ways[way]) continue;
    sap_status status =
        sap_session_time(b->ways[way], b->x, (size_t)b->options.batch, b->rounds, NULL, &b->layer_count, &err);
    if (!status && !(b->layers[way] = calloc(b->layer_count, sizeof *b->layers[way])))
      return failure(self, "no memory for %zu layers", b->layer_count);
    if (!status)
      status = sap_session_time(b->ways[way], b->x, (size_t)b->options.batch, b->rounds, b->layers[way],
                                &b->layer_count, &err);
    if (status) return failure(self, "%s", err.text);
  }
  return EXIT_DONE;
}

static int measure(const char *self, bench *b) {
  sap_error err;
  const size_t batch = (size_t)b->options.batch;
  const size_t picture = (size_t)b->info.channels * (size_t)b->info.height * (size_t)b->info.width;
  b->x = malloc(batch * picture * sizeof *b->x);
  b->y = malloc(batch * (size_t)b->info.outputs * sizeof *b->y);
  if (!b->x || !b->y) return failure(self, "no memory for %zu pictures", batch);
  fill(b->x, batch * picture);
  for (int way = 0; way < WAYS; way++) {
    b->options.way = way_at(way);
    const sap_status status = sap_session_new(b->model, &b->options, &b->ways[way], &err);
    if (status == SAP_ERROR_UNSUPPORTED && way == SAP_WAY_DENSE)
      memcpy(b->why[way], err.text, sizeof err.text);
    else if (status)
      return failure(self, "%s", err.text);
  }
  int code = race(self, b);
  if (code == EXIT_DONE) code = time_layers(self, b);
  return code;
}

static double rate(double products, double seconds) { return seconds > 0 ? 2e-9 * products / seconds : 0; }

/* The plain way that takes a layer the least time. */
static int fastest_of(const bench *b, size_t i) {
  int best = SAP_WAY_PICTURE;
  for (int way = 0; way < PLAIN; way++)
    if (b->layers[way] && b->layers[way][i].seconds < b->layers[best][i].seconds) best = way;
  return best;
}

/* Why a layer is computed as it is. */
static const char *reason(const bench *b, size_t i) {
  if (b->layers[CHOSEN][i].way == (sap_way)fastest_of(b, i)) return "the fastest";
  return "with its neighbours";
}

static json_t *layer_json(const bench *b, size_t i) {
  const sap_layer_timing *chosen = &b->layers[CHOSEN][i];
  json_t *object = json_object();
  json_object_set_new(object, "name", json_string(chosen->name));
  json_object_set_new(object, "kind", json_string(chosen->kind));
  json_object_set_new(object, "total", json_integer((json_int_t)chosen->total));
  json_object_set_new(object, "kept", json_integer((json_int_t)chosen->kept));
  json_object_set_new(object, "products", json_integer((json_int_t)chosen->products));
  for (int way = 0; way < PLAIN; way++) {
    if (!b->layers[way]) continue;
    json_t *candidate = json_object();
    json_object_set_new(candidate, "kernel", json_string(b->layers[way][i].kernel));
    json_object_set_new(candidate, "seconds", json_number(b->layers[way][i].seconds));
    json_object_set_new(object, sap_way_name((size_t)way), candidate);
  }
  json_object_set_new(object, "chosen", json_string(sap_way_name((size_t)chosen->way)));
  json_object_set_new(object, "kernel", json_string(chosen->kernel));
  json_object_set_new(object, "seconds", json_number(chosen->seconds));
  json_object_set_new(object, "why", json_string(reason(b, i)));
  return object;
}

static void print_json(const bench *b) {
  json_t *document = json_object(), *layers = json_array(), *ways = json_object();
  for (size_t i = 0; i < b->layer_count; i++) json_array_append_new(layers, layer_json(b, i));
  for (int way = 0; way < WAYS; way++) {
    json_t *object = json_object();
    json_object_set_new(object, "min_seconds", json_number(b->ways[way] ? least(b, way) : -1));
    json_object_set_new(object, "median_seconds", json_number(b->ways[way] ? median(b, way) : -1));
    json_object_set_new(ways, sap_way_name(way_at(way)), b->ways[way] ? object : json_null());
    if (!b->ways[way]) json_decref(object);
  }
  json_object_set_new(document, "model", json_string(b->info.name));
  json_object_set_new(document, "batch", json_integer(b->options.batch));
  json_object_set_new(document, "threads", json_integer(b->options.threads));
  json_object_set_new(document, "cpu", json_string(sap_cpu_name(sap_cpu_active())));
  json_object_set_new(document, "total", json_integer((json_int_t)b->info.total));
  json_object_set_new(document, "kept", json_integer((json_int_t)b->info.kept));
  json_object_set_new(document, "products", json_integer((json_int_t)b->info.products));
  json_object_set_new(document, "useful", json_integer((json_int_t)b->info.useful));
  json_object_set_new(document, "layers", layers);
  json_object_set_new(document, "ways", ways);
  json_object_set_new(document, "fastest", json_string(sap_way_name((size_t)b->fastest)));
  output_json(document);
  json_decref(document);
}

static void print_layers(const bench *b) {
  printf("%-24s %9s %8s", "layer", "weights", "density");
  for (int way = 0; way < PLAIN; way++) printf(" %9s us", sap_way_name((size_t)way));
  printf("  %-8s %-22s %8s  %s\n", "chosen", "kernel", "GFLOP/s", "why");
  for (size_t i = 0; i < b->layer_count; i++) {
    const sap_layer_timing *chosen = &b->layers[CHOSEN][i];
    printf("%-24.24s ", chosen->name);
    if (chosen->total)
      printf("%9llu %7.1f%%", (unsigned long long)chosen->total, 100 * (double)chosen->kept / (double)chosen->total);
    else
      printf("%9s %8s", "", "");
    for (int way = 0; way < PLAIN; way++)
      if (b->layers[way])
        printf(" %12.1f", 1e6 * b->layers[way][i].seconds);
      else
        printf(" %12s", "-");
    printf("  %-8s %-22.22s", sap_way_name((size_t)chosen->way), chosen->kernel);
    if (chosen->total)
      printf(" %8.1f", rate((double)chosen->products * b->options.batch, chosen->seconds));
    else
      printf(" %8s", "");
    printf("  %s\n", reason(b, i));
  }
}

static void print_text(const bench *b) {
  char total[32];
  printf("%s: %.2f %% of %s weights kept, %.2f %% of the multiply-adds; batch %d, %d threads, %s\n\n", b->info.name,
         100 * (double)b->info.kept / (double)b->info.total, group_digits(b->info.total, total),
         100 * (double)b->info.useful / (double)b->info.products, b->options.batch, b->options.threads,
         sap_cpu_name(sap_cpu_active()));
  print_layers(b);
  putchar('\n');
  for (int way = 0; way < WAYS; way++) {
    const char *name = way == CHOSEN ? "chosen" : sap_way_name((size_t)way);
    if (!b->ways[way]) {
      printf("%-8s not here: %s\n", name, b->why[way]);
      continue;
    }
    const double products = (double)(way == SAP_WAY_DENSE ? b->info.products : b->info.useful) * b->options.batch;
    printf("%-8s min %9.3f ms  median %9.3f ms  %6.1f GFLOP/s%s", name, 1e3 * least(b, way), 1e3 * median(b, way),
           rate(products, least(b, way)), way == b->fastest ? "  the fastest for all layers" : "");
    if (b->ways[SAP_WAY_DENSE] && way != SAP_WAY_DENSE)
      printf("  %.2f times dense (medians %.2f)", least(b, SAP_WAY_DENSE) / least(b, way),
             median(b, SAP_WAY_DENSE) / median(b, way));
    putchar('\n');
  }
}

static int run(const command *self, const arguments *parsed) {
  if (parsed->operand_count == 0) return usage_error(self->name, "a run directory or a model file is needed");
  sap_error err;
  sap_model_options model_options = sap_model_options_default();
  bench *b = calloc(1, sizeof *b);
  if (!b) return failure(self->name, "no memory");
  b->options = sap_session_options_default();
  b->options.threads = 1;
  b->rounds = 20;
  int code = option_int(self->name, parsed, "iteration", 0, 1 << 30, &model_options.iteration);
  if (code == EXIT_DONE) code = option_int(self->name, parsed, "threads", 0, 1024, &b->options.threads);
  if (code == EXIT_DONE) code = option_int(self->name, parsed, "batch", 1, 1 << 16, &b->options.batch);
  if (code == EXIT_DONE) code = option_int(self->name, parsed, "rounds", 1, ROUNDS_MAX, &b->rounds);
  if (code == EXIT_DONE) {
    ends_watch(self->name, parsed->operands[0]);
    if (b->options.threads == 0) b->options.threads = sap_threads_get();
    if (sap_model_open(parsed->operands[0], &model_options, &b->model, &err))
      code = failure(self->name, "%s", err.text);
  }
  if (code == EXIT_DONE) {
    sap_model_describe(b->model, &b->info);
    code = measure(self->name, b);
  }
  if (code == EXIT_DONE) {
    if (option_given(parsed, "json"))
      print_json(b);
    else
      print_text(b);
  }
  for (int way = 0; way < WAYS; way++) {
    sap_session_free(b->ways[way]);
    free(b->layers[way]);
  }
  free(b->x);
  free(b->y);
  sap_model_close(b->model);
  free(b);
  return code;
}

static const option options[] = {
    {0, "batch", "N", "1 <= batch <= 65536", "pictures at a time; without it 1"},
    {0, "threads", "N", "0 <= threads <= 1024", "threads; 0 one a core; without it 1"},
    {0, "rounds", "N", "1 <= rounds <= 1000", "times that everything is measured; without it 20"},
    {0, "iteration", "N", "0 <= iteration", "the iteration of a run; without it the last finished one"},
    {0, "json", NULL, NULL, "print one JSON document"},
    {0, NULL, NULL, NULL, NULL},
};

static const example examples[] = {
    {"sapwood bench runs/resnet18 --batch 16", "the last model of a run, 16 pictures at a time"},
    {NULL, NULL},
};

const command command_bench = {
    .name = "bench",
    .computes = 1,
    .summary = "time a pruned network, layer by layer and against dense",
    .synopsis = "RUN|MODEL [options]",
    .text =
        "Runs a network on noise in every way there is, in turns, and prints the least and the median time: sparse "
        "with vectors along the picture, sparse with vectors across pictures, dense by oneDNN, and as a session "
        "chooses by itself, each layer in the way that makes the whole fastest. For each layer: its weights, its "
        "density, its time for a batch on one thread in each way, the way and the kernel that were chosen (rows and "
        "vectors of its tiles; oneDNN's name), the useful arithmetic a second, and whether it was chosen for itself "
        "or because its neighbours are computed so and another layout costs more than it saves.",
    .options = options,
    .operands = 1,
    .examples = examples,
    .run = run,
};
