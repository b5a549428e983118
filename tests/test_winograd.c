/* Our own Winograd's way against sums of products in double.
 *
 * In bf16, with small whole numbers, and weights in multiples of 4 since G halves twice, all that is rounded to bf16 on
 * the way is exact, so that the results must be the true ones to the last bit. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "engine/onednn/winograd.h"
#include "unit.h"

static uint16_t bf16_of(double value) {
  const float f = (float)value;
  uint32_t bits;
  memcpy(&bits, &f, sizeof bits);
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16); /* of a NaN, too, here */
}

static double value_of(uint16_t h) {
  const uint32_t bits = (uint32_t)h << 16;
  float f;
  memcpy(&f, &bits, sizeof f);
  return f;
}

/* A case, and its operands with plain order of elements: x (N,C,H,W), w (O,C,3,3), y (N,O,P,Q). */
typedef struct fixture {
  sap__conv_problem problem;
  double *x, *w, *y, *bias;
  size_t x_count, w_count, y_count;
} fixture;

static double *numbers(size_t count, double unit, int whole, uint64_t stream) {
  sap__random random = sap__random_stream(3, stream, count, 0);
  double *x = malloc(count * sizeof *x);
  for (size_t i = 0; i < count; i++) {
    const double number = 4 * sap__random_unit(&random) - 2; /* -2 … 2 */
    x[i] = whole ? unit * round(number) : value_of(bf16_of(unit * number));
  }
  return x;
}

static fixture make(sap__conv2d *conv, int64_t in, int64_t height, int64_t width, int64_t count, int last, int bytes,
                    int whole) {
  fixture f = {.problem = {.conv = conv, .count = count}};
  sap__format *x = &f.problem.x, *y = &f.problem.y;
  *x = (sap__format){
      .bytes = bytes, .last = last, .block = last ? in : 16, .channels = in, .height = height, .width = width};
  *y = *x;
  y->channels = conv->out_channels;
  if (last) y->block = y->channels;
  y->height = height + conv->pad[0] + conv->pad[2] - 2;
  y->width = width + conv->pad[1] + conv->pad[3] - 2;
  f.x_count = (size_t)(count * sap__format_count(x));
  f.y_count = (size_t)(count * sap__format_count(y));
  f.w_count = (size_t)(conv->out_channels * in * 9);
  f.x = numbers(f.x_count, 1, whole, 1);
  f.y = numbers(f.y_count, 1, whole, 2);
  f.w = numbers(f.w_count, whole ? 4 : 0.1, whole, 3);
  f.bias = numbers((size_t)conv->out_channels, 1, whole, 4);
  return f;
}

static void fixture_free(fixture *f) {
  free(f->x);
  free(f->w);
  free(f->y);
  free(f->bias);
}

/* What a pass should give, in doubles: y, dx, or dw. Rows of pixels that lie outside are left out. */
static double *expected_of(const fixture *f, sap__conv_pass pass) {
  const sap__conv2d *c = f->problem.conv;
  const int64_t in = f->problem.x.channels, high = f->problem.x.height, wide = f->problem.x.width;
  const int64_t out = c->out_channels, p_high = f->problem.y.height, p_wide = f->problem.y.width;
  double *result = calloc(f->x_count + f->y_count + f->w_count, sizeof *result);
  for (int64_t n = 0; n < f->problem.count; n++)
    for (int64_t o = 0; o < out; o++)
      for (int64_t i = 0; i < in; i++)
        for (int64_t k = 0; k < 9; k++)
          for (int64_t p = 0; p < p_high; p++)
            for (int64_t q = 0; q < p_wide; q++) {
              const int64_t row = p + k / 3 - c->pad[0], column = q + k % 3 - c->pad[1];
              if (row < 0 || row >= high || column < 0 || column >= wide) continue;
              const int64_t x = ((n * in + i) * high + row) * wide + column,
                            y = ((n * out + o) * p_high + p) * p_wide + q;
              const int64_t w = (o * in + i) * 9 + k;
              if (pass == SAP__CONV_FORWARD)
                result[y] += f->x[x] * f->w[w];
              else if (pass == SAP__CONV_BACKWARD_DATA)
                result[x] += f->y[y] * f->w[w];
              else
                result[w] += f->x[x] * f->y[y];
            }
  for (int64_t k = 0; pass == SAP__CONV_FORWARD && c->bias && k < (int64_t)f->y_count; k++)
    result[k] += f->bias[k / (p_high * p_wide) % out];
  return result;
}

