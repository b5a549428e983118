#include "results.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- records as JSON ---- */

static json_t *layer_from_record(const sap_layer_record *layer) {
  json_t *object = json_object();
  json_object_set_new(object, "name", json_string(layer->name));
  json_object_set_new(object, "total", json_integer((json_int_t)layer->total));
  json_object_set_new(object, "kept", json_integer((json_int_t)layer->kept));
  json_object_set_new(object, "pqi", json_number(layer->pqi));
  json_object_set_new(object, "gini", json_number(layer->gini));
  if (layer->guarded) json_object_set_new(object, "guarded", json_true());
  if (layer->degenerate) json_object_set_new(object, "degenerate", json_true());
  return object;
}

json_t *results_from_record(const sap_iteration_record *record) {
  json_t *object = json_object(), *pruned = json_object(), *layers = json_array(), *guarded = json_array();
  json_object_set_new(object, "event", json_string("iteration"));
  json_object_set_new(object, "iteration", json_integer(record->iteration));
  json_object_set_new(object, "total", json_integer((json_int_t)record->total));
  json_object_set_new(object, "kept", json_integer((json_int_t)record->kept));
  json_object_set_new(object, "density", json_number(record->density));
  json_object_set_new(object, "test_loss", json_number(record->test_loss));
  json_object_set_new(object, "test_accuracy", json_number(record->test_accuracy));
  json_object_set_new(object, "pqi", json_number(record->pqi));
  json_object_set_new(object, "scope_pqi", json_number(record->scope_pqi));
  json_object_set_new(object, "gini", json_number(record->gini));
  json_object_set_new(object, "retain", json_number(record->retain));
  json_object_set_new(object, "prune_ratio", json_number(record->prune_ratio));
  json_object_set_new(object, "pruned", json_integer((json_int_t)record->pruned));
  json_object_set_new(pruned, "test_accuracy", json_number(record->pruned_test_accuracy));
  json_object_set_new(pruned, "pqi", json_number(record->pruned_pqi));
  json_object_set_new(object, "pruned_model", pruned);
  for (size_t i = 0; i < record->layer_count; i++) {
    if (record->layers[i].guarded) json_array_append_new(guarded, json_string(record->layers[i].name));
    json_array_append_new(layers, layer_from_record(&record->layers[i]));
  }
  if (record->stopped) json_object_set_new(object, "stopped", json_true());
  json_object_set_new(object, "guarded", guarded);
  json_object_set_new(object, "layers", layers);
  return object;
}

void results_read(const char *run, json_t *iterations) {
  char path[SAP_TEXT_SIZE + 32];
  snprintf(path, sizeof path, "%s/metrics.jsonl", run);
  FILE *file = fopen(path, "r");
  if (!file) return;
  json_t *line;
  while ((line = json_loadf(file, JSON_DISABLE_EOF_CHECK, NULL)) != NULL) {
    const char *event = json_string_value(json_object_get(line, "event"));
    if (event && strcmp(event, "iteration") == 0) json_array_append(iterations, line);
    json_decref(line);
  }
  fclose(file);
}

/* ---- tables ---- */

double results_number(const json_t *object, const char *key) {
  const json_t *value = json_object_get(object, key);
  return json_is_number(value) ? json_number_value(value) : NAN;
}

static json_int_t integer(const json_t *object, const char *key) {
  return json_integer_value(json_object_get(object, key));
}

const char *results_percent(double fraction, int decimals, char *buffer) {
  if (isfinite(fraction))
    snprintf(buffer, 16, "%.*f %%", decimals, 100 * fraction);
  else
    snprintf(buffer, 16, "-");
  return buffer;
}

static const char *real(double value, char *buffer) {
  if (isfinite(value))
    snprintf(buffer, 16, "%.4f", value);
  else
    snprintf(buffer, 16, "-");
  return buffer;
}

void results_print_head(const terminal *t) {
  printf("%s%9s  %8s  %8s  %6s  %6s  %7s  %10s  %12s%s\n", style_begin(t, STYLE_STRONG), "iteration", "density",
         "accuracy", "PQI", "Gini", "retain", "pruned", "pruned model", style_end(t, STYLE_STRONG));
}

