#include "network.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sapwood/model.h"
#include "sapwood/network.h"
#include "terminal.h"

enum { CLASSES_MAX = 256, SIDE_MAX = 65536, NAME_WIDTH_MAX = 64 };

/* "3x32x32" into shape; 0 if it is something else. */
static int read_shape(const char *text, int shape[3]) {
  int end = 0;
  if (sscanf(text, "%5dx%5dx%5d%n", &shape[0], &shape[1], &shape[2], &end) != 3 || text[end]) return 0;
  for (int i = 0; i < 3; i++)
    if (shape[i] < 1 || shape[i] > SIDE_MAX) return 0;
  return 1;
}

static json_t *shape_array(const sap_network_node *node) {
  json_t *shape = json_array();
  for (int i = 0; i < node->rank; i++) json_array_append_new(shape, json_integer(node->shape[i]));
  return shape;
}

static json_t *node_json(const sap_network_node *node) {
  json_t *object = json_object(), *inputs = json_array();
  for (int i = 0; i < node->input_count; i++) json_array_append_new(inputs, json_string(node->inputs[i]));
  json_object_set_new(object, "name", json_string(node->name));
  json_object_set_new(object, "op", json_string(node->op));
  json_object_set_new(object, "inputs", inputs);
  json_object_set_new(object, "shape", shape_array(node));
  json_object_set_new(object, "parameters", json_integer((json_int_t)node->parameters));
  json_object_set_new(object, "prunable", json_integer((json_int_t)node->prunable));
  json_object_set_new(object, "multiplies", json_integer((json_int_t)node->multiplies));
  return object;
}

/* What all nodes hold together. */
static sap_network_node sum_of(const sap_network *network) {
  sap_network_node sum = {.name = "all"};
  for (size_t i = 0; i < sap_network_count(network); i++) {
    const sap_network_node *node = sap_network_at(network, i);
    sum.parameters += node->parameters;
    sum.prunable += node->prunable;
    sum.multiplies += node->multiplies;
  }
  return sum;
}

static void print_json(const char *model, const sap_network *network) {
  json_t *document = json_object(), *nodes = json_array();
  for (size_t i = 0; i < sap_network_count(network); i++)
    json_array_append_new(nodes, node_json(sap_network_at(network, i)));
  sap_network_node sum = sum_of(network);
  json_object_set_new(document, "model", json_string(model));
  json_object_set_new(document, "parameters", json_integer((json_int_t)sum.parameters));
  json_object_set_new(document, "prunable", json_integer((json_int_t)sum.prunable));
  json_object_set_new(document, "multiplies", json_integer((json_int_t)sum.multiplies));
  json_object_set_new(document, "nodes", nodes);
  output_json(document);
  json_decref(document);
}

static void print_row(int width, const sap_network_node *node, const char *output) {
  char parameters[32], multiplies[32];
  printf("%-*s  %-15s  %-14s %13s %15s", width, node->name, node->op ? node->op : "", output,
         node->parameters ? group_digits(node->parameters, parameters) : "-",
         node->multiplies ? group_digits(node->multiplies, multiplies) : "-");
}

static void print_text(const sap_network *network) {
  int width = 4;
  for (size_t i = 0; i < sap_network_count(network); i++) {
    int length = (int)strlen(sap_network_at(network, i)->name);
    if (length > width && length <= NAME_WIDTH_MAX) width = length;
  }
  printf("%-*s  %-15s  %-14s %13s %15s\n", width, "node", "op", "output", "parameters", "multiplies");
  for (size_t i = 0; i < sap_network_count(network); i++) {
    const sap_network_node *node = sap_network_at(network, i);
    char output[96] = "";
    for (int k = 0, used = 0; k < node->rank && used < (int)sizeof output - 24; k++)
      used += snprintf(output + used, sizeof output - (size_t)used, "%s%" PRId64, k ? "x" : "", node->shape[k]);
    print_row(width, node, output);
    if (node->input_count > 1) printf("  %s + %s", node->inputs[0], node->inputs[1]);
    putchar('\n');
  }
  sap_network_node sum = sum_of(network);
  print_row(width, &sum, "");
  putchar('\n');
}

int network_show(const command *self, const arguments *parsed) {
  const char *model = option_value(parsed, "model"), *input = option_value(parsed, "input");
  int shape[3] = {3, 32, 32}, classes = 10;
  const int given = input || option_given(parsed, "classes");
  int code = option_model(self->name, parsed);
  if (code == EXIT_DONE) code = option_int(self->name, parsed, "classes", 1, CLASSES_MAX, &classes);
  if (code != EXIT_DONE) return code;
  if (input && !read_shape(input, shape))
    return usage_error(self->name, "--input %.40s: expected channels x height x width, each 1 to %d: 3x32x32", input,
                       SIDE_MAX);
  sap_network *network;
  sap_error err;
  if (sap_model_is_file(model) && !given) shape[0] = shape[1] = shape[2] = classes = 0;
  if (sap_network_new(model, shape[0], shape[1], shape[2], classes, &network, &err))
    return failure(self->name, "%s", err.text);
  if (option_given(parsed, "json"))
    print_json(model, network);
  else
    print_text(network);
  sap_network_free(network);
  return EXIT_DONE;
}
