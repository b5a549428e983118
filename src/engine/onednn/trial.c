#include "engine/onednn/trial.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/random.h"

enum { KEY = 256 };

/* Implementations tried of each kind, and runs that are timed of each. What oneDNN lists later is made for older
 * processors. */
enum { TRIED = 2, RUNS = 2 };

/* Beside Winograd's way of oneDNN's, squares must be as much faster to be worth four times its memory for the weights.
 */
static const double HANDICAP = 4. / 3;

/* Errors relative to the largest result: the tolerance of the engines' tests, and twice the rounding of bf16. */
static double tolerance(const sap__conv_problem *problem) { return problem->x.bytes == 2 ? 0x1p-7 : 1e-4; }

/* What the speed follows from. */
static void make_key(const sap__conv_problem *p, sap__conv_pass pass, char *key) {
  static const char *const passes[] = {"forward", "backward-data", "backward-weights"};
  const sap__conv2d *c = p->conv;
  const char *layout = p->x.last || p->y.last ? "channels-last" : "blocked";
  snprintf(key, KEY,
           "conv2d %s %s %s n%" PRId64 " %" PRId64 "x%" PRId64 "x%" PRId64 " to %" PRId64 "x%" PRId64 "x%" PRId64
           " kernel %" PRId64 "x%" PRId64 " stride %" PRId64 ",%" PRId64 " pad %" PRId64 ",%" PRId64
           " dilation %" PRId64 ",%" PRId64 " groups %" PRId64 "%s",
           passes[pass], p->x.bytes == 2 ? "bf16" : "f32", layout, p->count, p->x.channels, p->x.height, p->x.width,
           p->y.channels, p->y.height, p->y.width, c->kernel[0], c->kernel[1], c->stride[0], c->stride[1], c->pad[0],
           c->pad[1], c->dilation[0], c->dilation[1], c->groups, c->bias ? " bias" : "");
}

static const char *const kinds[SAP__CONV_KINDS] = {"direct", "winograd", "product", "squares"};

const char *sap__conv_kind_name(sap__conv_kind kind) { return kinds[kind]; }

/* "winograd 0 jit_wino_4x3:avx512_core": kind, number and name. */
static int parse(const char *text, sap__conv_choice *choice, const char **name) {
  char kind[16];
  int used = 0;
  if (sscanf(text, "%15s %9d %n", kind, &choice->nth, &used) != 2 || choice->nth < 0) return 0;
  *name = text + used;
  for (int i = 0; i < SAP__CONV_KINDS; i++)
    if (!strcmp(kind, kinds[i])) return choice->kind = (sap__conv_kind)i, 1;
  return 0;
}

/* Looks a choice up; it counts only if the library still has that implementation at that place. */
static int remembered(const sap__conv_problem *problem, sap__conv_pass pass, const sap__choices *choices,
                      const char *key, sap__conv_choice *choice) {
  const char *text = sap__choices_find(choices, key), *name;
  if (!text || !parse(text, choice, &name)) return 0;
  sap__primitive *primitive = NULL;
  if (sap__primitive_conv(problem, pass, choice->kind, choice->nth, &primitive, NULL) || !primitive) return 0;
  int same = !strcmp(sap__primitive_name(primitive), name);
  sap__primitive_free(primitive);
  return same;
}

/* ---- trying ---- */

/* What a trial runs on. */
typedef struct bench {
  const sap__conv_problem *problem;
  sap__conv_pass pass;
  void *x, *y;    /* in the problem's formats; one of them is the result of the first two passes */
  float *weights; /* as in the arenas; the result of the third, first as the first direct implementation has it */
  float *bias;
  void *expected; /* the result of the first direct implementation */
  void *result;
  size_t x_bytes, y_bytes, weight_count, result_bytes;
} bench;

/* Processor time of this thread: other programs do not count. */
static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Numbers between -1 and 1; bf16 ones are the upper half of a float's bits. */
static void fill(void *to, size_t bytes, int element, uint64_t stream) {
  sap__random random = sap__random_stream(1, stream, bytes, 0);
  for (size_t i = 0; i < bytes / (size_t)element; i++) {
    float value = (float)(2 * sap__random_unit(&random) - 1);
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (element == 2)
      ((uint16_t *)to)[i] = (uint16_t)(bits >> 16);
    else
      ((float *)to)[i] = value;
  }
}

static void bench_free(bench *b) {
  void *owned[] = {b->x, b->y, b->weights, b->bias, b->expected, b->result};
  for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++) sap__free(owned[i]);
}

static sap_status bench_new(bench *b, const sap__conv_problem *problem, sap__conv_pass pass, sap_error *err) {
  const sap__conv2d *c = problem->conv;
  *b = (bench){.problem = problem, .pass = pass};
  b->x_bytes = (size_t)problem->count * sap__format_bytes(&problem->x);
  b->y_bytes = (size_t)problem->count * sap__format_bytes(&problem->y);
  b->weight_count = (size_t)(c->out_channels * problem->x.channels / c->groups * c->kernel[0] * c->kernel[1]);
  b->result_bytes = pass == SAP__CONV_FORWARD         ? b->y_bytes
                    : pass == SAP__CONV_BACKWARD_DATA ? b->x_bytes
                                                      : b->weight_count * sizeof(float);
  b->x = sap__alloc(b->x_bytes, 1);
  b->y = sap__alloc(b->y_bytes, 1);
  b->weights = sap__alloc(b->weight_count, sizeof(float));
  b->bias = sap__calloc((size_t)c->out_channels, sizeof(float));
  b->expected = sap__alloc(b->result_bytes, 1);
  b->result = sap__alloc(b->result_bytes, 1);
  if (!b->x || !b->y || !b->weights || !b->bias || !b->expected || !b->result)
    return sap__fail_memory(err, b->x_bytes + b->y_bytes);
  fill(b->x, b->x_bytes, problem->x.bytes, 1);
  fill(b->y, b->y_bytes, problem->y.bytes, 2);
  fill(b->weights, b->weight_count * sizeof(float), sizeof(float), 3);
  return SAP_OK;
}

