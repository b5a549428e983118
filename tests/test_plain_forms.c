/* Headers of safetensors files, and networks in them, have a reader for the form that programs write and one for any
 * other: whatever the one takes, the other takes for the same, and what it leaves is refused or read as ever. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "graph/graph_json.h"
#include "graph/graph_plain.h"
#include "graph/zoo/zoo.h"
#include "io/json_tree.h"
#include "io/safetensors_plain.h"
#include "sapwood/safetensors.h"
#include "unit.h"

static const char bytes_to_try[] = "\"\\{}[],: \n019-+.eEnd_\x01\x7f\xc3";

/* Calls check(text, length) with every byte of `text` left out, there twice, and replaced. */
static void try_all(const char *text, void (*check)(const char *, size_t)) {
  const size_t length = strlen(text);
  char *other = malloc(length + 2);
  assert_non_null(other);
  for (size_t i = 0; i < length; i++) {
    memcpy(other, text, i);
    memcpy(other + i, text + i + 1, length - i);
    check(other, length - 1);
    memcpy(other, text, i + 1);
    memcpy(other + i + 1, text + i, length - i + 1);
    check(other, length + 1);
    memcpy(other, text, length + 1);
    for (const char *byte = bytes_to_try; *byte; byte++) {
      other[i] = *byte;
      check(other, length);
    }
  }
  free(other);
}

/* Reads a copy of just so many bytes, so that a sanitizer sees what is read behind it, with white space before it if
 * asked: that is not the plain form. */
static size_t make_copy(const char *text, size_t length, int spaced, char **copy) {
  *copy = malloc(length + 2);
  assert_non_null(*copy);
  if (spaced) **copy = ' ';
  memcpy(*copy + spaced, text, length);
  (*copy)[length + (size_t)spaced] = 0;
  return length + (size_t)spaced;
}

/* ---- networks ---- */

static sap_status read_graph(const char *text, size_t length, int spaced, sap__graph **graph) {
  char *copy;
  sap_error err = {.text = ""};
  make_copy(text, length, spaced, &copy);
  *graph = NULL;
  const sap_status status = sap__graph_from_json(copy, "name", graph, &err);
  assert_true(!status == !err.text[0]);
  free(copy);
  return status;
}

static int taken; /* how many were of the plain form */

static void check_plain_graph(const char *text, size_t length, const sap__graph *same) {
  char *copy = malloc(length + SAP__JSON_PADDING);
  sap__graph *graph = NULL;
  int done = 0;
  assert_non_null(copy);
  assert_int_equal(sap__graph_from_plain(sap__json_copy(copy, text, length), length, &graph, &done, NULL), SAP_OK);
  free(copy);
  assert_int_equal(done, graph != NULL);
  if (!done) return;
  assert_non_null(same);
  assert_int_equal(graph->node_count, same->node_count);
  assert_int_equal(graph->param_count, same->param_count);
  assert_int_equal(graph->arena_count, same->arena_count);
  for (int i = 0; i < graph->value_count; i++) {
    const sap__value *a = &graph->values[i], *b = &same->values[i];
    assert_int_equal(a->shape.rank, b->shape.rank);
    for (int k = 0; k < a->shape.rank; k++) assert_int_equal(a->shape.dim[k], b->shape.dim[k]);
    assert_true(a->producer == b->producer && a->readers == b->readers && a->reader == b->reader);
  }
  taken++;
  sap__graph_free(graph);
}

static void check_graph(const char *text, size_t length) {
  sap__graph *one, *two;
  const sap_status status = read_graph(text, length, 0, &one);
  assert_int_equal(read_graph(text, length, 1, &two), status);
  check_plain_graph(text, length, two);
  if (status) return;
  char *written[2] = {sap__graph_to_json(one), sap__graph_to_json(two)};
  assert_non_null(written[0]);
  assert_non_null(written[1]);
  assert_string_equal(written[0], written[1]);
  free(written[0]);
  free(written[1]);
  sap__graph_free(one);
  sap__graph_free(two);
}

/* What is written is of the plain form, of all networks that are known by name. */
static void test_written_graphs(void **state) {
  (void)state;
  static const char *const names[] = {"linear", "mlp", "cnn", "resnet18", "resnet50"};
  sap_error err;
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    sap__graph *graph;
    assert_int_equal(sap__model_graph(names[i], sap__shape_3(3, 32, 32), 10, &graph, &err), SAP_OK);
    char *text = sap__graph_to_json(graph);
    taken = 0;
    check_graph(text, strlen(text));
    assert_int_equal(taken, 1);
    free(text);
    sap__graph_free(graph);
  }
}

