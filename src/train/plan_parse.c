/* The JSON of a plan: comments, blocks and their combinations, names. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "train/plan.h"
#include "train/settings.h"

/* ---- comments ---- */

typedef struct cursor {
  char *text;
  size_t size, at;
  int line;
} cursor;

/* Past the character, which becomes a space unless it ends a line. */
static void blank(cursor *c) {
  if (c->text[c->at] == '\n')
    c->line++;
  else
    c->text[c->at] = ' ';
  c->at++;
}

static int begins(const cursor *c, char first, char second) {
  return c->at + 1 < c->size && c->text[c->at] == first && c->text[c->at + 1] == second;
}

static void skip_string(cursor *c) {
  for (c->at++; c->at < c->size && c->text[c->at] != '"' && c->text[c->at] != '\n'; c->at++)
    if (c->text[c->at] == '\\' && c->at + 1 < c->size) c->at++;
  if (c->at < c->size && c->text[c->at] == '"') c->at++;
}

int sap__plan_blank_comments(char *text, size_t size) {
  cursor c = {text, size, 0, 1};
  while (c.at < size) {
    if (text[c.at] == '"') {
      skip_string(&c);
    } else if (begins(&c, '/', '/')) {
      while (c.at < size && text[c.at] != '\n') blank(&c);
    } else if (begins(&c, '/', '*')) {
      const int line = c.line;
      blank(&c), blank(&c);
      while (c.at < size && !begins(&c, '*', '/')) blank(&c);
      if (c.at == size) return line;
      blank(&c), blank(&c);
    } else {
      c.line += text[c.at++] == '\n';
    }
  }
  return 0;
}

/* ---- one block ---- */

/* A setting and the values that a block gives it. */
typedef struct axis {
  const sap_setting *setting;
  const json_t *values; /* a list, or the only value */
  size_t count;
  int named; /* a part of the run's name */
} axis;

enum { AXES_MAX = 64 };

typedef struct block {
  size_t count;
  axis axes[AXES_MAX]; /* the first changes slowest */
} block;

static const json_t *value_at(const axis *a, size_t i) {
  return json_is_array(a->values) ? json_array_get(a->values, i) : a->values;
}

static int is_value(const json_t *value) { return json_is_string(value) || json_is_number(value); }

