/* Gradients of a convolution's weights as one matrix product, against oneDNN's own convolution. */
#include <math.h>
#include <stdlib.h>

#include "base/random.h"
#include "engine/onednn/primitive.h"
#include "unit.h"

static float *numbers(size_t count, uint64_t stream) {
  sap__random random = sap__random_stream(1, stream, count, 0);
  float *x = malloc(count * sizeof *x);
  for (size_t i = 0; i < count; i++) x[i] = (float)(2 * sap__random_unit(&random) - 1);
  return x;
}

/* (O, I, kernel) and the bias's gradient by one kind, in PyTorch's order. */
static void run(const sap__conv_problem *problem, sap__conv_kind kind, float *x, float *dy, float *dw, float *db) {
  sap__primitive *primitive, *copy;
  assert_int_equal(sap__primitive_conv(problem, SAP__CONV_BACKWARD_WEIGHTS, kind, 0, &primitive, NULL), SAP_OK);
  assert_non_null(primitive);
  assert_int_equal(sap__primitive_weights_out(primitive, &copy, NULL), SAP_OK);
  size_t scratch_bytes = sap__primitive_scratch(primitive) + sap__primitive_scratch(copy) + 64;
  void *scratch = aligned_alloc(64, (scratch_bytes + 63) / 64 * 64);
  size_t own_bytes = (sap__primitive_weight_bytes(primitive) + 63) / 64 * 64;
  void *own = aligned_alloc(64, own_bytes);
  sap__primitive_run(primitive, &(sap__conv_operands){x, own, db, dy}, scratch);
  sap__primitive_copy(copy, own, dw, scratch);
  free(scratch);
  free(own);
  sap__primitive_free(copy);
  sap__primitive_free(primitive);
}

static void check(sap__conv2d conv, int64_t in, int64_t height, int64_t width, int64_t count) {
  sap__conv_problem problem = {.conv = &conv, .count = count};
  const int64_t reach[] = {(conv.kernel[0] - 1) * conv.dilation[0] + 1, (conv.kernel[1] - 1) * conv.dilation[1] + 1};
  problem.x = (sap__format){.bytes = 4, .last = 1, .block = in, .channels = in, .height = height, .width = width};
  problem.y = problem.x;
  problem.y.channels = problem.y.block = conv.out_channels;
  problem.y.height = (height + conv.pad[0] + conv.pad[2] - reach[0]) / conv.stride[0] + 1;
  problem.y.width = (width + conv.pad[1] + conv.pad[3] - reach[1]) / conv.stride[1] + 1;
  const size_t weights = (size_t)(conv.out_channels * in * conv.kernel[0] * conv.kernel[1]);
  float *x = numbers((size_t)(count * sap__format_count(&problem.x)), 1);
  float *dy = numbers((size_t)(count * sap__format_count(&problem.y)), 2);
  float *dw[2], *db[2];
  for (int i = 0; i < 2; i++) {
    dw[i] = calloc(weights, sizeof(float));
    db[i] = calloc((size_t)conv.out_channels, sizeof(float));
    run(&problem, i ? SAP__CONV_PRODUCT : SAP__CONV_DIRECT, x, dy, dw[i], conv.bias ? db[i] : NULL);
  }
  for (size_t k = 0; k < weights; k++) assert_true(fabs((double)dw[0][k] - (double)dw[1][k]) < 1e-3);
  for (int64_t k = 0; k < conv.out_channels; k++) assert_true(fabs((double)db[0][k] - (double)db[1][k]) < 1e-3);
  for (int i = 0; i < 2; i++) free(dw[i]), free(db[i]);
  free(x);
  free(dy);
}

static void test_product(void **state) {
  (void)state;
  check((sap__conv2d){16, {3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 1, 0}, 8, 5, 4, 3);
  check((sap__conv2d){8, {3, 3}, {2, 2}, {1, 1, 1, 1}, {1, 1}, 1, 1}, 16, 7, 8, 2);
  check((sap__conv2d){24, {1, 1}, {2, 2}, {0, 0, 0, 0}, {1, 1}, 1, 0}, 16, 6, 6, 2);
  check((sap__conv2d){8, {3, 2}, {2, 1}, {0, 1, 2, 0}, {1, 1}, 1, 1}, 5, 7, 8, 2);
  check((sap__conv2d){8, {3, 3}, {1, 2}, {2, 1, 2, 1}, {2, 3}, 1, 1}, 4, 11, 12, 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_product)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