/* Each op once, with numbers of all kinds. */
static const char all_ops[] =
    "{\"version\":1,\"model\":\"m\",\"input\":[3,8,8],\"classes\":4,\"nodes\":["
    "{\"op\":\"conv2d\",\"name\":\"c\",\"inputs\":[0],\"out_channels\":4,\"kernel\":[3,3],\"stride\":[1,1],"
    "\"pad\":[1,1,1,1],\"dilation\":[1,1],\"groups\":1,\"bias\":1},"
    "{\"op\":\"batch_norm\",\"name\":\"n\",\"inputs\":[1],\"momentum\":0.10000000000000001,\"eps\":1.0e-5},"
    "{\"op\":\"batch_norm\",\"name\":\"o\",\"inputs\":[2],\"momentum\":1,\"eps\":1.0e-5},"
    "{\"op\":\"add\",\"name\":\"a\",\"inputs\":[1,3]},{\"op\":\"relu\",\"name\":\"r\",\"inputs\":[4]},"
    "{\"op\":\"max_pool\",\"name\":\"p\",\"inputs\":[5],\"kernel\":[2,2],\"stride\":[2,2],\"pad\":[0,0,0,0],"
    "\"ceil\":0,\"count_include_pad\":0},{\"op\":\"dropout\",\"name\":\"d\",\"inputs\":[6],\"rate\":0.5},"
    "{\"op\":\"sigmoid\",\"name\":\"s\",\"inputs\":[7]},{\"op\":\"flatten\",\"name\":\"f\",\"inputs\":[8]},"
    "{\"op\":\"linear\",\"name\":\"l\",\"inputs\":[9],\"features\":4,\"bias\":1}],\"output\":10}";

static void test_graphs(void **state) {
  (void)state;
  taken = 0;
  check_graph(all_ops, strlen(all_ops));
  assert_int_equal(taken, 1);
  try_all(all_ops, check_graph);
  assert_true(taken > 100);
}

/* ---- headers ---- */

enum { DATA = 14 };

static sap_status read_header(const char *text, size_t length, int spaced, char **bytes, sap_safetensors **file) {
  char *copy;
  sap_error err = {.text = ""};
  const size_t size = make_copy(text, length, spaced, &copy);
  *bytes = calloc(8 + size + DATA, 1);
  assert_non_null(*bytes);
  (*bytes)[0] = (char)(size & 0xff);
  (*bytes)[1] = (char)(size >> 8);
  memcpy(*bytes + 8, copy, size);
  free(copy);
  *file = NULL;
  return sap_safetensors_parse(*bytes, 8 + size + DATA, "name", file, &err);
}

static void check_same_tensors(const sap_safetensors *one, const sap_safetensors *two) {
  const size_t count = sap_safetensors_count(one);
  assert_int_equal(sap_safetensors_count(two), count);
  for (size_t i = 0; i < count; i++) {
    const sap_tensor *a = sap_safetensors_at(one, i), *b = sap_safetensors_at(two, i);
    assert_string_equal(a->name, b->name);
    assert_int_equal(a->dtype, b->dtype);
    assert_int_equal(a->rank, b->rank);
    assert_memory_equal(a->shape, b->shape, sizeof a->shape);
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->bytes, b->bytes);
    if (i)
      assert_int_equal((const char *)a->data - (const char *)sap_safetensors_at(one, 0)->data,
                       (const char *)b->data - (const char *)sap_safetensors_at(two, 0)->data);
    assert_ptr_equal(sap_safetensors_find(one, b->name), a);
    assert_ptr_equal(sap_safetensors_find(two, a->name), b);
  }
}

static void check_same_metadata(const sap_safetensors *one, const sap_safetensors *two) {
  size_t counts[2];
  const sap_metadata *a = sap_safetensors_metadata_all(one, &counts[0]);
  const sap_metadata *b = sap_safetensors_metadata_all(two, &counts[1]);
  assert_int_equal(counts[0], counts[1]);
  for (size_t i = 0; i < counts[0]; i++) {
    assert_string_equal(a[i].key, b[i].key);
    assert_string_equal(a[i].value, b[i].value);
  }
}

