/* sapwood info: what this build and machine can do. */
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "network.h"
#include "sapwood/cpu.h"
#include "sapwood/dataset.h"
#include "sapwood/model.h"
#include "sapwood/prune.h"
#include "sapwood/version.h"
#include "terminal.h"

static const char *method_name_at(size_t i) { return i < SAP_METHOD_COUNT ? sap_method_name((sap_method)i) : NULL; }
static const char *scope_name_at(size_t i) { return i < SAP_SCOPE_COUNT ? sap_scope_name((sap_scope)i) : NULL; }

static json_t *names_json(const char *(*name_at)(size_t i)) {
  json_t *names = json_array();
  for (size_t i = 0; name_at(i); i++) json_array_append_new(names, json_string(name_at(i)));
  return names;
}

static json_t *features_json(void) {
  json_t *list = json_array();
  size_t count;
  const sap_feature *features = sap_features(&count);
  for (size_t i = 0; i < count; i++) {
    json_t *feature = json_object();
    json_object_set_new(feature, "name", json_string(features[i].name));
    json_object_set_new(feature, "enabled", json_boolean(features[i].enabled));
    json_object_set_new(feature, "detail", json_string(features[i].detail));
    json_array_append_new(list, feature);
  }
  return list;
}

static json_t *models_json(void) {
  json_t *list = json_array();
  for (size_t i = 0; sap_model_name_at(i); i++) {
    json_t *model = json_object();
    json_object_set_new(model, "name", json_string(sap_model_name_at(i)));
    json_object_set_new(model, "text", json_string(sap_model_text_at(i)));
    json_array_append_new(list, model);
  }
  return list;
}

/* A number that is known, or null. */
static json_t *known(unsigned number) { return number ? json_integer(number) : json_null(); }

/* Looks for a data set by its bare name: what is found in the usual places, or what is missing. */
static json_t *dataset_json(size_t i) {
  json_t *object = json_object();
  sap_dataset_summary data;
  sap_error err;
  const sap_status status = sap_dataset_describe(sap_dataset_name_at(i), &data, &err);
  json_object_set_new(object, "name", json_string(sap_dataset_name_at(i)));
  json_object_set_new(object, "text", json_string(sap_dataset_text_at(i)));
  json_object_set_new(object, "found", json_boolean(status == SAP_OK));
  if (status == SAP_OK) {
    json_object_set_new(object, "train", known(data.train));
    json_object_set_new(object, "test", known(data.test));
    json_object_set_new(object, "classes", known((unsigned)data.classes));
    json_t *shape = json_array();
    json_array_append_new(shape, json_integer(data.channels));
    json_array_append_new(shape, json_integer(data.height));
    json_array_append_new(shape, json_integer(data.width));
    json_object_set_new(object, "shape", shape);
  } else {
    json_object_set_new(object, "missing", json_string(err.text));
  }
  return object;
}

static json_t *info_json(void) {
  json_t *document = json_object(), *data = json_array();
  for (size_t i = 0; sap_dataset_name_at(i); i++) json_array_append_new(data, dataset_json(i));
  json_object_set_new(document, "version", json_string(sap_version()));
  json_object_set_new(document, "features", features_json());
  json_object_set_new(document, "cpu", json_string(sap_cpu_name(sap_cpu_active())));
  json_object_set_new(document, "threads", json_integer(sap_threads_get()));
  json_object_set_new(document, "engines", names_json(sap_engine_name_at));
  json_object_set_new(document, "models", models_json());
  json_object_set_new(document, "data", data);
  json_object_set_new(document, "methods", names_json(method_name_at));
  json_object_set_new(document, "scopes", names_json(scope_name_at));
  return document;
}

/* ---- as text, from the document ---- */

static const char *field(const json_t *object, const char *key) {
  return json_string_value(json_object_get(object, key));
}

static int whole(const json_t *value) { return (int)json_integer_value(value); }

