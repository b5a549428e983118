/* batch_norm, over (N,H,W) of each channel; with the relu behind it where the plan fused the two.
 *
 * A slice's row of the shared state holds for each channel its mean and Σ(x − mean)², and on the walk back Σg and
 * Σ g·(x − mean), g being dy where the output counts. Every slice adds up the same rows in the same order. With m
 * pixels in the whole batch and s = 1/√(var + eps),
 *   y = x · (weight · s) + (bias − mean · weight · s)
 *   dx = weight · s · (g − Σg/m − (x − mean) · s² · Σ g·(x − mean) / m). */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/threads.h"
#include "engine/onednn/norm.h"
#include "engine/onednn/onednn.h"

enum { WEIGHT, BIAS, RUNNING_MEAN, RUNNING_VAR };

/* Of the sums in a row. */
enum { MEAN, SQUARES, GRADIENT, PRODUCT, SUMS };

/* Arrays of a slice, (channels) each. */
enum { SCALE, SHIFT, MIDDLE, SLOPE, OFFSET, ARRAYS };

/* For the loops the channels of a single pixel are one block. */
static sap__format format_of(const sap__op_context *op) {
  sap__format f = op->x_format[0];
  if (sap__format_pixels(&f) == 1) f.block = f.channels;
  return f;
}

static int64_t channels(const sap__op_context *op) { return op->x_format[0].channels; }

/* One of the sums of slice s, (channels). */
static double *row(const sap__op_context *op, int s, int sum) {
  return (double *)op->shared + (s * SUMS + sum) * channels(op);
}

static float *array(const sap__op_context *op, int which) { return (float *)op->state + which * channels(op); }

static sap_status share(sap__op_context *op, sap_error *err) {
  size_t count = (size_t)(op->slices * SUMS) * (size_t)channels(op);
  op->shared = sap__calloc(count, sizeof(double));
  return op->shared ? SAP_OK : sap__fail_memory(err, count * sizeof(double));
}

static void unshare(sap__op_context *op) { sap__free(op->shared); }

static sap_status prepare(sap__op_context *op, sap_error *err) {
  size_t count = (size_t)ARRAYS * (size_t)channels(op);
  op->state = sap__calloc(count, sizeof(float));
  return op->state ? SAP_OK : sap__fail_memory(err, count * sizeof(float));
}

static void release(sap__op_context *op) { sap__free(op->state); }

static sap__norm_map map_of(const sap__op_context *op) {
  return (sap__norm_map){.scale = array(op, SCALE),
                         .shift = array(op, SHIFT),
                         .mean = array(op, MIDDLE),
                         .slope = array(op, SLOPE),
                         .offset = array(op, OFFSET),
                         .relu = op->relu};
}

/* Sums are taken around the first pixel, so that a mean far from 0 costs no digits of the variance. */
static void forward_statistics(sap__op_context *op) {
  const sap__format f = format_of(op);
  const double count = (double)(op->count * sap__format_pixels(&f));
  float *around = array(op, MIDDLE);
  double *mean = row(op, op->slice, MEAN), *squares = row(op, op->slice, SQUARES);
  for (int64_t c = 0; c < channels(op); c++) {
    around[c] = (float)sap__format_get(&f, op->x[0], c, 0);
    mean[c] = squares[c] = 0;
  }
  sap__norm_active(f.bytes)->statistics(&f, op->count, op->x[0], around, mean, squares);
  for (int64_t c = 0; c < channels(op); c++) {
    squares[c] -= mean[c] * mean[c] / count;
    mean[c] = (double)around[c] + mean[c] / count;
  }
}

/* Pixels of a channel in slice s, and in the batch. */
static double pixels(const sap__op_context *op, int s) {
  unsigned first = (unsigned)sap__part((unsigned)op->batch, (unsigned)s, (unsigned)op->slices);
  unsigned end = (unsigned)sap__part((unsigned)op->batch, (unsigned)s + 1, (unsigned)op->slices);
  return (double)(end - first) * (double)sap__format_pixels(&op->x_format[0]);
}
static double batch_pixels(const sap__op_context *op) {
  return (double)op->batch * (double)sap__format_pixels(&op->x_format[0]);
}

typedef struct moments {
  double mean, variance;
} moments;