static void count_plain(const char *text, size_t length, int right) {
  char *copy = malloc(length + SAP__JSON_PADDING), data[DATA];
  sap__plain_header header;
  assert_non_null(copy);
  const int done = sap__plain_header_read(sap__json_copy(copy, text, length), length, data, DATA, 0, &header);
  assert_true(done == 0 || done == 1);
  if (done && !right) { /* two of one name: that it does not look at */
    int twice = 0;
    for (size_t i = 0; i < header.count; i++)
      for (size_t k = 0; k < i; k++) twice |= !strcmp(header.tensors[i].name, header.tensors[k].name);
    assert_true(twice);
  }
  taken += done;
  if (done) sap__free(header.tensors);
  if (done) sap__free(header.metadata);
  free(copy);
}

static void check_header(const char *text, size_t length) {
  char *bytes[2];
  sap_safetensors *files[2];
  const sap_status status = read_header(text, length, 0, &bytes[0], &files[0]);
  assert_int_equal(read_header(text, length, 1, &bytes[1], &files[1]), status);
  count_plain(text, length, !status);
  if (!status) {
    check_same_tensors(files[0], files[1]);
    check_same_metadata(files[0], files[1]);
  }
  for (int i = 0; i < 2; i++) {
    sap_safetensors_close(files[i]);
    free(bytes[i]);
  }
}

static void test_headers(void **state) {
  (void)state;
  static const char *const headers[] = {
      "{\"__metadata__\":{\"k\":\"\",\"quotes\":\"{\\\"a\\\":[1,\\\"b\\\"]}\",\"odd\":\"\\u00e9\\n\\\\\"},"
      "\"a\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[0,8]},"
      "\"b\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[8,9]},"
      "\"c.d\":{\"dtype\":\"U8\",\"shape\":[5],\"data_offsets\":[9,14]}}  ",
      "{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[1,2,1,1,1,1,1,7],\"data_offsets\":[0,14]},\"__metadata__\":{}}",
      "{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},"
      "\"b\":{\"dtype\":\"U8\",\"shape\":[14],\"data_offsets\":[0,14]}}",
      "{\"b\":{\"dtype\":\"U8\",\"shape\":[7],\"data_offsets\":[7,14]},"
      "\"a\":{\"dtype\":\"U8\",\"shape\":[7],\"data_offsets\":[0,7]}}",
      "{\"a\":{\"dtype\":\"U8\",\"shape\":[7],\"data_offsets\":[0,7]},"
      "\"a\":{\"dtype\":\"U8\",\"shape\":[7],\"data_offsets\":[7,14]}}"};
  static const int plain[] = {1, 1, 0, 0, 1};
  for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
    taken = 0;
    check_header(headers[i], strlen(headers[i]));
    assert_int_equal(taken, plain[i]);
    try_all(headers[i], check_header);
  }
}

/* ---- texts in texts ---- */

static uint32_t next_random(void) {
  static uint32_t random = 1;
  return (random = random * 1664525u + 1013904223u) >> 8;
}

/* Appends a byte of a text as JSON has it. */
static size_t put_escaped(char *to, char byte) {
  if (byte == '\n') return (size_t)sprintf(to, "\\n");
  if (byte == '"' || byte == '\\') return (size_t)sprintf(to, "\\%c", byte);
  *to = byte;
  return 1;
}

/* Texts of all lengths, in which most of what is not plain is a quote, are read as what they were made from. */
static void test_quotes(void **state) {
  (void)state;
  enum { MOST = 400 };
  for (int turn = 0; turn < 20000; turn++) {
    char text[MOST + 4], written[2 * MOST + 8 + SAP__JSON_PADDING] = {0};
    const size_t length = next_random() % MOST, odd = next_random() % 300;
    size_t size = 0, count = 0;
    while (count < length) {
      const uint32_t kind = next_random() % 1000;
      if (kind < 300)
        text[count++] = '"';
      else if (kind < 300 + odd / 100)
        text[count++] = '\\';
      else if (kind < 302 + odd / 100 && turn % 3 == 0)
        text[count++] = '\n';
      else if (kind < 304 + odd / 100 && turn % 5 == 0)
        memcpy(text + count, "\xc3\xa9", 2), count += 2;
      else
        text[count++] = (char)(' ' + next_random() % 95);
    }
    text[count] = 0;
    for (size_t i = 0; i < count; i++) size += put_escaped(written + size, text[i]);
    strcpy(written + size, "\"x");
    char *at = written, *end = written + size + 2;
    const char *read = sap__json_take_text(&at, end);
    assert_non_null(read);
    assert_string_equal(read, text);
    assert_ptr_equal(at, end - 1);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_quotes), cmocka_unit_test(test_written_graphs),
                                     cmocka_unit_test(test_graphs), cmocka_unit_test(test_headers)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
