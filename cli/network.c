#include "network.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "sapwood/compute.h"
#include "sapwood/experiment.h"
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

/* ---- how it is computed ---- */

static const char *precision_at(size_t i) {
  static const char *const names[] = {"fp32", "bf16"};
  return i < 2 ? names[i] : NULL;
}

static json_t *computed_json(const sap_compute_node *node) {
  static const char *const keys[SAP_COMPUTE_PASSES] = {"forward", "backward_data", "backward_weights"};
  json_t *object = json_object();
  json_object_set_new(object, "name", json_string(node->name));
  json_object_set_new(object, "op", json_string(node->op));
  json_object_set_new(object, "runs", json_boolean(!*node->runs));
  json_object_set_new(object, "layout", json_string(node->layout));
  json_object_set_new(object, "element", json_string(node->element));
  json_object_set_new(object, "reorders", json_boolean(node->reorders));
  json_object_set_new(object, "bytes", json_integer((json_int_t)node->bytes));
  for (int pass = 0; pass < SAP_COMPUTE_PASSES; pass++)
    if (*node->ways[pass]) json_object_set_new(object, keys[pass], json_string(node->ways[pass]));
  return object;
}

static void print_computed_json(const char *model, int batch, const sap_compute *compute) {
  const sap_compute_sum sum = sap_compute_sums(compute);
  json_t *document = json_object(), *nodes = json_array();
  for (size_t i = 0; i < sap_compute_count(compute); i++)
    json_array_append_new(nodes, computed_json(sap_compute_at(compute, i)));
  json_object_set_new(document, "model", json_string(model));
  json_object_set_new(document, "batch", json_integer(batch));
  json_object_set_new(document, "slices", json_integer(sum.slices));
  json_object_set_new(document, "reorders", json_integer(sum.reorders));
  json_object_set_new(document, "bytes", json_integer((json_int_t)sum.bytes));
  json_object_set_new(document, "unshared_bytes", json_integer((json_int_t)sum.unshared_bytes));
  json_object_set_new(document, "scratch_bytes", json_integer((json_int_t)sum.scratch_bytes));
  json_object_set_new(document, "nodes", nodes);
  output_json(document);
  json_decref(document);
}

static void print_computed(int batch, const sap_compute *compute) {
  const sap_compute_sum sum = sap_compute_sums(compute);
  char bytes[32], unshared[32], scratch[32];
  int width = 4;
  for (size_t i = 0; i < sap_compute_count(compute); i++) {
    int length = (int)strlen(sap_compute_at(compute, i)->name);
    if (length > width && length <= NAME_WIDTH_MAX) width = length;
  }
  printf("%-*s  %-15s  %-13s  %-4s %13s  implementations: forward, dx, dw\n", width, "node", "op", "layout", "",
         "bytes");
  for (size_t i = 0; i < sap_compute_count(compute); i++) {
    const sap_compute_node *node = sap_compute_at(compute, i);
    printf("%-*s  %-15s  %-13s  %-4s %13s", width, node->name, node->op, node->layout, node->element,
           node->bytes ? group_digits(node->bytes, bytes) : "-");
    if (*node->runs || node->reorders) printf("  %s", node->reorders ? "reorder" : node->runs);
    for (int pass = 0; pass < SAP_COMPUTE_PASSES; pass++)
      if (*node->ways[pass]) printf("%s%s", pass ? ", " : "  ", node->ways[pass]);
    putchar('\n');
  }
  printf("\nbatch %d in %d slices; %d reorders\n", batch, sum.slices, sum.reorders);
  printf("activations and gradients: %s bytes (%s without sharing); working memory: %s bytes\n",
         group_digits(sum.bytes, bytes), group_digits(sum.unshared_bytes, unshared),
         group_digits(sum.scratch_bytes, scratch));
}

/* Prints how a training step of the model is computed. */
static int show_plan(const command *self, const arguments *parsed, const int shape[3], int classes) {
  const char *model = option_value(parsed, "model"), *precision = option_value(parsed, "precision");
  int batch = 250;
  int code = option_int(self->name, parsed, "batch", 1, 65536, &batch);
  if (code == EXIT_DONE) code = option_known(self->name, parsed, "precision", precision_at);
  if (code != EXIT_DONE) return code;
  const int half = precision && strcmp(precision, "bf16") == 0;
  sap_compute *compute;
  sap_error err;
  if (sap_compute_new(model, shape[0], shape[1], shape[2], classes, batch, NULL,
                      half ? SAP_PRECISION_BF16 : SAP_PRECISION_FP32, &compute, &err))
    return failure(self->name, "%s", err.text);
  if (option_given(parsed, "json"))
    print_computed_json(model, batch, compute);
  else
    print_computed(batch, compute);
  sap_compute_free(compute);
  return EXIT_DONE;
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
  if (option_given(parsed, "plan")) return show_plan(self, parsed, shape, classes);
  if (option_given(parsed, "batch") || option_given(parsed, "precision"))
    return usage_error(self->name, "--batch and --precision go with --plan");
  if (sap_network_new(model, shape[0], shape[1], shape[2], classes, &network, &err))
    return failure(self->name, "%s", err.text);
  if (option_given(parsed, "json"))
    print_json(model, network);
  else
    print_text(network);
  sap_network_free(network);
  return EXIT_DONE;
}