/* Of channel c in the whole batch: Chan, Golub and LeVeque 1979. */
static moments whole(const sap__op_context *op, int64_t c) {
  double mean = row(op, 0, MEAN)[c], squares = row(op, 0, SQUARES)[c], count = pixels(op, 0);
  for (int s = 1; s < op->slices; s++) {
    double more = pixels(op, s), shift = row(op, s, MEAN)[c] - mean;
    squares += row(op, s, SQUARES)[c] + shift * shift * count * more / (count + more);
    mean += shift * more / (count + more);
    count += more;
  }
  return (moments){mean, squares > 0 ? squares / count : 0};
}

static double total(const sap__op_context *op, int sum, int64_t c) {
  double all = 0;
  for (int s = 0; s < op->slices; s++) all += row(op, s, sum)[c];
  return all;
}

static double inverse(const sap__op_context *op, double variance) {
  return 1 / sqrt(variance + op->node->attributes.batch_norm.eps);
}

static void move_running(sap__op_context *op, int64_t c, moments m) {
  const double rate = op->node->attributes.batch_norm.momentum, count = batch_pixels(op);
  float *mean = &op->w[RUNNING_MEAN][c], *variance = &op->w[RUNNING_VAR][c];
  *mean = (float)((1 - rate) * (double)*mean + rate * m.mean);
  *variance = (float)((1 - rate) * (double)*variance + rate * m.variance * count / fmax(count - 1, 1));
}

static void forward(sap__op_context *op) {
  const sap__format f = format_of(op);
  for (int64_t c = 0; c < channels(op); c++) {
    moments m = {(double)op->w[RUNNING_MEAN][c], (double)op->w[RUNNING_VAR][c]};
    if (op->training) {
      m = whole(op, c);
      if (op->slice == 0) move_running(op, c, m);
    }
    const double scale = (double)op->w[WEIGHT][c] * inverse(op, m.variance);
    array(op, SCALE)[c] = (float)scale;
    array(op, SHIFT)[c] = (float)((double)op->w[BIAS][c] - m.mean * scale);
    array(op, MIDDLE)[c] = (float)m.mean;
  }
  const sap__norm_map map = map_of(op);
  sap__norm_active(f.bytes)->forward(&f, op->count, op->x[0], &map, op->y);
}

static void backward_statistics(sap__op_context *op) {
  const sap__format f = format_of(op);
  const sap__norm_map map = map_of(op);
  double *sum = row(op, op->slice, GRADIENT), *product = row(op, op->slice, PRODUCT);
  memset(sum, 0, (size_t)channels(op) * sizeof *sum);
  memset(product, 0, (size_t)channels(op) * sizeof *product);
  sap__norm_active(f.bytes)->backward_statistics(&f, op->count, op->x[0], op->dy, &map, sum, product);
}

static void backward_data(sap__op_context *op) {
  const sap__format f = format_of(op);
  const double count = batch_pixels(op);
  for (int64_t c = 0; c < channels(op); c++) {
    const double s = inverse(op, whole(op, c).variance), scale = (double)op->w[WEIGHT][c] * s;
    array(op, SLOPE)[c] = (float)(-scale * s * s * total(op, PRODUCT, c) / count);
    array(op, OFFSET)[c] = (float)(-scale * total(op, GRADIENT, c) / count);
  }
  const sap__norm_map map = map_of(op);
  sap__norm_active(f.bytes)->backward(&f, op->count, op->x[0], op->dy, &map, op->dx[0], op->accumulate[0]);
}

static void backward_weights(const sap__op_context *op, int part, int parts) {
  (void)part, (void)parts;
  for (int64_t c = 0; c < channels(op); c++) {
    op->dw[WEIGHT][c] = (float)(total(op, PRODUCT, c) * inverse(op, whole(op, c).variance));
    op->dw[BIAS][c] = (float)total(op, GRADIENT, c);
  }
}

const sap__op_impl sap__onednn_batch_norm = {.keeps = SAP__KEEPS_X,
                                             .in_place = 1,
                                             .indivisible = 1,
                                             .share = share,
                                             .unshare = unshare,
                                             .prepare = prepare,
                                             .release = release,
                                             .forward_statistics = forward_statistics,
                                             .forward = forward,
                                             .backward_statistics = backward_statistics,
                                             .backward_data = backward_data,
                                             .backward_weights = backward_weights};