/* Between plain order and a format. */
static int64_t place(const sap__format *f, int64_t k) {
  const int64_t pixels = sap__format_pixels(f), pixel = k % pixels, c = k / pixels % f->channels;
  return k / sap__format_count(f) * sap__format_count(f) + c / f->block * f->block * pixels + pixel * f->block +
         c % f->block;
}

static void put(const sap__format *f, void *at, int64_t k, double value) {
  if (f->bytes == 2)
    ((uint16_t *)at)[k] = bf16_of(value);
  else
    ((float *)at)[k] = (float)value;
}

static double get(const sap__format *f, const void *at, int64_t k) {
  return f->bytes == 2 ? value_of(((const uint16_t *)at)[k]) : (double)((const float *)at)[k];
}

static void *laid_out(const sap__format *f, const double *from, size_t count) {
  void *to = malloc(count * (size_t)f->bytes);
  for (size_t k = 0; k < count; k++) put(f, to, place(f, (int64_t)k), from ? from[k] : NAN);
  return to;
}

/* Runs a pass; `result` has as many elements as what it gives, in plain order. */
static void run(const fixture *f, const sap__winograd_kernels *kernels, sap__conv_pass pass, double *result,
                float *bias_gradient) {
  sap__winograd plan;
  assert_true(sap__winograd_plan(&plan, kernels, &f->problem, pass));
  void *x = laid_out(&f->problem.x, pass == SAP__CONV_BACKWARD_DATA ? NULL : f->x, f->x_count);
  void *y = laid_out(&f->problem.y, pass == SAP__CONV_FORWARD ? NULL : f->y, f->y_count);
  float *weights = malloc(f->w_count * sizeof *weights), *bias = malloc((size_t)plan.to.channels * sizeof *bias);
  for (size_t k = 0; k < f->w_count; k++) weights[k] = (float)f->w[k];
  for (int64_t k = 0; plan.has_bias && k < plan.to.channels; k++) bias[k] = (float)f->bias[k];
  void *own = malloc(plan.weight_bytes), *scratch = malloc(plan.scratch_bytes); /* to the byte, for the sanitizers */
  memset(scratch, 0xff, plan.scratch_bytes);
  if (pass == SAP__CONV_BACKWARD_WEIGHTS) {
    kernels->gradients(&plan, x, y, own, plan.has_bias ? bias_gradient : NULL, scratch);
    kernels->weights_out(&plan, own, weights);
    for (size_t k = 0; k < f->w_count; k++) result[k] = weights[k];
  } else {
    const int forward = pass == SAP__CONV_FORWARD;
    kernels->weights_in(&plan, weights, own);
    kernels->run(&plan, forward ? x : y, own, plan.has_bias ? bias : NULL, forward ? y : x, scratch);
    const sap__format *format = forward ? &f->problem.y : &f->problem.x;
    const size_t count = forward ? f->y_count : f->x_count;
    for (size_t k = 0; k < count; k++) result[k] = get(format, forward ? y : x, place(format, (int64_t)k));
  }
  free(x);
  free(y);
  free(weights);
  free(bias);
  free(own);
  free(scratch);
}

static size_t count_of(const fixture *f, sap__conv_pass pass) {
  return pass == SAP__CONV_FORWARD ? f->y_count : pass == SAP__CONV_BACKWARD_DATA ? f->x_count : f->w_count;
}

