#include "train/record.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* json_object_set_new and its kind take over the value, free it on failure and accept NULL as failure; so
 * a failed allocation anywhere below makes `ok` 0. */
typedef struct builder {
  json_t *object;
  int ok;
} builder;

static void put(builder *b, const char *key, json_t *value) { b->ok &= !json_object_set_new(b->object, key, value); }

static void put_real(builder *b, const char *key, double value) {
  put(b, key, isfinite(value) ? json_real(value) : json_null());
}

static void put_count(builder *b, const char *key, uint64_t value) { put(b, key, json_integer((json_int_t)value)); }

static builder begin(void) {
  builder b = {json_object(), 0};
  b.ok = b.object != NULL;
  return b;
}

static char *finish(builder *b) {
  char *text = b->ok ? json_dumps(b->object, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
  json_decref(b->object);
  if (!text) return NULL;
  size_t length = strlen(text);
  char *line = realloc(text, length + 2);
  if (!line) {
    free(text);
    return NULL;
  }
  memcpy(line + length, "\n", 2);
  return line;
}

char *sap__epoch_line(const sap_epoch_record *r) {
  builder b = begin();
  put(&b, "event", json_string("epoch"));
  put_count(&b, "iteration", (uint64_t)r->iteration);
  put_count(&b, "epoch", (uint64_t)r->epoch);
  put_real(&b, "lr", r->lr);
  put_real(&b, "train_loss", r->train_loss);
  put_real(&b, "train_accuracy", r->train_accuracy);
  put_real(&b, "test_loss", r->test_loss);
  put_real(&b, "test_accuracy", r->test_accuracy);
  if (!isnan(r->validation_accuracy)) {
    put_real(&b, "validation_loss", r->validation_loss);
    put_real(&b, "validation_accuracy", r->validation_accuracy);
  }
  put_real(&b, "seconds", r->seconds);
  put_real(&b, "images_per_second", r->images_per_second);
  return finish(&b);
}

static json_t *layer_object(const sap_layer_record *layer) {
  builder b = begin();
  put(&b, "name", json_string(layer->name));
  put_count(&b, "total", layer->total);
  put_count(&b, "kept", layer->kept);
  put_real(&b, "pqi", layer->pqi);
  put_real(&b, "gini", layer->gini);
  if (layer->guarded) put(&b, "guarded", json_true());
  if (layer->degenerate) put(&b, "degenerate", json_true());
  if (b.ok) return b.object;
  json_decref(b.object);
  return NULL;
}

char *sap__iteration_line(const sap_iteration_record *r) {
  builder b = begin();
  put(&b, "event", json_string("iteration"));
  put_count(&b, "iteration", (uint64_t)r->iteration);
  put_count(&b, "total", r->total);
  put_count(&b, "kept", r->kept);
  put_real(&b, "density", r->density);
  put_real(&b, "test_loss", r->test_loss);
  put_real(&b, "test_accuracy", r->test_accuracy);
  put_real(&b, "pqi", r->pqi);
  put_real(&b, "scope_pqi", r->scope_pqi);
  put_real(&b, "gini", r->gini);
  put_real(&b, "retain", r->retain);
  put_real(&b, "prune_ratio", r->prune_ratio);
  put_count(&b, "pruned", r->pruned);
  builder pruned = begin();
  put_real(&pruned, "test_accuracy", r->pruned_test_accuracy);
  put_real(&pruned, "pqi", r->pruned_pqi);
  b.ok &= pruned.ok;
  put(&b, "pruned_model", pruned.object);
  /* Names of the layers that a decision would have emptied. */
  json_t *guarded = json_array(), *layers = json_array();
  for (size_t i = 0; i < r->layer_count; i++) {
    if (r->layers[i].guarded) b.ok &= !json_array_append_new(guarded, json_string(r->layers[i].name));
    b.ok &= !json_array_append_new(layers, layer_object(&r->layers[i]));
  }
  if (r->stopped) put(&b, "stopped", json_true());
  put(&b, "guarded", guarded);
  put(&b, "layers", layers);
  return finish(&b);
}