void results_print_row(const json_t *iteration) {
  char texts[7][32];
  const double kept = results_number(iteration, "kept"),
               after = results_number(json_object_get(iteration, "pruned_model"), "test_accuracy");
  printf("%9d  %8s  %8s  %6s  %6s  %7s  %10s  %12s\n", (int)integer(iteration, "iteration"),
         results_percent(results_number(iteration, "density"), 2, texts[0]),
         results_percent(results_number(iteration, "test_accuracy"), 2, texts[1]),
         real(results_number(iteration, "pqi"), texts[2]), real(results_number(iteration, "gini"), texts[3]),
         results_percent(kept > 0 ? results_number(iteration, "retain") / kept : NAN, 1, texts[4]),
         group_digits((unsigned long long)integer(iteration, "pruned"), texts[5]), results_percent(after, 2, texts[6]));
}

/* What is remarkable about a layer, in a word. */
static const char *layer_mark(const json_t *layer) {
  if (json_is_true(json_object_get(layer, "guarded"))) return "guarded";
  if (json_is_true(json_object_get(layer, "degenerate"))) return "degenerate";
  return "";
}

static void print_layer(const json_t *layer, const char *name, int width) {
  char texts[5][32];
  const double total = results_number(layer, "total"), kept = results_number(layer, "kept");
  const char *mark = layer_mark(layer);
  printf("%-*s  %11s  %11s  %8s  %6s  %6s%s%s\n", width, name,
         group_digits((unsigned long long)integer(layer, "total"), texts[0]),
         group_digits((unsigned long long)integer(layer, "kept"), texts[1]),
         results_percent(total > 0 ? kept / total : NAN, 2, texts[2]), real(results_number(layer, "pqi"), texts[3]),
         real(results_number(layer, "gini"), texts[4]), *mark ? "  " : "", mark);
}

void results_print_layers(const terminal *t, const json_t *iteration) {
  const json_t *layers = json_object_get(iteration, "layers"), *layer;
  int width = (int)strlen("layer"); /* the name column's */
  size_t i;
  json_array_foreach(layers, i, layer) {
    const int length = (int)json_string_length(json_object_get(layer, "name"));
    if (length > width) width = length;
  }
  printf("%s%-*s  %11s  %11s  %8s  %6s  %6s%s\n", style_begin(t, STYLE_STRONG), width, "layer", "weights", "kept",
         "density", "PQI", "Gini", style_end(t, STYLE_STRONG));
  json_array_foreach(layers, i, layer) print_layer(layer, json_string_value(json_object_get(layer, "name")), width);
  print_layer(iteration, "all", width);
}

/* ---- the trade-off ---- */

const json_t *results_best(const json_t *iterations) {
  const double dense_accuracy = results_number(json_array_get(iterations, 0), "test_accuracy");
  const json_t *best = NULL, *iteration;
  size_t i;
  json_array_foreach(iterations, i, iteration) {
    if (results_number(iteration, "test_accuracy") < dense_accuracy - RESULTS_TOLERANCE / 100) continue;
    if (results_number(iteration, "density") >= 1) continue;
    if (!best || results_number(iteration, "density") <= results_number(best, "density")) best = iteration;
  }
  return best;
}

void results_print_best(const terminal *t, const json_t *iterations) {
  const json_t *dense = json_array_get(iterations, 0),
               *last = json_array_get(iterations, json_array_size(iterations) - 1);
  if (!dense) return;
  char texts[3][32];
  const double accuracy = results_number(dense, "test_accuracy");
  results_percent(accuracy, 1, texts[0]);
  const json_t *best = results_best(iterations);
  if (results_number(last, "density") >= 1) {
    printf("nothing was pruned: %s accuracy with all weights\n", texts[0]);
  } else if (best) {
    printf("%sbest trade-off: iteration %d keeps %s of the weights at %s accuracy (dense %s)%s\n",
           style_begin(t, STYLE_GOOD), (int)integer(best, "iteration"),
           results_percent(results_number(best, "density"), 1, texts[1]),
           results_percent(results_number(best, "test_accuracy"), 1, texts[2]), texts[0], style_end(t, STYLE_GOOD));
  } else {
    printf("%sno pruned iteration is within %.1f points of the dense model's %s accuracy%s\n",
           style_begin(t, STYLE_WARNING), RESULTS_TOLERANCE, texts[0], style_end(t, STYLE_WARNING));
  }
}