static void check_exact(const sap__winograd_kernels *kernels, sap__conv2d conv, int64_t in, int64_t height,
                        int64_t width, int64_t count) {
  for (int last = 0; last < 2; last++) {
    fixture f = make(&conv, in, height, width, count, last, 2, 1);
    for (int pass = 0; pass < SAP__CONV_PASSES; pass++) {
      double *expected = expected_of(&f, (sap__conv_pass)pass);
      double *found = malloc(count_of(&f, (sap__conv_pass)pass) * sizeof *found);
      float *bias = calloc((size_t)conv.out_channels, sizeof *bias);
      run(&f, kernels, (sap__conv_pass)pass, found, bias);
      for (size_t k = 0; k < count_of(&f, (sap__conv_pass)pass); k++)
        assert_true(found[k] == (pass == SAP__CONV_BACKWARD_WEIGHTS ? expected[k] : value_of(bf16_of(expected[k]))));
      const int64_t pixels = sap__format_pixels(&f.problem.y);
      for (int64_t o = 0; pass == SAP__CONV_BACKWARD_WEIGHTS && conv.bias && o < conv.out_channels; o++) {
        double sum = 0;
        for (int64_t k = 0; k < count * pixels; k++)
          sum += f.y[(k / pixels * conv.out_channels + o) * pixels + k % pixels];
        assert_true(bias[o] == (float)sum);
      }
      free(expected);
      free(found);
      free(bias);
    }
    fixture_free(&f);
  }
}

