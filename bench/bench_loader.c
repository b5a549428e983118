/* Preparing batches of CIFAR-size pictures, augmented: pictures a second of one core, against the memory's limit.
 *
 * --elements N: pictures in the set (50,000, as CIFAR-10 has); --threads T: threads that fill one batch together. */
#include "base/memory.h"
#include "base/threads.h"
#include "bench.h"
#include "data/loader.h"
#include "data/prefetch.h"

enum { CHANNELS = 3, SIDE = 32, PICTURE = CHANNELS * SIDE * SIDE, BATCH = 250 };

/* The limit: the same bytes read and floats written, in order and with no arithmetic to speak of. */
static void stream(const uint8_t *u, float *x, uint32_t batches) {
  for (uint32_t step = 0; step < batches; step++) {
    const uint8_t *from = u + (size_t)step * BATCH * PICTURE;
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < BATCH * PICTURE; i++) x[i] = (float)from[i];
    bench_sink = (uint64_t)x[step % PICTURE];
  }
}

/* All batches of an epoch, each shared out as the slices of a plan are. */
static void fill(const sap__loader *loader, float *x, uint8_t *labels, uint32_t batches) {
  for (uint32_t step = 0; step < batches; step++) {
#pragma omp parallel for schedule(static)
    for (int part = 0; part < 10; part++) {
      uint32_t first = (uint32_t)sap__part(BATCH, (unsigned)part, 10),
               end = (uint32_t)sap__part(BATCH, (unsigned)part + 1, 10);
      sap__loader_fill(loader, step * BATCH + first, end - first, x + (size_t)first * PICTURE, labels + first);
    }
  }
}

static void prepare(const sap__loader *loader, uint8_t *elements, uint8_t *labels, uint32_t batches) {
  for (uint32_t step = 0; step < batches; step++) sap__loader_prepare(loader, step * BATCH, BATCH, elements, labels);
}

static void finish(const sap__loader *loader, const uint8_t *elements, float *x, uint32_t batches) {
  for (uint32_t step = 0; step < batches; step++) sap__loader_finish(loader, elements, BATCH, x);
}

static void report(const bench_options *o, const char *name, bench_times *times, bench_times *limit, double bytes) {
  double least = bench_min(times), median = bench_median(times), pictures = (double)o->elements;
  if (o->json) {
    printf(
        "{\"case\":\"%s\",\"pictures\":%.0f,\"threads\":%d,\"cpu\":\"%s\",\"min_seconds\":%.6g,"
        "\"median_seconds\":%.6g,\"limit_min_seconds\":%.6g,\"limit_median_seconds\":%.6g}\n",
        name, pictures, sap_threads_get(), sap_cpu_name(sap_cpu_active()), least, median, bench_min(limit),
        bench_median(limit));
    return;
  }
  printf("%-24s %9.0f pictures/s (median %9.0f)  %6.2f GB/s  stream %6.2f GB/s  %5.1f %% (medians %5.1f %%)\n", name,
         pictures / least, pictures / median, 1e-9 * bytes * pictures / least,
         1e-9 * 5 * PICTURE * pictures / bench_min(limit), 100 * (bytes / least) / (5 * PICTURE / bench_min(limit)),
         100 * (bytes / median) / (5 * PICTURE / bench_median(limit)));
}

int main(int count, char **arguments) {
  bench_options o = bench_parse(count, arguments, 50000, 15);
  if (!o.threads && !getenv("OMP_NUM_THREADS")) sap_threads_set(1);
  uint32_t batches = (uint32_t)(o.elements / BATCH);
  if (!batches) batches = 1;
  o.elements = (uint64_t)batches * BATCH;
  uint8_t *pixels = bench_memory(o.elements * PICTURE), *labels = bench_memory(o.elements);
  uint8_t *elements = bench_memory((size_t)BATCH * PICTURE), batch_labels[BATCH];
  float *x = bench_memory((size_t)BATCH * PICTURE * sizeof *x), *y = bench_memory((size_t)BATCH * PICTURE * sizeof *y);
  for (uint64_t i = 0; i < o.elements * PICTURE; i++) pixels[i] = (uint8_t)(i * 2654435761u >> 24);
  memset(labels, 0, o.elements);
  sap_dataset set = {.name = "bench", .channels = CHANNELS, .height = SIDE, .width = SIDE, .classes = 1};
  for (int c = 0; c < CHANNELS; c++) set.mean[c] = 0.5f, set.stddev[c] = 0.2f;
  set.train = (sap_split){.count = (uint32_t)o.elements, .pixels = pixels, .labels = labels};
  sap__loader augmented, plain;
  sap_error err;
  if (sap__loader_new(&set, &set.train, &augmented, &err) || sap__loader_new(&set, &set.train, &plain, &err))
    return fprintf(stderr, "%s\n", err.text), 1;
  augmented.augments = 1;
  sap__loader_shuffle(&augmented, 1, 0, 1);
  sap__loader_shuffle(&plain, 1, 0, 1);
  sap__loader_fill(&augmented, 0, BATCH, x, batch_labels);
  sap__loader_prepare(&augmented, 0, BATCH, elements, batch_labels);
  sap__loader_finish(&augmented, elements, BATCH, y);
  bench_check(!memcmp(x, y, (size_t)BATCH * PICTURE * sizeof *x), "one step against two");
  static bench_times limit, whole, bare, ahead, rest;
  for (int round = 0; round < o.rounds; round++) {
    double t0 = bench_now();
    stream(pixels, x, batches);
    double t1 = bench_now();
    fill(&augmented, x, batch_labels, batches);
    double t2 = bench_now();
    fill(&plain, x, batch_labels, batches);
    double t3 = bench_now();
    prepare(&augmented, elements, batch_labels, batches);
    double t4 = bench_now();
    finish(&augmented, elements, x, batches);
    double t5 = bench_now();
    bench_add(&limit, t1 - t0);
    bench_add(&whole, t2 - t1);
    bench_add(&bare, t3 - t2);
    bench_add(&ahead, t4 - t3);
    bench_add(&rest, t5 - t4);
  }
  report(&o, "augmented, normalised", &whole, &limit, 5 * PICTURE);
  report(&o, "normalised", &bare, &limit, 5 * PICTURE);
  report(&o, "augmented, in background", &ahead, &limit, 2 * PICTURE);
  report(&o, "  and what is left", &rest, &limit, 5 * PICTURE);
  sap__loader_free(&augmented);
  sap__loader_free(&plain);
  free(pixels);
  free(labels);
  free(elements);
  free(x);
  free(y);
  return 0;
}
