#include "follow.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void follow_start(follow *f, const char *run) {
  *f = (follow){.accuracy = NAN};
  snprintf(f->path, sizeof f->path, "%s/metrics.jsonl", run);
}

static void take_line(follow *f, const char *line, size_t size) {
  json_t *object = json_loadb(line, size, 0, NULL);
  const json_t *accuracy = json_object_get(object, "test_accuracy"), *epoch = json_object_get(object, "epoch");
  if (json_is_number(accuracy)) f->accuracy = json_number_value(accuracy);
  if (json_is_integer(epoch)) {
    f->epoch = (int)json_integer_value(epoch);
    f->iteration = (int)json_integer_value(json_object_get(object, "iteration"));
  }
  json_decref(object);
}

void follow_update(follow *f) {
  FILE *file = fopen(f->path, "r");
  if (!file) return;
  if (fseek(file, 0, SEEK_END) == 0 && ftell(file) < f->at) f->at = f->epoch = 0;
  char *line = NULL;
  size_t room = 0;
  ssize_t size = 0;
  if (fseek(file, f->at, SEEK_SET) == 0) size = getline(&line, &room, file);
  for (; size > 0 && line[size - 1] == '\n'; size = getline(&line, &room, file)) {
    take_line(f, line, (size_t)size);
    f->at += size;
  }
  free(line);
  fclose(file);
}