static void print_names(const char *title, const json_t *names) {
  size_t i;
  const json_t *name;
  printf("%-16s", title);
  json_array_foreach(names, i, name) printf("%s%s", i ? ", " : "", json_string_value(name));
  putchar('\n');
}

static void print_dataset(const json_t *data) {
  printf("  %-14s", field(data, "name"));
  if (!json_is_true(json_object_get(data, "found"))) {
    const char *text = field(data, "missing"), *name = field(data, "name");
    const size_t length = strlen(name);
    if (!strncmp(text, name, length) && !strncmp(text + length, ": ", 2)) text += length + 2; /* it stands there */
    printf("missing: %s\n", text);
    return;
  }
  char count[32];
  const json_t *shape = json_object_get(data, "shape");
  if (json_is_integer(json_object_get(data, "train"))) {
    printf("%s training", group_digits((unsigned)whole(json_object_get(data, "train")), count));
    printf(" and %s test pictures, ", group_digits((unsigned)whole(json_object_get(data, "test")), count));
  }
  printf("%dx%dx%d, %d classes\n", whole(json_array_get(shape, 0)), whole(json_array_get(shape, 1)),
         whole(json_array_get(shape, 2)), whole(json_object_get(data, "classes")));
}

static void print_text(const json_t *document) {
  size_t i;
  const json_t *item;
  printf("sapwood %s\n\n", field(document, "version"));
  printf("%-16s%s\n", "instructions", field(document, "cpu"));
  printf("%-16s%d\n", "threads", whole(json_object_get(document, "threads")));
  print_names("engines", json_object_get(document, "engines"));
  print_names("methods", json_object_get(document, "methods"));
  print_names("scopes", json_object_get(document, "scopes"));
  printf("\nBuild\n");
  json_array_foreach(json_object_get(document, "features"), i, item)
      printf("  %-14s%s%s%s\n", field(item, "name"), json_is_true(json_object_get(item, "enabled")) ? "yes" : "no",
             *field(item, "detail") ? ", " : "", field(item, "detail"));
  printf("\nModels\n");
  json_array_foreach(json_object_get(document, "models"), i, item)
      printf("  %-14s%s\n", field(item, "name"), field(item, "text"));
  printf("\nData sets\n");
  json_array_foreach(json_object_get(document, "data"), i, item) print_dataset(item);
}

static int info(const command *self, const arguments *parsed) {
  if (option_given(parsed, "model")) return network_show(self, parsed);
  if (option_given(parsed, "input") || option_given(parsed, "classes"))
    return usage_error(self->name, "--input and --classes go with --model");
  if (option_given(parsed, "plan") || option_given(parsed, "batch") || option_given(parsed, "precision"))
    return usage_error(self->name, "--plan, --batch and --precision go with --model");
  json_t *document = info_json();
  if (option_given(parsed, "json"))
    output_json(document);
  else
    print_text(document);
  json_decref(document);
  return EXIT_DONE;
}

static const option options[] = {
    NETWORK_OPTIONS,
    {0, "json", NULL, NULL, "print one JSON document"},
    {0, NULL, NULL, NULL, NULL},
};

static const example examples[] = {
    {"sapwood info", "see the build, the processor and the data sets found"},
    {"sapwood info --model resnet18 --input 1x28x28", "see the nodes, shapes and parameters of a network"},
    {NULL, NULL},
};

const command command_info = {
    .name = "info",
    .summary = "what this build and machine can do",
    .synopsis = "[--model NAME [--input CxHxW] [--classes N] [--plan [--batch N] [--precision HOW]]] [--json]",
    .text =
        "Shows the version, the parts of this build, the processor's instruction set in use, the number of "
        "threads, the engines, methods, scopes and models, and which data sets are on this machine. With --model, "
        "the nodes of that network in running order: the shape of what each makes of one picture, its parameters, "
        "and the multiplications by weights that a picture takes. With --plan, how a training step of it is computed "
        "on "
        "this machine: layouts, the implementation of each convolution, copies between layouts, and bytes.",
    .options = options,
    .examples = examples,
    .run = info,
};
