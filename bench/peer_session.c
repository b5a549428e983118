/* A sparse session beside ONNX Runtime's through its C interface, in turns in one process: what a small network costs
 * where no other language stands in between.
 *
 *   sapwood export MODEL --onnx net.onnx
 *   peer_session MODEL net.onnx [--batch N] [--threads N] [--rounds N]
 *
 * A round is as many runs of one side as take a millisecond or so, then as many of the other. The outputs are compared
 * before anything is timed. Built where ONNX Runtime's headers are (Debian 13: libonnxruntime-dev; CPATH and
 * LIBRARY_PATH show the compiler one that was unpacked by hand). */
#include <onnxruntime_c_api.h>

#include "bench.h"

typedef struct settings {
  const char *model, *onnx;
  int batch, threads, rounds;
} settings;

/* ONNX Runtime's session; input and output are bound to x and y once. */
typedef struct peer {
  const OrtApi *api;
  OrtEnv *env;
  OrtSession *session;
  OrtIoBinding *binding;
  OrtRunOptions *options;
} peer;

static void usage(const char *program) {
  fprintf(stderr, "usage: %s MODEL NET.onnx [--batch N] [--threads N] [--rounds N]\n", program);
  exit(2);
}

static settings parse(int count, char **arguments) {
  settings s = {.batch = 1, .threads = 1, .rounds = 200};
  for (int i = 1; i < count; i++) {
    const char *value = i + 1 < count ? arguments[i + 1] : "0";
    int *number = !strcmp(arguments[i], "--batch")     ? &s.batch
                  : !strcmp(arguments[i], "--threads") ? &s.threads
                  : !strcmp(arguments[i], "--rounds")  ? &s.rounds
                                                       : NULL;
    if (number) {
      *number = atoi(value);
      i++;
    } else if (!s.model) {
      s.model = arguments[i];
    } else {
      s.onnx = arguments[i];
    }
  }
  if (!s.onnx || s.batch < 1 || s.threads < 1 || s.rounds < 1 || s.rounds > BENCH_ROUNDS_MAX) usage(arguments[0]);
  return s;
}

static void stop(sap_status status, const sap_error *err) {
  if (!status) return;
  fprintf(stderr, "peer_session: %s\n", err->text);
  exit(1);
}

static void check(const peer *p, OrtStatus *status) {
  if (!status) return;
  fprintf(stderr, "peer_session: %s\n", p->api->GetErrorMessage(status));
  exit(1);
}

static size_t pixels_of(const settings *s, const sap_model_info *info) {
  return (size_t)s->batch * (size_t)info->channels * (size_t)info->height * (size_t)info->width;
}

static peer peer_new(const settings *s, const sap_model_info *info, float *x, float *y) {
  peer p = {.api = OrtGetApiBase()->GetApi(ORT_API_VERSION)};
  OrtSessionOptions *options = NULL;
  OrtMemoryInfo *memory = NULL;
  OrtValue *in = NULL, *out = NULL;
  OrtAllocator *allocator = NULL;
  char *names[2] = {NULL, NULL};
  const int64_t shape[4] = {s->batch, info->channels, info->height, info->width}, logits[2] = {s->batch, info->outputs};
  const size_t count = pixels_of(s, info);
  check(&p, p.api->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "peer_session", &p.env));
  check(&p, p.api->CreateSessionOptions(&options));
  check(&p, p.api->SetIntraOpNumThreads(options, s->threads));
  check(&p, p.api->SetInterOpNumThreads(options, 1));
  check(&p, p.api->CreateSession(p.env, s->onnx, options, &p.session));
  check(&p, p.api->GetAllocatorWithDefaultOptions(&allocator));
  check(&p, p.api->SessionGetInputName(p.session, 0, allocator, &names[0]));
  check(&p, p.api->SessionGetOutputName(p.session, 0, allocator, &names[1]));
  check(&p, p.api->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory));
  check(&p, p.api->CreateTensorWithDataAsOrtValue(memory, x, count * sizeof *x, shape, 4,
                                                  ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &in));
  check(&p, p.api->CreateTensorWithDataAsOrtValue(memory, y, (size_t)(logits[0] * logits[1]) * sizeof *y, logits, 2,
                                                  ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &out));
  check(&p, p.api->CreateIoBinding(p.session, &p.binding));
  check(&p, p.api->BindInput(p.binding, names[0], in));
  check(&p, p.api->BindOutput(p.binding, names[1], out));
  check(&p, p.api->CreateRunOptions(&p.options));
  p.api->ReleaseValue(in);
  p.api->ReleaseValue(out);
  p.api->ReleaseMemoryInfo(memory);
  p.api->ReleaseSessionOptions(options);
  for (int i = 0; i < 2; i++) check(&p, p.api->AllocatorFree(allocator, names[i]));
  return p;
}