/* A value as the command line would have it. */
static void value_text(const json_t *value, char *text, size_t size) {
  if (json_is_string(value))
    snprintf(text, size, "%s", json_string_value(value));
  else if (json_is_integer(value))
    snprintf(text, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
  else
    snprintf(text, size, "%.17g", json_real_value(value));
}

static sap_status add_axis(block *b, const char *key, const json_t *values, int named, sap_error *err) {
  const sap_setting *setting = sap__setting_find(key);
  if (!setting) return sap__fail(err, SAP_ERROR_FORMAT, "%.60s: unknown setting; see sapwood train --help", key);
  const size_t count = json_is_array(values) ? json_array_size(values) : 1;
  axis a = {setting, values, count, named || json_is_array(values)};
  if (!count) return sap__fail(err, SAP_ERROR_FORMAT, "%s: an empty list, expected values", key);
  for (size_t i = 0; i < count; i++)
    if (!is_value(value_at(&a, i)))
      return sap__fail(err, SAP_ERROR_FORMAT, "%s: expected a number, a string or a list of these", key);
  if (b->count == AXES_MAX) return sap__fail(err, SAP_ERROR_FORMAT, "more than %d settings", AXES_MAX);
  b->axes[b->count++] = a;
  return SAP_OK;
}

static sap_status make_block(const json_t *common, const json_t *own, block *b, sap_error *err) {
  const char *key;
  json_t *values;
  sap_status status = SAP_OK;
  b->count = 0;
  json_object_foreach((json_t *)common, key, values) {
    if (json_object_get(own, key)) continue;
    status = add_axis(b, key, values, 0, err);
    if (status) return status;
  }
  json_object_foreach((json_t *)own, key, values) {
    status = add_axis(b, key, values, 1, err);
    if (status) return status;
  }
  return SAP_OK;
}

/* ---- names ---- */

static int is_named(const block *b, const sap_setting *setting) {
  for (size_t i = 0; i < b->count; i++)
    if (b->axes[i].setting == setting) return b->axes[i].named;
  return 0;
}

/* Appends text as far as there is room; what could not stand in a folder's name becomes '_'. */
static void append_text(char *name, const char *text) {
  static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-";
  size_t used = strlen(name);
  for (; *text && used < SAP_PLAN_NAME_SIZE - 1; text++) name[used++] = strchr(allowed, *text) ? *text : '_';
  name[used] = 0;
}

/* Appends "-KEYTEXT", without the dash to an empty name. */
static void append(char *name, const char *key, const char *text) {
  if (*name) append_text(name, "-");
  append_text(name, key);
  append_text(name, text);
}

static void make_name(const block *b, const sap_experiment *experiment, char *name) {
  /* These begin every name, or stand in it bare: their values speak for themselves. */
  static const char *const first[] = {"model", "method", "scope", "data"};
  enum { FIRST = sizeof first / sizeof *first, ALWAYS = 2 };
  char text[SAP_TEXT_SIZE];
  *name = 0;
  for (size_t i = 0; i < FIRST; i++) {
    const sap_setting *setting = sap__setting_find(first[i]);
    if (i >= ALWAYS && !is_named(b, setting)) continue;
    sap_experiment_get(experiment, setting, text, sizeof text);
    append(name, "", text);
  }
  size_t count;
  const sap_setting *settings = sap_experiment_settings(&count);
  for (size_t i = 0; i < count; i++) {
    int placed = 0;
    for (size_t f = 0; f < FIRST; f++) placed |= !strcmp(settings[i].name, first[f]);
    if (placed || !is_named(b, &settings[i])) continue;
    sap_experiment_get(experiment, &settings[i], text, sizeof text);
    append(name, settings[i].name, text);
  }
}

/* ---- combinations ---- */

static sap_status add_combination(sap__planner *planner, const block *b, size_t number, sap_error *err) {
  sap_experiment experiment = sap_experiment_default();
  for (size_t i = b->count; i-- > 0;) {
    char text[SAP_TEXT_SIZE];
    value_text(value_at(&b->axes[i], number % b->axes[i].count), text, sizeof text);
    number /= b->axes[i].count;
    const sap_status status = sap_experiment_set(&experiment, b->axes[i].setting, text, err);
    if (status) return status;
  }
  size_t count;
  const sap_setting *settings = sap_experiment_settings(&count);
  for (size_t i = 0; i < count; i++) {
    char text[SAP_TEXT_SIZE];
    sap_experiment_get(&experiment, &settings[i], text, sizeof text);
    if (settings[i].required && !*text) return sap__fail(err, SAP_ERROR_FORMAT, "no %s", settings[i].name);
  }
  sap_status status = sap_experiment_check(&experiment, err);
  if (status) return status;
  char name[SAP_PLAN_NAME_SIZE];
  make_name(b, &experiment, name);
  if (strlen(name) == SAP_PLAN_NAME_SIZE - 1)
    return sap__fail(err, SAP_ERROR_FORMAT, "%.60s…: a name of more than %d bytes", name, SAP_PLAN_NAME_SIZE - 2);
  return sap__plan_add(planner, name, &experiment, err);
}

static sap_status add_block(sap__planner *planner, const json_t *common, const json_t *own, sap_error *err) {
  block b;
  if (!json_is_object(own)) return sap__fail(err, SAP_ERROR_FORMAT, "expected an object of settings");
  sap_status status = make_block(common, own, &b, err);
  if (status) return status;
  size_t combinations = 1;
  for (size_t i = 0; i < b.count; i++) {
    combinations *= b.axes[i].count;
    if (combinations > SAP_PLAN_RUNS_MAX)
      return sap__fail(err, SAP_ERROR_FORMAT, "more than %d runs", SAP_PLAN_RUNS_MAX);
  }
  for (size_t i = 0; i < combinations && !status; i++) status = add_combination(planner, &b, i, err);
  return status;
}

static sap_status add_document(sap__planner *planner, const char *file, const json_t *document, sap_error *err) {
  const char *key;
  json_t *value;
  if (!json_is_object(document)) return sap__fail(err, SAP_ERROR_FORMAT, "%s: expected an object", file);
  json_object_foreach((json_t *)document, key, value) {
    if (strcmp(key, "common") && strcmp(key, "runs"))
      return sap__fail(err, SAP_ERROR_FORMAT, "%s: unknown key %.60s, expected common and runs", file, key);
  }
  const json_t *common = json_object_get(document, "common"), *runs = json_object_get(document, "runs");
  if (common && !json_is_object(common))
    return sap__fail(err, SAP_ERROR_FORMAT, "%s: common: expected an object of settings", file);
  if (!json_array_size(runs))
    return sap__fail(err, SAP_ERROR_FORMAT, "%s: runs: expected a list of at least one object", file);
  for (size_t i = 0; i < json_array_size(runs); i++) {
    sap_error inner = {0};
    const sap_status status = add_block(planner, common, json_array_get(runs, i), &inner);
    if (status == SAP_ERROR_MEMORY) return sap__fail(err, status, "%s", inner.text);
    if (status) return sap__fail(err, SAP_ERROR_FORMAT, "%s: runs[%zu]: %s", file, i, inner.text);
  }
  return SAP_OK;
}

sap_status sap__plan_parse(sap__planner *planner, const char *file, char *text, size_t size, sap_error *err) {
  const int open = sap__plan_blank_comments(text, size);
  if (open) return sap__fail(err, SAP_ERROR_FORMAT, "%s: line %d: a comment that nothing ends", file, open);
  json_error_t where;
  json_t *document = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
  if (!document) return sap__fail(err, SAP_ERROR_FORMAT, "%s: line %d: %.80s", file, where.line, where.text);
  const sap_status status = add_document(planner, file, document, err);
  json_decref(document);
  return status;
}