/* The largest difference of two results over the largest of the first. */
static double difference(const bench *b) {
  const sap__format elements = {.bytes = b->pass == SAP__CONV_BACKWARD_WEIGHTS ? 4 : b->problem->x.bytes,
                                .block = 1,
                                .channels = 1,
                                .height = 1,
                                .width = INT64_MAX};
  double largest = 0, worst = 0;
  for (int64_t i = 0; i < (int64_t)(b->result_bytes / (size_t)elements.bytes); i++) {
    double expected = sap__format_get(&elements, b->expected, 0, i),
           found = sap__format_get(&elements, b->result, 0, i);
    if (!(fabs(found - expected) <= worst)) worst = fabs(found - expected);
    largest = fmax(largest, fabs(expected));
  }
  return largest > 0 ? worst / largest : worst;
}

/* A copy of the weights or gradients, timed when its memory is warm. */
static double time_copy(const sap__primitive *copy, const void *from, void *to, void *scratch) {
  sap__primitive_copy(copy, from, to, scratch);
  double start = seconds();
  sap__primitive_copy(copy, from, to, scratch);
  return seconds() - start;
}

/* Runs an implementation until its time is known, or known to be above `limit`; the result is left in `to`. The copy of
 * its weights, once a step, counts as if the problem were the whole batch. */
static sap_status time_one(const bench *b, const sap__primitive *primitive, void *to, double limit, double *best,
                           sap_error *err) {
  const int gradients = b->pass == SAP__CONV_BACKWARD_WEIGHTS;
  sap__primitive *copy = NULL;
  sap_status status =
      gradients ? sap__primitive_weights_out(primitive, &copy, err) : sap__primitive_weights_in(primitive, &copy, err);
  if (status) return status;
  size_t scratch_bytes = sap__primitive_scratch(primitive);
  if (scratch_bytes < sap__primitive_scratch(copy)) scratch_bytes = sap__primitive_scratch(copy);
  void *own = sap__calloc(sap__primitive_weight_bytes(primitive), 1), *scratch = sap__calloc(scratch_bytes, 1);
  if (!own || !scratch) {
    status = sap__fail_memory(err, scratch_bytes);
  } else {
    sap__conv_operands operands = {b->x, own, b->bias, b->y};
    if (b->pass == SAP__CONV_FORWARD) operands.y = to;
    if (b->pass == SAP__CONV_BACKWARD_DATA) operands.x = to;
    double copying = gradients ? 0 : time_copy(copy, b->weights, own, scratch);
    *best = INFINITY;
    for (int run = 0; run <= RUNS; run++) { /* the first warms up: it meets fresh memory */
      double start = seconds();
      sap__primitive_run(primitive, &operands, scratch);
      double time = seconds() - start;
      if (run > 0 && time < *best) *best = time;
      if (run > 0 && time > 2 * limit) break;
    }
    if (gradients) copying = time_copy(copy, own, to, scratch);
    *best += copying;
  }
  sap__primitive_free(copy);
  sap__free(own);
  sap__free(scratch);
  return status;
}

/* Tries all implementations; *text receives the fastest as parse reads it, or stays empty. */
static sap_status try_all(bench *b, char *text, size_t size, sap__conv_choice *choice, sap_error *err) {
  double fastest = INFINITY;
  sap_status status = SAP_OK;
  char before[64];
  int has_winograd = 0;
  for (int kind = 0; kind < SAP__CONV_KINDS && !status; kind++)
    for (int nth = 0; nth < TRIED && !status; nth++) {
      sap__primitive *primitive = NULL;
      status = sap__primitive_conv(b->problem, b->pass, (sap__conv_kind)kind, nth, &primitive, err);
      if (!primitive) break;
      has_winograd |= kind == SAP__CONV_WINOGRAD;
      if (nth > 0 && !strncmp(before, sap__primitive_name(primitive), sizeof before - 1)) { /* listed twice */
        sap__primitive_free(primitive);
        continue;
      }
      snprintf(before, sizeof before, "%s", sap__primitive_name(primitive));
      const int first = !kind && !nth;
      const double handicap = kind == SAP__CONV_SQUARES && has_winograd ? HANDICAP : 1;
      double time = INFINITY;
      status = time_one(b, primitive, first ? b->expected : b->result, fastest, &time, err);
      if (!status && time * handicap < fastest && (first || difference(b) <= tolerance(b->problem))) {
        fastest = time;
        *choice = (sap__conv_choice){(sap__conv_kind)kind, nth};
        snprintf(text, size, "%s %d %s", kinds[kind], nth, sap__primitive_name(primitive));
      }
      sap__primitive_free(primitive);
    }
  return status;
}

sap_status sap__trial_choose(const sap__conv_problem *problem, sap__conv_pass pass, sap__choices *choices,
                             sap__conv_choice *choice, sap_error *err) {
  *choice = (sap__conv_choice){SAP__CONV_DIRECT, 0};
  if (!choices) return SAP_OK;
  char key[KEY], text[KEY] = "";
  make_key(problem, pass, key);
  if (remembered(problem, pass, choices, key, choice)) return SAP_OK;
  bench b;
  sap_status status = bench_new(&b, problem, pass, err);
  if (!status) status = try_all(&b, text, sizeof text, choice, err);
  bench_free(&b);
  if (!status && text[0]) status = sap__choices_add(choices, key, text, err);
  return status;
}
