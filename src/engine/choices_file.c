/* Choices in a file: {"machine": "…", "choices": {"KEY": "CHOICE", …}}. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "engine/choices.h"
#include "io/atomic.h"
#include "io/file.h"
#include "io/json.h"

enum { LARGEST_FILE = 1 << 22 };

sap_status sap__choices_parse(sap__choices *choices, const char *name, const char *text, size_t size,
                              const char *machine, sap_error *err) {
  json_t *document, *value;
  sap_status status = sap__json_object(&document, text, size, name, "plan", err);
  if (status) return status;
  const char *made_on = json_string_value(json_object_get(document, "machine")), *key;
  json_t *object = json_object_get(document, "choices");
  if (!made_on || !json_is_object(object))
    status = sap__fail(err, SAP_ERROR_FORMAT, "%s: expected \"machine\", a text, and \"choices\", an object", name);
  else if (!strcmp(made_on, machine))
    json_object_foreach(object, key, value) if (!status && json_is_string(value)) status =
        sap__choices_add(choices, key, json_string_value(value), err);
  json_decref(document);
  return status;
}

sap_status sap__choices_read(sap__choices *choices, const char *path, const char *machine, sap_error *err) {
  char *text;
  size_t size;
  sap_status status = sap__file_read(path, LARGEST_FILE, &text, &size, err);
  if (status) return status;
  status = sap__choices_parse(choices, sap__path_tail(path), text, size, machine, err);
  sap__free(text);
  return status;
}

sap_status sap__choices_write(const sap__choices *choices, const char *path, const char *machine, sap_error *err) {
  json_t *document = json_object(), *object = json_object();
  const char *key, *choice;
  for (size_t i = 0; sap__choices_at(choices, i, &key, &choice); i++)
    json_object_set_new(object, key, json_string(choice));
  json_object_set_new(document, "machine", json_string(machine));
  json_object_set_new(document, "choices", object);
  char *text = json_dumps(document, JSON_INDENT(1));
  json_decref(document);
  if (!text) return sap__fail(err, SAP_ERROR_MEMORY, "no memory for the choices of a plan");
  sap_status status = sap__file_write(path, text, strlen(text), err);
  free(text);
  return status;
}
