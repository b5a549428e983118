/* Mean and standard deviation of the training pictures. */
#include <math.h>

#include "data/dataset.h"

static void set_channel(sap_dataset *set, int channel, double mean, double variance) {
  double stddev = variance > 0 ? sqrt(variance) : 0;
  set->mean[channel] = (float)mean;
  /* One value all over, but for rounding: nothing to scale. */
  set->stddev[channel] = stddev > 1e-6 * (1 + fabs(mean)) ? (float)stddev : 1;
}

/* Exact: counts of the 256 values. */
static void measure_bytes(sap_dataset *set, int channel, int64_t plane) {
  uint64_t counts[256] = {0}, sum = 0, squares = 0;
  for (uint32_t i = 0; i < set->train.count; i++) {
    const uint8_t *u = set->train.pixels + (i * (int64_t)set->channels + channel) * plane; /* (H, W) */
    for (int64_t k = 0; k < plane; k++) counts[u[k]]++;
  }
  for (uint64_t value = 0; value < 256; value++) sum += counts[value] * value, squares += counts[value] * value * value;
  double n = (double)set->train.count * (double)plane, mean = (double)sum / n;
  set_channel(set, channel, mean / 255, ((double)squares / n - mean * mean) / (255.0 * 255.0));
}

/* Deviations from a first mean, so that large offsets cost no digits. */
static void measure_floats(sap_dataset *set, int channel, int64_t plane) {
  double n = (double)set->train.count * (double)plane, mean = 0, squares = 0;
  for (int pass = 0; pass < 2; pass++) {
    double sum = 0;
    for (uint32_t i = 0; i < set->train.count; i++) {
      const float *v = set->train.floats + (i * (int64_t)set->channels + channel) * plane;
      for (int64_t k = 0; k < plane; k++) {
        double difference = (double)v[k] - mean;
        sum += pass ? difference * difference : difference;
      }
    }
    if (pass)
      squares = sum;
    else
      mean = sum / n;
  }
  set_channel(set, channel, mean, squares / n);
}

void sap__dataset_measure(sap__dataset *dataset) {
  sap_dataset *set = &dataset->set;
  int64_t plane = (int64_t)set->height * set->width;
#pragma omp parallel for schedule(dynamic, 1)
  for (int channel = 0; channel < set->channels; channel++) {
    if (set->train.pixels)
      measure_bytes(set, channel, plane);
    else
      measure_floats(set, channel, plane);
  }
}
