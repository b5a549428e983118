/* Convolutions with fixed weights, by oneDNN; those that cover their input are matrix products. */
#include "engine/fixed_conv.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "engine/onednn/compat.h"
#include "engine/onednn/loops.h"
#include "engine/onednn/onednn.h"
#include "engine/onednn/trial.h"

struct sap__fixed_conv {
  sap__fixed_problem problem;
  sap__primitive *primitive; /* NULL: a product */
  float *weights;            /* packed; of a product (O, I) in the order of x */
  int borrowed;              /* 1: the weights are another conv's */
  float *bias;
  void *scratch;
  size_t bytes;
};

static void conv_free(sap__fixed_conv *c) {
  if (!c) return;
  sap__primitive_free(c->primitive);
  if (!c->borrowed) sap__free(c->weights);
  sap__free(c->bias);
  sap__free(c->scratch);
  sap__free(c);
}

/* ---- products ---- */

static int is_product(const sap__fixed_problem *p) {
  const sap__conv2d *c = &p->conv;
  return c->groups == 1 && c->kernel[0] == p->x.height && c->kernel[1] == p->x.width &&
         sap__format_pixels(&p->y) == 1 && !c->pad[0] && !c->pad[1] && !c->pad[2] && !c->pad[3];
}

static sap_status pack_product(sap__fixed_conv *c, const float *weights, sap_error *err) {
  const sap__fixed_problem *p = &c->problem;
  size_t row = (size_t)sap__format_count(&p->x);
  c->bytes = row * (size_t)p->conv.out_channels * sizeof(float);
  if (c->borrowed) return SAP_OK;
  if (!(c->weights = sap__alloc(c->bytes, 1))) return sap__fail_memory(err, c->bytes);
  const sap__format plain = {
      .bytes = 4, .block = 1, .channels = p->x.channels, .height = p->x.height, .width = p->x.width};
  sap__format_copy(&plain, &p->x, p->conv.out_channels, weights, c->weights, 0);
  return SAP_OK;
}

static void run_product(const sap__fixed_conv *c, const float *x, float *y) {
  const sap__fixed_problem *p = &c->problem;
  const int64_t in = sap__format_count(&p->x), out = p->conv.out_channels;
  sap__dnnl_gemm('N', 'T', p->count, out, in, 1, x, in, c->weights, in, (float)p->adds, y, out);
  for (int64_t n = 0; n < p->count; n++, y += out)
    for (int64_t o = 0; o < out; o++) y[o] += c->bias[o];
}

/* ---- convolutions ---- */

/* The chosen implementation with the epilogue; the first that can do it, if that one cannot. */
static sap_status make_primitive(sap__fixed_conv *c, sap__choices *choices, sap_error *err) {
  sap__fixed_problem *p = &c->problem;
  sap__conv_problem problem = {.conv = &p->conv, .x = p->x, .y = p->y, .count = p->count};
  sap__conv_choice choice;
  sap_status status = sap__trial_choose(&problem, SAP__CONV_FORWARD, choices, &choice, err);
  problem.adds = p->adds;
  if (!status) status = sap__primitive_conv(&problem, SAP__CONV_FORWARD, choice.kind, choice.nth, &c->primitive, err);
  if (!status && !c->primitive)
    status = sap__primitive_conv(&problem, SAP__CONV_FORWARD, SAP__CONV_DIRECT, 0, &c->primitive, err);
  if (!status && !c->primitive) status = sap__fail(err, SAP_ERROR_UNSUPPORTED, "oneDNN has no such convolution");
  return status;
}

static sap_status pack(sap__fixed_conv *c, const float *weights, sap_error *err) {
  sap__primitive *copy = NULL;
  c->bytes = sap__primitive_weight_bytes(c->primitive);
  c->scratch = sap__calloc(sap__primitive_scratch(c->primitive) + 1, 1);
  if (!c->borrowed) c->weights = sap__calloc(c->bytes, 1);
  if (!c->scratch || !c->weights) return sap__fail_memory(err, c->bytes);
  if (c->borrowed) return SAP_OK;
  sap_status status = sap__primitive_weights_in(c->primitive, &copy, err);
  void *scratch = status ? NULL : sap__calloc(sap__primitive_scratch(copy) + 1, 1);
  if (!status && !scratch) status = sap__fail_memory(err, sap__primitive_scratch(copy));
  if (!status) sap__primitive_copy(copy, weights, c->weights, scratch);
  sap__free(scratch);
  sap__primitive_free(copy);
  return status;
}

static sap_status conv_make(const sap__fixed_problem *problem, const float *weights, const float *bias,
                            const sap__fixed_conv *like, sap__choices *choices, sap__fixed_conv **out, sap_error *err) {
  sap__fixed_conv *c = sap__calloc(1, sizeof *c);
  size_t bias_bytes = (size_t)problem->conv.out_channels * sizeof *bias;
  if (!c) return sap__fail_memory(err, sizeof *c);
  c->problem = *problem;
  c->problem.conv.bias = 1;
  c->bias = sap__alloc(bias_bytes, 1);
  sap_status status = c->bias ? SAP_OK : sap__fail_memory(err, bias_bytes);
  if (!status) memcpy(c->bias, bias, bias_bytes);
  const int product = is_product(problem);
  if (!status && !product) status = make_primitive(c, choices, err);
  if (!status && like && (product || sap__primitive_same_weights(like->primitive, c->primitive))) {
    c->weights = like->weights;
    c->borrowed = 1;
  }
  if (!status) status = product ? pack_product(c, weights, err) : pack(c, weights, err);
  if (status)
    conv_free(c);
  else
    *out = c;
  return status;
}

/* oneDNN takes pointers that it may write through; it only reads x, weights and bias. */
static void conv_run(const sap__fixed_conv *c, const float *x, float *y) {
  const sap__conv_operands operands = {(void *)x, c->weights, c->bias, y};
  if (c->primitive)
    sap__primitive_run(c->primitive, &operands, c->scratch);
  else
    run_product(c, x, y);
  const int64_t count = c->problem.count * sap__format_count(&c->problem.y);
  if (c->problem.relu) sap__elementwise_active(sizeof *y)->relu(y, y, count); /* oneDNN's own makes 0 of a NaN */
}

static const char *conv_name(const sap__fixed_conv *c) {
  return c->primitive ? sap__primitive_name(c->primitive) : "product";
}

static size_t conv_bytes(const sap__fixed_conv *c) { return c->borrowed ? 0 : c->bytes; }

const sap__fixed_convs sap__onednn_fixed_convs = {
    .make = conv_make, .free = conv_free, .run = conv_run, .name = conv_name, .bytes = conv_bytes};