static void peer_run(const peer *p) { check(p, p->api->RunWithBinding(p->session, p->options, p->binding)); }

static void peer_free(peer *p) {
  p->api->ReleaseRunOptions(p->options);
  p->api->ReleaseIoBinding(p->binding);
  p->api->ReleaseSession(p->session);
  p->api->ReleaseEnv(p->env);
}

static double difference(const float *a, const float *b, size_t count) {
  double worst = 0, largest = 0;
  for (size_t i = 0; i < count; i++) {
    worst = fmax(worst, fabs((double)a[i] - (double)b[i]));
    largest = fmax(largest, fabs((double)b[i]));
  }
  return worst / largest;
}

int main(int count, char **arguments) {
  const settings s = parse(count, arguments);
  static bench_times ours, theirs;
  sap_error err;
  sap_model *model = NULL;
  sap_session *session = NULL;
  sap_model_info info;
  stop(sap_model_open(s.model, NULL, &model, &err), &err);
  sap_model_describe(model, &info);
  sap_session_options options = sap_session_options_default();
  options.batch = s.batch;
  options.threads = s.threads;
  stop(sap_session_new(model, &options, &session, &err), &err);
  const size_t pixels = pixels_of(&s, &info), outputs = (size_t)s.batch * (size_t)info.outputs;
  float *x = malloc(pixels * sizeof *x), *y = malloc(outputs * sizeof *y), *z = malloc(outputs * sizeof *z);
  bench_check(x && y && z, "memory");
  for (size_t i = 0; i < pixels; i++) x[i] = (float)(i * 2654435761u % 1000) / 500 - 1;
  peer p = peer_new(&s, &info, x, z);
  stop(sap_session_run(session, x, (size_t)s.batch, y, &err), &err);
  peer_run(&p);
  const double worst = difference(y, z, outputs);
  bench_check(worst < 1e-4, "outputs equal to ONNX Runtime's");
  double start = bench_now();
  peer_run(&p);
  const int runs = 1 + (int)(1e-3 / (bench_now() - start));
  for (int round = 0; round <= s.rounds; round++) {
    double begin = bench_now();
    for (int i = 0; i < runs; i++) stop(sap_session_run(session, x, (size_t)s.batch, y, &err), &err);
    double middle = bench_now();
    for (int i = 0; i < runs; i++) peer_run(&p);
    double end = bench_now();
    if (round == 0) continue; /* warms up */
    bench_add(&ours, (middle - begin) / runs);
    bench_add(&theirs, (end - middle) / runs);
  }
  const double least[2] = {bench_min(&ours), bench_min(&theirs)};
  const double median[2] = {bench_median(&ours), bench_median(&theirs)};
  printf("batch %d, %d threads, %d runs a round, outputs within %.1e of the largest\n", s.batch, s.threads, runs,
         worst);
  printf("min / median: sapwood %.2f / %.2f us, ONNX Runtime %s %.2f / %.2f us: %.2f / %.2f times faster\n",
         1e6 * least[0], 1e6 * median[0], OrtGetApiBase()->GetVersionString(), 1e6 * least[1], 1e6 * median[1],
         least[1] / least[0], median[1] / median[0]);
  peer_free(&p);
  sap_session_free(session);
  sap_model_close(model);
  free(x);
  free(y);
  free(z);
  return 0;
}
