#include "data/scale.h"

#include <math.h>

#include "base/error.h"
#include "base/memory.h"

static void free_axis(sap__scale_axis *axis) {
  sap__free(axis->first);
  sap__free(axis->count);
  sap__free(axis->weights);
  *axis = (sap__scale_axis){0};
}

/* The weights of place i: a triangle around its middle in the source, at least one place to each side. */
static void set_weights(sap__scale_axis *axis, int i, uint32_t length, double middle, double scale) {
  double support = scale > 1 ? scale : 1, sum = 0, low = middle - support + 0.5, high = middle + support + 0.5;
  uint32_t first = low > 0 ? (uint32_t)low : 0, end = high < length ? (uint32_t)high : length;
  float *weights = axis->weights + (size_t)i * axis->most;
  for (uint32_t k = first; k < end; k++) {
    double weight = 1 - fabs((k + 0.5 - middle) / support);
    sum += weight > 0 ? weight : 0;
  }
  for (uint32_t k = first; k < end; k++) {
    double weight = 1 - fabs((k + 0.5 - middle) / support);
    weights[k - first] = weight > 0 ? (float)(weight / sum) : 0;
  }
  while (end > first + 1 && weights[end - 1 - first] == 0) end--; /* one weight where nothing is resized */
  axis->first[i] = first;
  axis->count[i] = end - first;
}

/* `length` places, handed over as ⌈length / reduced⌉, become `full`, of which the middle `side` are wanted. */
static int make_axis(sap__scale_axis *axis, uint32_t length, uint32_t reduced, uint64_t full, int side) {
  double scale = (double)length / reduced / (double)full, cut = (double)(full - (uint64_t)side);
  uint32_t places = (length - 1) / reduced + 1;
  double begin = nearbyint(cut / 2); /* half to even, as Python rounds */
  axis->plain = scale == 1;
  axis->most = 2 * (uint32_t)ceil(scale > 1 ? scale : 1) + 1;
  axis->first = sap__alloc((size_t)side, sizeof *axis->first);
  axis->count = sap__alloc((size_t)side, sizeof *axis->count);
  axis->weights = sap__alloc((size_t)side * axis->most, sizeof *axis->weights);
  if (!axis->first || !axis->count || !axis->weights) return 0;
  for (int i = 0; i < side; i++) set_weights(axis, i, places, (i + begin + 0.5) * scale, scale);
  return 1;
}

sap_status sap__scaler_begin(sap__scaler *s, uint32_t width, uint32_t height, uint32_t reduced, int channels,
                             sap_error *err) {
  sap__scaler_free(s);
  uint32_t shorter = width < height ? width : height;
  uint64_t side = (uint64_t)s->side, full_width = side * width / shorter, full_height = side * height / shorter;
  size_t floats = (size_t)s->side * (size_t)s->side * (size_t)channels;
  s->channels = channels;
  s->row = s->low = 0;
  s->line = sap__alloc((size_t)s->side * (size_t)channels, sizeof *s->line);
  s->sums = sap__calloc(floats, sizeof *s->sums);
  if (s->line && s->sums && make_axis(&s->x, width, reduced, full_width, s->side) &&
      make_axis(&s->y, height, reduced, full_height, s->side))
    return SAP_OK;
  return sap__fail_memory(err, floats * sizeof *s->sums);
}

/* line (side, channels) from row (width, channels) of a picture that is as wide as wanted, but for what is cut off. */
static void cut_row(const sap__scaler *s, const uint8_t *row) {
  const uint8_t *from = row + s->x.first[0] * (size_t)s->channels;
  const size_t width = (size_t)s->side * (size_t)s->channels;
  for (size_t k = 0; k < width; k++) s->line[k] = from[k];
}

/* line (side) from row (width) of one channel. */
static void resize_grey(const sap__scaler *s, const uint8_t *row) {
  for (int i = 0; i < s->side; i++) {
    const float *weights = s->x.weights + (size_t)i * s->x.most;
    const uint8_t *from = row + s->x.first[i];
    float sum = 0;
    for (uint32_t k = 0; k < s->x.count[i]; k++) sum += weights[k] * from[k];
    s->line[i] = sum;
  }
}

/* line (side, 3) from row (width, 3). */
static void resize_colour(const sap__scaler *s, const uint8_t *row) {
  for (int i = 0; i < s->side; i++) {
    const float *weights = s->x.weights + (size_t)i * s->x.most;
    const uint8_t *from = row + 3 * (size_t)s->x.first[i];
    float red = 0, green = 0, blue = 0;
    for (uint32_t k = 0; k < s->x.count[i]; k++, from += 3) {
      red += weights[k] * from[0];
      green += weights[k] * from[1];
      blue += weights[k] * from[2];
    }
    s->line[3 * i] = red;
    s->line[3 * i + 1] = green;
    s->line[3 * i + 2] = blue;
  }
}

void sap__scaler_row(sap__scaler *s, const uint8_t *row) {
  const uint32_t side = (uint32_t)s->side, at = s->row++;
  while (s->low < side && s->y.first[s->low] + s->y.count[s->low] <= at) s->low++;
  if (s->low == side || s->y.first[s->low] > at) return; /* cut off */
  if (s->x.plain)
    cut_row(s, row);
  else if (s->channels == 1)
    resize_grey(s, row);
  else
    resize_colour(s, row);
  const size_t width = side * (size_t)s->channels;
  for (uint32_t i = s->low; i < side && s->y.first[i] <= at; i++) {
    if (at - s->y.first[i] >= s->y.count[i]) continue;
    float weight = s->y.weights[i * (size_t)s->y.most + (at - s->y.first[i])], *sums = s->sums + i * width;
    for (size_t k = 0; k < width; k++) sums[k] += weight * s->line[k];
  }
}

/* Weights sum to 1 but for rounding: a value may be a hair outside. */
static uint8_t to_byte(float value) {
  const int rounded = (int)(value + 0.5f);
  return (uint8_t)(rounded < 0 ? 0 : rounded > 255 ? 255 : rounded);
}

void sap__scaler_end(const sap__scaler *s, int channels, uint8_t *pixels) {
  const size_t plane = (size_t)s->side * (size_t)s->side;
  const float *sums = s->sums;
  for (size_t k = 0; k < plane; k++, sums += s->channels) {
    const float red = sums[0], green = s->channels == 1 ? red : sums[1], blue = s->channels == 1 ? red : sums[2];
    if (channels == 1) {
      pixels[k] = to_byte(s->channels == 1 ? red : 0.299f * red + 0.587f * green + 0.114f * blue);
      continue;
    }
    pixels[k] = to_byte(red);
    pixels[plane + k] = to_byte(green);
    pixels[2 * plane + k] = to_byte(blue);
  }
}

void sap__scaler_free(sap__scaler *s) {
  free_axis(&s->x);
  free_axis(&s->y);
  sap__free(s->line);
  sap__free(s->sums);
  s->line = s->sums = NULL;
}
