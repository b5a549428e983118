/* The program on a large file in the page cache: `measure` against a plain read of the mapped file, `prune` against
 * `cp` and two such reads, with the copy flushed to the disk as `prune` does and without, and the most memory that each
 * took. The file is made in TMPDIR (without it /tmp) and
 * removed.
 * --elements counts floats; the file in BF16 has twice as many weights, so both are of the same size.
 */
#define _DEFAULT_SOURCE /* wait4 */
#include <fcntl.h>
#include <libgen.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

enum { LAYERS = 16, PATH_ROOM = 4096, HEADER = 4096 };

static char program[PATH_ROOM], input[PATH_ROOM], output[PATH_ROOM], copied[PATH_ROOM];
static uint64_t file_bytes;

static void remove_files(void) {
  unlink(input);
  unlink(output);
  unlink(copied);
}

static void stop(const char *what) {
  perror(what);
  remove_files();
  exit(1);
}

/* Where things are: the program beside this one's folder, the files in the folder for temporary ones. */
static void find_paths(const char *self) {
  char own[PATH_ROOM];
  const char *folder = getenv("TMPDIR");
  if (!folder || !*folder) folder = "/tmp";
  snprintf(own, sizeof own, "%s", self);
  if (snprintf(program, sizeof program, "%s/../cli/sapwood", dirname(own)) >= PATH_ROOM) stop(self);
  snprintf(input, sizeof input, "%s/sapwood-bench-%ld.safetensors", folder, (long)getpid());
  snprintf(output, sizeof output, "%s/sapwood-bench-%ld-out.safetensors", folder, (long)getpid());
  snprintf(copied, sizeof copied, "%s/sapwood-bench-%ld-copy.safetensors", folder, (long)getpid());
}

/* A header of LAYERS matrices, then weights: nearly normal ones, a stretch of 4 MiB again and again, scaled by the
 * layer. */
static void make_file(sap_dtype dtype, uint64_t weights) {
  const uint64_t size = sap_dtype_bits(dtype) / 8, rows = 1024, columns = weights / LAYERS / rows;
  const uint64_t layer_bytes = rows * columns * size;
  static char header[HEADER];
  int used = snprintf(header + 8, sizeof header - 8, "{");
  for (int i = 0; i < LAYERS; i++)
    used += snprintf(header + 8 + used, sizeof header - 8 - (size_t)used,
                     "%s\"l%d.weight\":{\"dtype\":\"%s\",\"shape\":[%llu,%llu],\"data_offsets\":[%llu,%llu]}",
                     i ? "," : "", i, sap_dtype_name(dtype), (unsigned long long)rows, (unsigned long long)columns,
                     (unsigned long long)(i * layer_bytes), (unsigned long long)((i + 1) * layer_bytes));
  memset(header + 8 + used, ' ', sizeof header - 8 - (size_t)used);
  header[8 + used] = '}';
  const uint64_t length = HEADER - 8;
  memcpy(header, &length, 8);
  FILE *file = fopen(input, "wb");
  const size_t stretch = (size_t)1 << 20;
  float *floats = malloc(stretch * sizeof *floats);
  if (!file || !floats || fwrite(header, HEADER, 1, file) != 1) stop(input);
  for (int i = 0; i < LAYERS; i++) {
    bench_fill(floats, stretch);
    for (size_t j = 0; j < stretch; j++) floats[j] *= 1 + (float)i / LAYERS;
    if (dtype == SAP_BF16) /* the upper halves, side by side */
      for (size_t j = 0; j < stretch; j++) memcpy((char *)floats + 2 * j, (char *)floats + 4 * j + 2, 2);
    for (uint64_t done = 0; done < layer_bytes;) {
      const size_t now = layer_bytes - done < stretch * size ? (size_t)(layer_bytes - done) : stretch * size;
      if (fwrite(floats, now, 1, file) != 1) stop(input);
      done += now;
    }
  }
  free(floats);
  /* on the disk, so that no run waits for the way there of what another wrote */
  if (fflush(file) || fsync(fileno(file)) || fclose(file)) stop(input);
  file_bytes = HEADER + LAYERS * layer_bytes;
}

