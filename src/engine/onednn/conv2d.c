/* conv2d: y (N,O,P,Q) from x (N,C,H,W), W (O, C/groups, kernel) and a bias (O), by oneDNN.
 *
 * oneDNN's convolutions want the weights in blocks of their own. The arenas keep the canonical order, so each step
 * begins with a copy into those blocks (refresh), and the gradients are copied back at its end. Gradients are made
 * slice by slice, in blocks, so that dy may go as soon as a slice has passed; the slices' are then added in order. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "engine/onednn/loops.h"
#include "engine/onednn/onednn.h"
#include "engine/onednn/trial.h"

/* What the slices of a node share. */
typedef struct shared {
  sap__conv_choice choice[SAP__CONV_PASSES];
  sap__primitive *model[SAP__CONV_PASSES]; /* of the largest slice: its formats of weights are everybody's */
  sap__primitive *in[2];                   /* copies of the weights for the first two passes */
  sap__primitive *out;                     /* and of their gradients back */
  void *weights[2];                        /* in blocks; the same if the passes want the same */
  float *gradients;                        /* (slices, gradient_count) in blocks */
  float *bias_gradients;                   /* (slices, O) */
  size_t gradient_count;
} shared;

/* A slice's primitives. */
typedef struct state {
  sap__primitive *pass[SAP__CONV_PASSES];
} state;

static sap__conv_problem problem_of(const sap__op_context *op, int64_t count) {
  return (sap__conv_problem){
      .conv = &op->node->attributes.conv2d, .x = op->x_format[0], .y = op->y_format, .count = count};
}

/* Whether a pass is needed: the gradient of the graph's input never is. */
static int wanted(const sap__op_context *op, int pass) {
  return pass == SAP__CONV_FORWARD || (op->training && (pass != SAP__CONV_BACKWARD_DATA || op->dx[0]));
}

static int has_bias(const sap__op_context *op) { return op->node->attributes.conv2d.bias; }
static size_t outputs(const sap__op_context *op) { return (size_t)op->y_format.channels; }

/* ---- planning ---- */

static void unshare(sap__op_context *op) {
  shared *s = op->shared;
  if (!s) return;
  for (int pass = 0; pass < SAP__CONV_PASSES; pass++) sap__primitive_free(s->model[pass]);
  if (s->weights[1] != s->weights[0]) sap__free(s->weights[1]);
  sap__free(s->weights[0]);
  sap__primitive_free(s->in[0]);
  sap__primitive_free(s->in[1]);
  sap__primitive_free(s->out);
  sap__free(s->gradients);
  sap__free(s->bias_gradients);
  sap__free(s);
}

/* The implementation of each pass, by the largest slice. */
static sap_status choose(sap__op_context *op, shared *s, sap_error *err) {
  const sap__conv_problem problem = problem_of(op, (op->batch + op->slices - 1) / op->slices);
  for (int pass = 0; pass < SAP__CONV_PASSES; pass++) {
    if (!wanted(op, pass)) continue;
    sap_status status = sap__trial_choose(&problem, (sap__conv_pass)pass, op->choices, &s->choice[pass], err);
    if (!status)
      status = sap__primitive_conv(&problem, (sap__conv_pass)pass, s->choice[pass].kind, s->choice[pass].nth,
                                   &s->model[pass], err);
    if (status) return status;
    if (!s->model[pass]) return sap__fail(err, SAP_ERROR_UNSUPPORTED, "oneDNN has no such convolution");
  }
  return SAP_OK;
}

/* The copy of the weights for a pass; shared with the pass before where both want the same. */
static sap_status take_weights(shared *s, int pass, sap_error *err) {
  if (pass > 0 && sap__primitive_same_weights(s->model[0], s->model[pass])) {
    s->weights[pass] = s->weights[0];
    return SAP_OK;
  }
  size_t bytes = sap__primitive_weight_bytes(s->model[pass]);
  if (!(s->weights[pass] = sap__calloc(bytes, 1))) return sap__fail_memory(err, bytes);
  return sap__primitive_weights_in(s->model[pass], &s->in[pass], err);
}

static sap_status take_gradients(const sap__op_context *op, shared *s, sap_error *err) {
  s->gradient_count = sap__primitive_weight_bytes(s->model[SAP__CONV_BACKWARD_WEIGHTS]) / sizeof(float);
  s->gradients = sap__calloc((size_t)op->slices * s->gradient_count, sizeof(float));
  s->bias_gradients = sap__calloc((size_t)op->slices * outputs(op), sizeof(float));
  if (!s->gradients || !s->bias_gradients)
    return sap__fail_memory(err, (size_t)op->slices * s->gradient_count * sizeof(float));
  return sap__primitive_weights_out(s->model[SAP__CONV_BACKWARD_WEIGHTS], &s->out, err);
}

static void need(sap__op_context *op, size_t bytes) {
  if (op->scratch_bytes < bytes) op->scratch_bytes = bytes;
}

static sap_status share(sap__op_context *op, sap_error *err) {
  shared *s = op->shared = sap__calloc(1, sizeof *s);
  if (!s) return sap__fail_memory(err, sizeof *s);
  sap_status status = choose(op, s, err);
  for (int pass = 0; pass < SAP__CONV_BACKWARD_WEIGHTS && !status; pass++) {
    if (!s->model[pass]) continue;
    status = take_weights(s, pass, err);
    if (s->in[pass]) need(op, sap__primitive_scratch(s->in[pass]));
  }
  if (!status && op->training) status = take_gradients(op, s, err);
  if (s->out) need(op, sap__primitive_scratch(s->out));
  return status;
}

