#include "report/page_data.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "report/figure.h"
#include "report/series.h"

/* A missing value is null, in the page as everywhere. */
static json_t *real(double value) { return isfinite(value) ? json_real(value) : json_null(); }

static json_t *reals(const double *values, size_t count) {
  json_t *list = json_array();
  for (size_t t = 0; t < count; t++) json_array_append_new(list, real(values[t]));
  return list;
}

/* Mean, deviation and number of runs of a quantity, under its name. */
static int put_stats(json_t *object, const sap__series *series, sap__quantity_id q) {
  json_t *means = json_array(), *deviations = json_array();
  char key[64];
  int failed = 0;
  for (size_t t = 0; t < series->iterations; t++) {
    failed |= json_array_append_new(means, real(series->stats[q][t].mean));
    failed |= json_array_append_new(deviations, real(series->stats[q][t].sd));
  }
  snprintf(key, sizeof key, "%s_sd", sap__quantities[q].name);
  failed |= json_object_set_new(object, sap__quantities[q].name, means);
  return failed | json_object_set_new(object, key, deviations);
}

static json_t *layers_of(const sap__series *series) {
  json_t *list = json_array();
  for (size_t i = 0; i < series->layer_count; i++) {
    const sap__layer_series *layer = &series->layers[i];
    json_array_append_new(
        list, json_pack("{s:s, s:o, s:o}", "name", layer->name, "density", reals(layer->density, series->iterations),
                        "pqi", reals(layer->pqi, series->iterations)));
  }
  return list;
}

static json_t *phases_of(const sap__series *series) {
  json_t *list = json_array();
  for (int phase = 0; phase < SAP_PHASE_COUNT; phase++) {
    int from, to;
    if (sap__phase_span(series, (sap_phase)phase, &from, &to))
      json_array_append_new(list, json_pack("{s:s, s:s, s:i, s:i}", "name", sap_phase_name((sap_phase)phase), "colour",
                                            sap__phase_colours[phase], "from", from, "to", to));
  }
  return list;
}

static json_t *series_object(const sap__series *series) {
  json_t *counts = json_array();
  int failed = 0;
  for (size_t t = 0; t < series->iterations; t++)
    failed |= json_array_append_new(counts, json_integer(series->stats[SAP__ACCURACY][t].n));
  const int recommended = series->told.phases.recommended;
  json_t *object =
      json_pack("{s:s, s:o, s:o, s:o, s:o}", "name", series->name, "n", counts, "layers", layers_of(series), "phases",
                phases_of(series), "recommended", recommended >= 0 ? json_integer(recommended) : json_null());
  for (size_t i = 0; i < sap__figure_count; i++) failed |= put_stats(object, series, sap__figures[i].y);
  failed |= put_stats(object, series, SAP__DENSITY);
  if (!failed) return object;
  json_decref(object);
  return NULL;
}

static json_t *figure_object(const sap__figure *figure) {
  return json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:f, s:s, s:f, s:s}", "name", figure->name, "title", figure->title,
                   "text", figure->text, "y", sap__quantities[figure->y].name, "x",
                   figure->by_density ? "density" : "iteration", "log", figure->log, "top", figure->top, "label",
                   figure->label, "scale", figure->scale, "unit", figure->unit);
}

static json_t *texts(const char *const *list, size_t count) {
  json_t *array = json_array();
  for (size_t i = 0; i < count; i++) json_array_append_new(array, json_string(list[i]));
  return array;
}

static json_t *page_object(const sap_report *report) {
  json_t *figures = json_array(), *sections = json_array();
  int failed = 0;
  for (size_t i = 0; i < sap__figure_count; i++)
    failed |= json_array_append_new(figures, figure_object(&sap__figures[i]));
  for (size_t i = 0; i < report->section_count; i++) {
    json_t *list = json_array();
    for (size_t k = 0; k < report->sections[i].series_count; k++)
      failed |= json_array_append_new(list, series_object(&report->sections[i].series[k]));
    failed |= json_array_append_new(sections, json_pack("{s:o}", "series", list));
  }
  json_t *object =
      json_pack("{s:o, s:o, s:o, s:o, s:o}", "figures", figures, "sections", sections, "light",
                texts(sap__colours_light, SAP__COLOUR_COUNT), "dark", texts(sap__colours_dark, SAP__COLOUR_COUNT),
                "heat", texts(sap__heat_colours, SAP__HEAT_COUNT));
  if (!failed) return object;
  json_decref(object);
  return NULL;
}

sap_status sap__page_add_data(sap__text *page, const sap_report *report, sap_error *err) {
  json_t *object = page_object(report);
  char *text = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(7)) : NULL;
  json_decref(object);
  if (!text) return sap__fail(err, SAP_ERROR_MEMORY, "no memory for the numbers of the page");
  /* These three occur inside strings only; escaped, they cannot end the script element or begin a comment. */
  for (const char *next = text; *next;) {
    const size_t plain = strcspn(next, "<>&");
    sap__text_add_bytes(page, next, plain);
    next += plain;
    if (*next) sap__text_add(page, "\\u%04x", (unsigned)*next++);
  }
  free(text);
  return SAP_OK;
}