static void check_kernels(const sap__winograd_kernels *kernels) {
  check_exact(kernels, (sap__conv2d){16, {3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 1, 0}, 16, 4, 4, 2);
  check_exact(kernels, (sap__conv2d){48, {3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 1, 1}, 32, 7, 5, 3);
  check_exact(kernels, (sap__conv2d){80, {3, 3}, {1, 1}, {0, 1, 2, 0}, {1, 1}, 1, 1}, 16, 6, 9, 1);
  check_exact(kernels, (sap__conv2d){32, {3, 3}, {1, 1}, {2, 2, 2, 2}, {1, 1}, 1, 0}, 80, 1, 3, 3);
  check_exact(kernels, (sap__conv2d){16, {3, 3}, {1, 1}, {0, 0, 0, 0}, {1, 1}, 1, 1}, 16, 3, 3, 7);
  check_exact(kernels, (sap__conv2d){16, {3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 1, 1}, 16, 40, 42, 3); /* many blocks */
}

static void test_plain(void **state) {
  (void)state;
  check_kernels(&sap__winograd_bf16_scalar);
}

static void test_active(void **state) {
  (void)state;
  if (!sap__winograd_active(2)) skip();
  check_kernels(sap__winograd_active(2));
}

/* Numbers that are rounded on the way: the largest error, over the largest result, is below a limit. */
static void check_near(const sap__winograd_kernels *kernels, sap__conv2d conv, int64_t in, int64_t height,
                       int64_t width, int64_t count, double limit) {
  for (int last = 0; last < 2; last++) {
    fixture f = make(&conv, in, height, width, count, last, kernels->bytes, 0);
    for (int pass = 0; pass < SAP__CONV_PASSES; pass++) {
      const size_t results = count_of(&f, (sap__conv_pass)pass);
      double *expected = expected_of(&f, (sap__conv_pass)pass), *found = malloc(results * sizeof *found), largest = 0;
      float *bias = calloc((size_t)conv.out_channels, sizeof *bias);
      for (size_t k = 0; k < results; k++) largest = fmax(largest, fabs(expected[k]));
      run(&f, kernels, (sap__conv_pass)pass, found, bias);
      for (size_t k = 0; k < results; k++) assert_true(fabs(found[k] - expected[k]) <= largest * limit);
      free(expected);
      free(found);
      free(bias);
    }
    fixture_free(&f);
  }
}

/* bf16: twice its own rounding. */
static void test_rounding(void **state) {
  (void)state;
  const sap__conv2d conv = {64, {3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 1, 1};
  check_near(&sap__winograd_bf16_scalar, conv, 128, 8, 8, 4, 0x1p-7);
  if (sap__winograd_active(2)) check_near(sap__winograd_active(2), conv, 128, 8, 8, 4, 0x1p-7);
}

/* Floats, by the instruction set of this run: a third of what the engine takes for agreement, but for long sums. */
static void test_floats(void **state) {
  (void)state;
  const sap__winograd_kernels *active = sap__winograd_active(4);
  check_near(active, (sap__conv2d){16, {3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 1, 0}, 16, 4, 4, 2, 3e-5);
  check_near(active, (sap__conv2d){48, {3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 1, 1}, 32, 7, 5, 3, 3e-5);
  check_near(active, (sap__conv2d){80, {3, 3}, {1, 1}, {0, 1, 2, 0}, {1, 1}, 1, 1}, 16, 6, 9, 1, 3e-5);
  check_near(active, (sap__conv2d){32, {3, 3}, {1, 1}, {2, 2, 2, 2}, {1, 1}, 1, 0}, 80, 1, 3, 3, 3e-5);
  check_near(active, (sap__conv2d){16, {3, 3}, {1, 1}, {0, 0, 0, 0}, {1, 1}, 1, 1}, 16, 3, 3, 7, 3e-5);
  check_near(active, (sap__conv2d){16, {3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 1, 1}, 16, 90, 83, 3,
             1e-4); /* many blocks, whose sums round more */
}

/* Convolutions that are not of this kind. */
static void test_others(void **state) {
  (void)state;
  static const sap__conv2d others[] = {
      {16, {3, 3}, {2, 1}, {1, 1, 1, 1}, {1, 1}, 1, 0}, {16, {3, 5}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 1, 0},
      {16, {3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 2}, 1, 0}, {16, {3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 4, 0},
      {16, {3, 3}, {1, 1}, {3, 1, 1, 1}, {1, 1}, 1, 0}, {18, {3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 1, 0},
  };
  for (size_t k = 0; k < sizeof others / sizeof others[0]; k++) {
    sap__conv2d conv = others[k];
    sap__format x = {.bytes = 2, .last = 1, .block = 16, .channels = 16, .height = 8, .width = 8}, y = x;
    y.channels = y.block = conv.out_channels;
    sap__winograd plan;
    assert_false(sap__winograd_plan(&plan, &sap__winograd_bf16_scalar,
                                    &(sap__conv_problem){.conv = &conv, .x = x, .y = y, .count = 1}, 0));
  }
}

/* However many channels there are on one side and few on the other, a block has squares. */
static void test_narrow(void **state) {
  (void)state;
  const sap__winograd_kernels *active = sap__winograd_active(4);
  sap__conv2d conv = {4096, {3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 1, 0};
  sap__format x = {.bytes = 4, .last = 1, .block = active->lanes, .channels = active->lanes, .height = 8, .width = 8};
  sap__format y = {.bytes = 4, .last = 1, .block = 4096, .channels = 4096, .height = 8, .width = 8};
  for (int pass = 0; pass < SAP__CONV_PASSES; pass++) {
    sap__winograd plan;
    sap__conv_problem problem = {.conv = &conv, .x = x, .y = y, .count = 2};
    assert_true(sap__winograd_plan(&plan, active, &problem, (sap__conv_pass)pass));
    assert_true(plan.block >= 2 && plan.block <= plan.squares + SAP__WINOGRAD_ROWS);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_plain),    cmocka_unit_test(test_active),
                                     cmocka_unit_test(test_rounding), cmocka_unit_test(test_floats),
                                     cmocka_unit_test(test_narrow),   cmocka_unit_test(test_others)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