static double read_plainly(void) {
  const double start = bench_now();
  const int descriptor = open(input, O_RDONLY);
  void *bytes = mmap(NULL, file_bytes, PROT_READ, MAP_PRIVATE, descriptor, 0);
  if (descriptor < 0 || bytes == MAP_FAILED) stop(input);
  bench_sink = bench_read(bytes, file_bytes / 512 * 512);
  munmap(bytes, file_bytes);
  close(descriptor);
  return bench_now() - start;
}

/* Runs a program without its output; *memory receives its peak in bytes. */
static double run(const char *const *words, double *memory) {
  const double start = bench_now();
  const pid_t child = fork();
  if (child == 0) {
    const int nowhere = open("/dev/null", O_WRONLY);
    dup2(nowhere, 1);
    execvp(words[0], (char *const *)(uintptr_t)words); /* its strings are not written to */
    _exit(127);
  }
  int status = -1;
  struct rusage usage;
  if (child < 0 || wait4(child, &status, 0, &usage) != child) stop(words[0]);
  const double seconds = bench_now() - start;
  if (status != 0) {
    fprintf(stderr, "%s: failed\n", words[0]);
    remove_files();
    exit(1);
  }
  if (memory && 1024.0 * (double)usage.ru_maxrss > *memory) *memory = 1024.0 * (double)usage.ru_maxrss;
  return seconds;
}

static void run_case(const bench_options *o, sap_dtype dtype) {
  static bench_times read, measure, prune, copy, flushed;
  double measure_memory = 0, prune_memory = 0;
  const char *const measure_words[] = {program, "measure", input, NULL};
  const char *const prune_words[] = {program, "prune", input, "-o", output, "--force", "--no-mask", NULL};
  const char *const copy_words[] = {"cp", input, copied, NULL};
  const char *const flush_words[] = {"sync", copied, NULL};
  read.count = measure.count = prune.count = copy.count = flushed.count = 0;
  make_file(dtype, dtype == SAP_BF16 ? 2 * o->elements : o->elements);
  (void)read_plainly();
  for (int round = 0; round < o->rounds; round++) {
    bench_add(&read, read_plainly());
    bench_add(&measure, run(measure_words, &measure_memory));
    unlink(copied);
    const double seconds = run(copy_words, NULL) + read_plainly() + read_plainly();
    bench_add(&copy, seconds);
    bench_add(&flushed, seconds + run(flush_words, NULL));
    unlink(copied);
    unlink(output);
    bench_add(&prune, run(prune_words, &prune_memory));
    unlink(output);
  }
  char name[64];
  snprintf(name, sizeof name, "measure %s", sap_dtype_name(dtype));
  bench_report(o, name, &measure, (double)file_bytes, &read, (double)file_bytes);
  snprintf(name, sizeof name, "prune %s", sap_dtype_name(dtype));
  bench_report(o, name, &prune, (double)file_bytes, &copy, (double)file_bytes);
  if (!o->json)
    printf(
        "%s: peak memory of measure %.1f MiB, of prune %.1f MiB; prune takes %.2f times cp and two reads, %.2f with "
        "the copy flushed (medians %.2f and %.2f)\n",
        sap_dtype_name(dtype), measure_memory / 0x1p20, prune_memory / 0x1p20, bench_min(&prune) / bench_min(&copy),
        bench_min(&prune) / bench_min(&flushed), bench_median(&prune) / bench_median(&copy),
        bench_median(&prune) / bench_median(&flushed));
}

int main(int count, char **arguments) {
  bench_options o = bench_parse(count, arguments, (uint64_t)1 << 29, 5);
  find_paths(arguments[0]);
  for (int i = 0; i < 2; i++) {
    const sap_dtype dtype = i ? SAP_F32 : SAP_BF16;
    if (!o.only || !strcmp(o.only, sap_dtype_name(dtype))) run_case(&o, dtype);
  }
  remove_files();
  return 0;
}
