/* batch_norm, over (N,H,W) of each channel.
 *
 * A slice's row of the shared state holds, for each channel, its mean and Σ(x − mean)², and on the walk back
 * Σdy and Σ dy·x̂ where x̂ = (x − mean)/√(var + eps). With m pictures' pixels in the whole batch,
 *   dx = weight/√(var + eps) · (dy − Σdy/m − x̂·Σdy·x̂/m). */
#include <math.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/threads.h"
#include "engine/ref/ref.h"

/* Of one channel. */
typedef struct moments {
  double mean, squares; /* Σ(x − mean)² */
  double dy, dy_x;      /* Σdy, Σ dy·x̂ */
} moments;

enum { WEIGHT, BIAS, RUNNING_MEAN, RUNNING_VAR };

static int64_t channels(const sap__op_context *op) { return sap__ref_input(op)->dim[0]; }
static int64_t plane(const sap__op_context *op) { return sap__ref_inputs(op) / channels(op); }

/* Channel c of slice s. */
static moments *row(const sap__op_context *op, int s, int64_t c) {
  return (moments *)op->shared + s * channels(op) + c;
}

static sap_status share(sap__op_context *op, sap_error *err) {
  size_t count = (size_t)op->slices * (size_t)channels(op);
  op->shared = sap__calloc(count, sizeof(moments));
  return op->shared ? SAP_OK : sap__fail_memory(err, count * sizeof(moments));
}

static void unshare(sap__op_context *op) { sap__free(op->shared); }

/* The first pixel of channel c of picture n. */
static int64_t at(const sap__op_context *op, int n, int64_t c) { return (n * channels(op) + c) * plane(op); }

static void forward_statistics(sap__op_context *op) {
  const double *x = op->x[0];
  double count = (double)(op->count * plane(op));
  for (int64_t c = 0; c < channels(op); c++) {
    double mean = 0, squares = 0;
    for (int n = 0; n < op->count; n++)
      for (int64_t p = 0; p < plane(op); p++) mean += x[at(op, n, c) + p] / count;
    for (int n = 0; n < op->count; n++)
      for (int64_t p = 0; p < plane(op); p++) squares += pow(x[at(op, n, c) + p] - mean, 2);
    *row(op, op->slice, c) = (moments){.mean = mean, .squares = squares};
  }
}

/* Pixels of a channel in slice s. */
static double pixels(const sap__op_context *op, int s) {
  int first = (int)sap__part((unsigned)op->batch, (unsigned)s, (unsigned)op->slices);
  int end = (int)sap__part((unsigned)op->batch, (unsigned)s + 1, (unsigned)op->slices);
  return (double)(end - first) * (double)plane(op);
}

/* The slices' moments of channel c as those of the whole batch: Chan, Golub and LeVeque 1979. */
static moments whole(const sap__op_context *op, int64_t c) {
  moments sum = *row(op, 0, c);
  double count = pixels(op, 0);
  for (int s = 1; s < op->slices; s++) {
    const moments *next = row(op, s, c);
    double more = pixels(op, s), shift = next->mean - sum.mean;
    sum.squares += next->squares + shift * shift * count * more / (count + more);
    sum.mean += shift * more / (count + more);
    sum.dy += next->dy;
    sum.dy_x += next->dy_x;
    count += more;
  }
  return sum;
}

static double batch_pixels(const sap__op_context *op) { return (double)op->batch * (double)plane(op); }

static double scale_of(const sap__op_context *op, double variance) {
  return 1 / sqrt(variance + op->node->attributes.batch_norm.eps);
}

static void move_running(sap__op_context *op, int64_t c, const moments *m) {
  double rate = op->node->attributes.batch_norm.momentum, free = fmax(batch_pixels(op) - 1, 1);
  float *mean = &op->w[RUNNING_MEAN][c], *var = &op->w[RUNNING_VAR][c];
  *mean = (float)((1 - rate) * (double)*mean + rate * m->mean);
  *var = (float)((1 - rate) * (double)*var + rate * m->squares / free);
}

static void forward(sap__op_context *op) {
  const double *x = op->x[0];
  double *y = op->y;
  for (int64_t c = 0; c < channels(op); c++) {
    double mean = op->w[RUNNING_MEAN][c], variance = op->w[RUNNING_VAR][c];
    if (op->training) {
      moments m = whole(op, c);
      mean = m.mean;
      variance = m.squares / batch_pixels(op);
      if (op->slice == 0) move_running(op, c, &m);
    }
    for (int n = 0; n < op->count; n++)
      for (int64_t p = 0; p < plane(op); p++)
        y[at(op, n, c) + p] = (x[at(op, n, c) + p] - mean) * scale_of(op, variance) * op->w[WEIGHT][c] + op->w[BIAS][c];
  }
}

static void backward_statistics(sap__op_context *op) {
  const double *x = op->x[0], *dy = op->dy;
  for (int64_t c = 0; c < channels(op); c++) {
    moments m = whole(op, c), *mine = row(op, op->slice, c);
    double scale = scale_of(op, m.squares / batch_pixels(op)), sum = 0, product = 0;
    for (int n = 0; n < op->count; n++)
      for (int64_t p = 0; p < plane(op); p++) {
        sum += dy[at(op, n, c) + p];
        product += dy[at(op, n, c) + p] * (x[at(op, n, c) + p] - m.mean) * scale;
      }
    mine->dy = sum;
    mine->dy_x = product;
  }
}

static void backward_data(sap__op_context *op) {
  const double *x = op->x[0], *dy = op->dy;
  double *dx = sap__ref_gradient(op, 0), count = batch_pixels(op);
  for (int64_t c = 0; c < channels(op); c++) {
    moments m = whole(op, c);
    double scale = scale_of(op, m.squares / count);
    for (int n = 0; n < op->count; n++)
      for (int64_t p = 0; p < plane(op); p++) {
        int64_t k = at(op, n, c) + p;
        double normal = (x[k] - m.mean) * scale;
        dx[k] += op->w[WEIGHT][c] * scale * (dy[k] - m.dy / count - normal * m.dy_x / count);
      }
  }
}

static void backward_weights(const sap__op_context *op, int part, int parts) {
  for (int64_t c = channels(op) * part / parts; c < channels(op) * (part + 1) / parts; c++) {
    moments m = whole(op, c);
    op->dw[WEIGHT][c] = (float)m.dy_x;
    op->dw[BIAS][c] = (float)m.dy;
  }
}

const sap__op_impl sap__ref_batch_norm = {.keeps = SAP__KEEPS_X,
                                          .share = share,
                                          .unshare = unshare,
                                          .forward_statistics = forward_statistics,
                                          .forward = forward,
                                          .backward_statistics = backward_statistics,
                                          .backward_data = backward_data,
                                          .backward_weights = backward_weights};
