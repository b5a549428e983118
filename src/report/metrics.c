#include "report/metrics.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"

static double number(const json_t *object, const char *key) {
  const json_t *value = json_object_get(object, key);
  return json_is_number(value) ? json_number_value(value) : NAN;
}

/* A count of weights; 0 for what is none. */
static uint64_t count_of(const json_t *object, const char *key) {
  const json_int_t value = json_integer_value(json_object_get(object, key));
  return value > 0 ? (uint64_t)value : 0;
}

/* An iteration or epoch in [0, limit); -1 for anything else. */
static int index_of(const json_t *object, const char *key, json_int_t limit) {
  const json_t *value = json_object_get(object, key);
  const json_int_t index = json_is_integer(value) ? json_integer_value(value) : -1;
  return index >= 0 && index < limit ? (int)index : -1;
}

/* From an iteration line or, of a quantity of epochs, from the line of an epoch. */
static void read_values(const json_t *line, int epoch, double values[SAP__QUANTITY_COUNT]) {
  for (size_t i = 0; i < SAP__QUANTITY_COUNT; i++) {
    const sap__quantity *q = &sap__quantities[i];
    if (q->epoch != epoch) continue;
    if (q->key)
      values[i] = number(q->object ? json_object_get(line, q->object) : line, q->key);
    else
      values[i] = values[q->of[0]] - values[q->of[1]];
    if (q->stand_in && isnan(values[i])) values[i] = number(line, q->stand_in);
    if (q->share && !(values[i] >= 0 && values[i] <= 1)) values[i] = NAN;
  }
}

static void free_point(sap__point *point) {
  for (size_t i = 0; i < point->layer_count; i++) sap__free(point->layers[i].name);
  sap__free(point->layers);
  *point = (sap__point){0};
}

static int read_layers(const json_t *list, sap__point *point) {
  const size_t count = json_array_size(list);
  if (!(point->layers = sap__calloc(count, sizeof *point->layers))) return 0;
  for (size_t i = 0; i < count; i++, point->layer_count++) {
    const json_t *object = json_array_get(list, i);
    const char *name = json_string_value(json_object_get(object, "name"));
    const uint64_t total = count_of(object, "total"), kept = count_of(object, "kept");
    point->layers[i] = (sap__layer_point){.name = sap__strdup(name ? name : "?"),
                                          .total = total,
                                          .kept = kept,
                                          .density = total ? (double)kept / (double)total : NAN,
                                          .pqi = number(object, "pqi"),
                                          .gini = number(object, "gini")};
    if (!point->layers[i].name) return 0;
  }
  return 1;
}

/* What an epoch tells of its iteration: the last epoch's words count. */
static void take_epoch(sap__metrics *metrics, const json_t *line, int t, int epoch) {
  metrics->iteration = t;
  metrics->epoch = epoch;
  read_values(line, 1, metrics->epoch_values);
}

/* 1 taken, 0 no memory. */
static int take_iteration(sap__metrics *metrics, const json_t *line, int t) {
  sap__point point = {.present = 1};
  while (metrics->count <= (size_t)t) {
    if (!sap__grow(&metrics->points, metrics->count, sizeof *metrics->points)) return 0;
    metrics->points[metrics->count++] = (sap__point){0};
  }
  for (size_t i = 0; i < SAP__QUANTITY_COUNT; i++)
    point.values[i] = metrics->iteration == t ? metrics->epoch_values[i] : NAN;
  read_values(line, 0, point.values);
  if (!read_layers(json_object_get(line, "layers"), &point)) {
    free_point(&point);
    return 0;
  }
  free_point(&metrics->points[t]);
  metrics->points[t] = point;
  metrics->stopped = json_is_true(json_object_get(line, "stopped"));
  return 1;
}

static int take_line(sap__metrics *metrics, const char *text, size_t size) {
  json_t *line = json_loadb(text, size, 0, NULL);
  const char *event = json_string_value(json_object_get(line, "event"));
  const int t = index_of(line, "iteration", SAP__ITERATIONS_MAX), epoch = index_of(line, "epoch", INT32_MAX);
  int ok = 1;
  if (event && !strcmp(event, "iteration") && t >= 0) {
    ok = take_iteration(metrics, line, t);
  } else if (event && !strcmp(event, "epoch") && t >= 0 && epoch > 0) {
    take_epoch(metrics, line, t, epoch);
  } else {
    metrics->skipped++;
  }
  json_decref(line);
  return ok;
}

static int is_blank(const char *text, size_t size) {
  while (size && strchr(" \t\r", text[size - 1]) && text[size - 1]) size--;
  return size == 0;
}

sap_status sap__metrics_parse(const char *text, size_t size, sap__metrics *metrics, sap_error *err) {
  *metrics = (sap__metrics){.iteration = -1};
  const char *end = text + size;
  while (text < end) {
    const char *newline = memchr(text, '\n', (size_t)(end - text));
    const size_t length = (size_t)((newline ? newline : end) - text);
    if (!is_blank(text, length) && !take_line(metrics, text, length))
      return sap__fail(err, SAP_ERROR_MEMORY, "no memory for %zu iterations", metrics->count);
    text += newline ? length + 1 : length;
  }
  return SAP_OK;
}

double sap__metrics_value(const sap__metrics *metrics, size_t t, sap__quantity_id quantity) {
  return t < metrics->count && metrics->points[t].present ? metrics->points[t].values[quantity] : NAN;
}

void sap__metrics_free(sap__metrics *metrics) {
  for (size_t t = 0; t < metrics->count; t++) free_point(&metrics->points[t]);
  sap__free(metrics->points);
  *metrics = (sap__metrics){.iteration = -1};
}