static void release(sap__op_context *op) {
  state *s = op->state;
  for (int pass = 0; s && pass < SAP__CONV_PASSES; pass++) sap__primitive_free(s->pass[pass]);
  sap__free(s);
}

/* Bytes of dx of a slice, where it must be made beside what is there already. */
static size_t beside(const sap__op_context *op) {
  return op->accumulate[0] ? (size_t)op->count * sap__format_bytes(&op->x_format[0]) : 0;
}

static sap_status prepare(sap__op_context *op, sap_error *err) {
  const sap__conv_problem problem = problem_of(op, op->count);
  const shared *common = op->shared;
  state *s = op->state = sap__calloc(1, sizeof *s);
  if (!s) return sap__fail_memory(err, sizeof *s);
  for (int pass = 0; pass < SAP__CONV_PASSES; pass++) {
    if (!common->model[pass]) continue;
    sap_status status = sap__primitive_conv(&problem, (sap__conv_pass)pass, common->choice[pass].kind,
                                            common->choice[pass].nth, &s->pass[pass], err);
    if (status) return status;
    if (!s->pass[pass] || !sap__primitive_same_weights(s->pass[pass], common->model[pass]))
      return sap__fail(err, SAP_ERROR_UNSUPPORTED, "oneDNN wants other weights for %d pictures than for %d", op->count,
                       (op->batch + op->slices - 1) / op->slices);
    need(op, sap__primitive_scratch(s->pass[pass]) + beside(op));
  }
  return SAP_OK;
}

/* ---- running ---- */

static void refresh(const sap__op_context *op, int part, int parts) {
  (void)part, (void)parts;
  const shared *s = op->shared;
  for (int pass = 0; pass < 2; pass++)
    if (s->in[pass]) sap__primitive_copy(s->in[pass], op->w[0], s->weights[pass], op->scratch);
}

/* oneDNN takes pointers that it may write through; it only reads the operands that are inputs of the pass. */
static void run(const sap__op_context *op, sap__conv_pass pass, const void *x, void *w, float *bias, const void *y,
                char *scratch) {
  const state *s = op->state;
  const sap__conv_operands operands = {(void *)x, w, bias, (void *)y};
  sap__primitive_run(s->pass[pass], &operands, scratch);
}

static void forward(sap__op_context *op) {
  const shared *s = op->shared;
  run(op, SAP__CONV_FORWARD, op->x[0], s->weights[0], has_bias(op) ? op->w[1] : NULL, op->y, op->scratch);
}

static void backward_data(sap__op_context *op) {
  const shared *s = op->shared;
  void *dx = op->accumulate[0] ? op->scratch : op->dx[0];
  run(op, SAP__CONV_BACKWARD_DATA, dx, s->weights[1], NULL, op->dy, (char *)op->scratch + beside(op));
  if (op->accumulate[0])
    sap__elementwise_active(op->x_format[0].bytes)
        ->add(op->dx[0], dx, op->dx[0], op->count * sap__format_count(&op->x_format[0]));
}

static void backward_slice(sap__op_context *op) {
  const shared *s = op->shared;
  float *dw = s->gradients + (size_t)op->slice * s->gradient_count;
  float *db = s->bias_gradients + (size_t)op->slice * outputs(op);
  run(op, SAP__CONV_BACKWARD_WEIGHTS, op->x[0], dw, has_bias(op) ? db : NULL, op->dy, op->scratch);
}

/* Adds the slices' rows to the first, in order; a piece at a time, which stays in the cache. */
static void add_rows(float *restrict rows, int count, size_t length) {
  enum { PIECE = 4096 };
  for (size_t first = 0; first < length; first += PIECE) {
    const size_t end = first + PIECE < length ? first + PIECE : length;
    for (int row = 1; row < count; row++)
      for (size_t k = first; k < end; k++) rows[k] += rows[(size_t)row * length + k];
  }
}

static void backward_weights(const sap__op_context *op, int part, int parts) {
  (void)part, (void)parts;
  const shared *s = op->shared;
  add_rows(s->gradients, op->slices, s->gradient_count);
  sap__primitive_copy(s->out, s->gradients, op->dw[0], op->scratch);
  if (!has_bias(op)) return;
  add_rows(s->bias_gradients, op->slices, outputs(op));
  memcpy(op->dw[1], s->bias_gradients, outputs(op) * sizeof(float));
}

static void describe(const sap__op_context *op, int pass, char *text, size_t size) {
  const shared *s = op->shared;
  if (s->model[pass])
    snprintf(text, size, "%s %s", sap__conv_kind_name(s->choice[pass].kind), sap__primitive_name(s->model[pass]));
}

const sap__op_impl sap__onednn_conv2d = {.keeps = SAP__KEEPS_X,
                                         .indivisible = 1,
                                         .share = share,
                                         .unshare = unshare,
                                         .prepare = prepare,
                                         .release = release,
                                         .refresh = refresh,
                                         .forward = forward,
                                         .backward_data = backward_data,
                                         .backward_slice = backward_slice,
                                         .backward_weights = backward_weights,
                                         .describe = describe};
