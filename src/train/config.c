#include "train/config.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/error.h"
#include "base/memory.h"
#include "engine/engine.h"
#include "io/atomic.h"
#include "io/file.h"
#include "sapwood/cpu.h"
#include "sapwood/version.h"
#include "train/settings.h"

/* A real config.json has under 2 KiB; more is not ours. */
enum { CONFIG_LIMIT = 1 << 20 };

/* Numbers as JSON numbers, the rest as strings; a 64-bit seed may exceed what JSON readers keep: a string. */
static json_t *setting_value(const sap_experiment *experiment, const sap_setting *setting) {
  const void *field = (const char *)experiment + setting->offset;
  if (setting->type == SAP_SETTING_INT) return json_integer(*(const int *)field);
  if (setting->type == SAP_SETTING_REAL) return json_real(*(const double *)field);
  char text[SAP_TEXT_SIZE];
  sap_experiment_get(experiment, setting, text, sizeof text);
  return json_string(text);
}

/* The fewest digits that bring back every real setting: 15 unless somebody asked for a third. */
static size_t real_digits(const sap_experiment *experiment) {
  size_t count, digits = 15;
  const sap_setting *settings = sap_experiment_settings(&count);
  for (size_t i = 0; i < count; i++) {
    if (settings[i].type != SAP_SETTING_REAL) continue;
    double value = *(const double *)((const char *)experiment + settings[i].offset);
    char text[32];
    snprintf(text, sizeof text, "%.15g", value);
    if (strtod(text, NULL) != value) digits = 17;
  }
  return digits;
}

static json_t *config_object(const sap_experiment *experiment) {
  size_t count;
  const sap_setting *settings = sap_experiment_settings(&count);
  json_t *values = json_object();
  int failed = 0;
  for (size_t i = 0; i < count; i++)
    failed |= json_object_set_new(values, settings[i].name, setting_value(experiment, &settings[i]));
  struct utsname machine;
  if (uname(&machine) < 0) memset(&machine, 0, sizeof machine);
  json_t *object =
      json_pack("{s:s, s:o, s:{s:s, s:s, s:s, s:s, s:i}}", "sapwood", sap_version(), "settings", values, "machine",
                "system", machine.sysname, "processor", machine.machine, "instructions", sap_cpu_name(sap_cpu_active()),
                "engine", sap__engine_find(experiment->engine)->name, "threads", sap_threads_get());
  if (!failed && object) return object;
  json_decref(object);
  return NULL;
}

sap_status sap__config_write(const char *path, const sap_experiment *experiment, sap_error *err) {
  json_t *object = config_object(experiment);
  char *text = object ? json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(real_digits(experiment))) : NULL;
  json_decref(object);
  if (!text) return sap__fail(err, SAP_ERROR_MEMORY, "%.120s: no memory to write it", path);
  size_t length = strlen(text);
  text[length] = '\n'; /* in place of the NUL: the length is written, not the string */
  sap_status status = sap__file_write(path, text, length + 1, err);
  free(text);
  return status;
}

static sap_status read_setting(const char *path, const sap_setting *setting, const json_t *value,
                               sap_experiment *experiment, sap_error *err) {
  void *field = (char *)experiment + setting->offset;
  if (setting->type == SAP_SETTING_REAL && json_is_number(value))
    return *(double *)field = json_number_value(value), SAP_OK;
  if (setting->type == SAP_SETTING_INT && json_is_integer(value)) {
    json_int_t number = json_integer_value(value);
    if (number >= INT32_MIN && number <= INT32_MAX) return *(int *)field = (int)number, SAP_OK;
  }
  if (json_is_string(value)) {
    sap_status status = sap_experiment_set(experiment, setting, json_string_value(value), err);
    return status ? sap__fail_prefix(err, SAP_ERROR_FORMAT, sap__path_tail(path)) : SAP_OK;
  }
  return sap__fail(err, SAP_ERROR_FORMAT, "%s: settings.%s: expected %s", sap__path_tail(path), setting->name,
                   setting->range);
}

sap_status sap__config_read(const char *path, sap_experiment *experiment, sap_error *err) {
  char *text;
  size_t size;
  sap_status status = sap__file_read(path, CONFIG_LIMIT, &text, &size, err);
  if (status) return status;
  json_error_t where;
  json_t *object = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
  sap__free(text);
  if (!object)
    return sap__fail(err, SAP_ERROR_FORMAT, "%s: line %d: %.80s", sap__path_tail(path), where.line, where.text);
  json_t *values = json_object_get(object, "settings");
  if (!json_is_object(values)) status = sap__fail(err, SAP_ERROR_FORMAT, "%s: no settings", sap__path_tail(path));
  sap_experiment read = sap_experiment_default();
  size_t count;
  const sap_setting *settings = sap_experiment_settings(&count);
  for (size_t i = 0; i < count && !status; i++) {
    json_t *value = json_object_get(values, settings[i].name);
    if (value || settings[i].required) status = read_setting(path, &settings[i], value, &read, err);
  }
  json_decref(object);
  if (!status) *experiment = read;
  return status;
}

sap_status sap__config_compare(const char *path, const sap_experiment *in_run, const sap_experiment *asked,
                               sap_error *err) {
  char found[SAP_TEXT_SIZE], expected[SAP_TEXT_SIZE];
  const sap_setting *differs = sap__setting_difference(in_run, asked, found, expected);
  if (!differs) return SAP_OK;
  return sap__fail(err, SAP_ERROR_MISMATCH, "%s: this run has %s %.40s, not %.40s", sap__path_tail(path), differs->name,
                   found, expected);
}
