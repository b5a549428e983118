/* The sparse form of a tensor: its size, and the speed of writing and of decoding it, in bytes of the dense tensor a
 * second, beside a plain read of the dense tensor.
 *
 *   measure   how large the form is, from the data: the first of the three passes of writing
 *   decode    values and index into memory that is there already
 *   load      the same into fresh memory, as sap_checkpoint_load does it from a file in the page cache
 */
#include <unistd.h>

#include "base/memory.h"
#include "bench.h"
#include "io/sparse_form.h"

static char path[4096];

static void remove_file(void) { (void)unlink(path); }

/* A random network's layer: nearly normal weights, all but the density's share 0. */
static sap_tensor make_tensor(float *weights, uint64_t count, double density) {
  bench_fill(weights, count);
  for (uint64_t i = 0; i < count; i++)
    if (0x1p-64 * (double)bench_random() >= density) weights[i] = 0;
  return (sap_tensor){
      .name = "w", .dtype = SAP_F32, .rank = 1, .shape = {count}, .count = count, .bytes = 4 * count, .data = weights};
}

static sap_checkpoint *open_file(void) {
  sap_checkpoint *checkpoint = NULL;
  sap_error err;
  if (!sap_checkpoint_open(path, NULL, &checkpoint, &err)) return checkpoint;
  fprintf(stderr, "%s\n", err.text);
  exit(1);
}

/* Writes the file: dense, then converted. Returns the share that is left of its bytes. */
static double write_file(const sap_tensor *tensor) {
  uint64_t stored;
  char dense[4200];
  snprintf(dense, sizeof dense, "%s.dense", path);
  int failed = sap_safetensors_write(dense, tensor, 1, NULL, 0, NULL) != SAP_OK;
  sap_checkpoint *from = NULL;
  failed = failed || sap_checkpoint_open(dense, NULL, &from, NULL) ||
           sap_checkpoint_convert(from, NULL, SAP_ENCODING_SPARSE, path, NULL);
  sap_checkpoint_close(from);
  (void)unlink(dense);
  bench_check(!failed, "the file could not be written");
  sap_checkpoint *checkpoint = open_file();
  bench_check(sap_checkpoint_stored(checkpoint, 0, &stored) != NULL, "no tensor");
  sap_checkpoint_close(checkpoint);
  return (double)stored / (double)tensor->bytes;
}

static void time_decode(const sap__sparse_view *view, const sap_tensor *tensor, void *data, uint64_t *mask,
                        bench_times *times) {
  const char *wrong;
  const double start = bench_now();
  bench_check(!sap__sparse_read(view, tensor, data, mask, &wrong, NULL) && !wrong, "not decoded");
  bench_add(times, bench_now() - start);
}

static void time_load(const sap_tensor *tensor, bench_times *times) {
  sap_checkpoint *checkpoint = open_file();
  const double start = bench_now();
  bench_check(!sap_checkpoint_load(checkpoint, 0, NULL), "not loaded");
  bench_add(times, bench_now() - start);
  bench_check(!memcmp(sap_checkpoint_at(checkpoint, 0)->data, tensor->data, tensor->bytes), "loaded");
  sap_checkpoint_close(checkpoint);
}

static void time_measure(const sap_tensor *tensor, bench_times *times) {
  sap__sparse_form form;
  const double start = bench_now();
  bench_check(!sap__sparse_measure_form(tensor, NULL, 0, &form, NULL), "not measured");
  bench_add(times, bench_now() - start);
  sap__free(form.blocks);
}

static void run_density(const bench_options *o, double density, float *weights, float *data, uint64_t *mask) {
  static bench_times read, measure, decode, load;
  read.count = measure.count = decode.count = load.count = 0;
  sap_tensor tensor = make_tensor(weights, o->elements, density);
  const double share = write_file(&tensor);
  sap_safetensors *file = NULL;
  bench_check(!sap_safetensors_open(path, &file, NULL), "not opened");
  const sap_tensor *values = sap_safetensors_find(file, "w.sapwood.values");
  const sap_tensor *index = sap_safetensors_find(file, "w.sapwood.index");
  bench_check(values && index, "not in sparse form");
  const sap__sparse_view view = {values->data, index->data, values->count, index->bytes};
  for (int round = 0; round < o->rounds; round++) {
    double start = bench_now();
    bench_sink = bench_read(weights, tensor.bytes / 512 * 512);
    bench_add(&read, bench_now() - start);
    time_measure(&tensor, &measure);
    time_decode(&view, &tensor, data, mask, &decode);
    bench_check(round || !memcmp(data, weights, tensor.bytes), "decoded");
    time_load(&tensor, &load);
  }
  sap_safetensors_close(file);
  if (!o->json) printf("density %.2f: %.2f times smaller\n", density, 1 / share);
  const struct {
    const char *name;
    bench_times *times;
  } cases[] = {{"measure", &measure}, {"decode", &decode}, {"load", &load}};
  for (int i = 0; i < 3; i++) {
    char name[64];
    snprintf(name, sizeof name, "%s %.2f", cases[i].name, density);
    if (!o->only || !strcmp(o->only, cases[i].name))
      bench_report(o, name, cases[i].times, (double)tensor.bytes, &read, (double)tensor.bytes);
  }
}

int main(int count, char **arguments) {
  static const double densities[] = {0.5, 0.2, 0.1, 0.05, 0.02};
  bench_options o = bench_parse(count, arguments, (uint64_t)1 << 25, 7);
  const char *folder = getenv("TMPDIR");
  snprintf(path, sizeof path, "%s/sapwood-bench-%ld.safetensors", folder && *folder ? folder : "/tmp", (long)getpid());
  atexit(remove_file);
  float *weights = bench_memory(4 * o.elements), *data = bench_memory(4 * o.elements);
  uint64_t *mask = bench_memory(sap_mask_words(o.elements) * sizeof *mask);
  for (size_t i = 0; i < sizeof densities / sizeof *densities; i++) run_density(&o, densities[i], weights, data, mask);
  free(weights);
  free(data);
  free(mask);
  return 0;
}
