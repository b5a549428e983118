/* safetensors: what is written is read back, bytes are the same every time, wrong arguments are refused. */
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc_fault.h"
#include "sapwood/safetensors.h"
#include "scratch.h"
#include "unit.h"

static uint8_t pool[1 << 16]; /* bytes for tensors to point into */

/* A tensor of shape[0 … rank), its data somewhere in the pool, at an odd address now and then. */
static sap_tensor make(const char *name, sap_dtype dtype, int rank, const uint64_t *shape) {
  static size_t offset;
  sap_tensor tensor = {.name = name, .dtype = dtype, .rank = rank, .count = 1};
  for (int i = 0; i < rank; i++) tensor.count *= tensor.shape[i] = shape[i];
  tensor.bytes = tensor.count * sap_dtype_bits(dtype) / 8;
  offset = (offset + 13) % 1024;
  tensor.data = pool + offset;
  assert_true(offset + tensor.bytes <= sizeof pool);
  return tensor;
}

static void assert_same(const sap_tensor *found, const sap_tensor *expected) {
  assert_non_null(found);
  assert_string_equal(found->name, expected->name);
  assert_int_equal(found->dtype, expected->dtype);
  assert_int_equal(found->rank, expected->rank);
  for (int i = 0; i < expected->rank; i++) assert_int_equal(found->shape[i], expected->shape[i]);
  assert_int_equal(found->count, expected->count);
  assert_int_equal(found->bytes, expected->bytes);
  assert_memory_equal(found->data, expected->data, expected->bytes);
}

/* All types times shapes of every rank, empty ones among them. */
static size_t make_all(sap_tensor *tensors, char (*names)[64]) {
  static const uint64_t shapes[][SAP_TENSOR_MAX_RANK] = {{0},
                                                         {8},
                                                         {3, 4},
                                                         {2, 3, 4},
                                                         {1, 2, 3, 4},
                                                         {2, 2, 2, 2, 1},
                                                         {1, 1, 4, 1, 1, 2},
                                                         {2, 1, 2, 1, 2, 1, 3},
                                                         {1, 2, 1, 2, 1, 2, 1, 2}};
  static const uint64_t empty[][2] = {{0, 0}, {0, 7}, {7, 0}};
  size_t count = 0;
  for (int dtype = 0; dtype < SAP_DTYPE_COUNT; dtype++) {
    for (int rank = sap_dtype_bits((sap_dtype)dtype) % 8 ? 1 : 0; rank <= SAP_TENSOR_MAX_RANK; rank++, count++) {
      snprintf(names[count], 64, "rank%d.%s", rank, sap_dtype_name((sap_dtype)dtype));
      tensors[count] = make(names[count], (sap_dtype)dtype, rank, shapes[rank]);
    }
    for (int i = 0; i < 3; i++, count++) {
      snprintf(names[count], 64, "empty%d.%s", i, sap_dtype_name((sap_dtype)dtype));
      tensors[count] = make(names[count], (sap_dtype)dtype, i ? 2 : 1, empty[i]);
    }
  }
  return count;
}

static void test_round_trip(void **state) {
  (void)state;
  static sap_tensor tensors[512];
  static char names[512][64];
  size_t count = make_all(tensors, names);
  const char *path = scratch_path("all");
  sap_error err;
  assert_int_equal(sap_safetensors_write(path, tensors, count, NULL, 0, &err), SAP_OK);
  sap_safetensors *file;
  assert_int_equal(sap_safetensors_open(path, &file, &err), SAP_OK);
  assert_int_equal(sap_safetensors_count(file), count);
  for (size_t i = 0; i < count; i++) {
    assert_same(sap_safetensors_find(file, tensors[i].name), &tensors[i]);
    const sap_tensor *at = sap_safetensors_at(file, i);
    size_t element = sap_dtype_bits(at->dtype) / 8;
    if (element) assert_int_equal((uintptr_t)at->data % element, 0);
    if (!i) continue;
    const sap_tensor *previous = sap_safetensors_at(file, i - 1);
    assert_ptr_equal((const char *)previous->data + previous->bytes, at->data);
    assert_true(previous->dtype >= at->dtype);
  }
  assert_null(sap_safetensors_at(file, count));
  assert_null(sap_safetensors_find(file, "absent"));
  assert_null(sap_safetensors_find(file, ""));
  size_t pairs = 1;
  assert_null(sap_safetensors_metadata(file, "format"));
  (void)sap_safetensors_metadata_all(file, &pairs);
  assert_int_equal(pairs, 0);
  sap_safetensors_close(file);
  sap_safetensors_close(NULL);
}

/* Names and values that JSON has to escape, and characters of every length. */
static const char *const odd_texts[] = {"",
                                        "a\"b\\c/d",
                                        "line\nbreak\ttab\x01\x1f\x7f",
                                        "\xc3\xa9\xe2\x82\xac\xf0\x9f\x8c\xb3",
                                        "fc1.weight",
                                        "{\"}[,]: ",
                                        "__metadata",
                                        "\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf"};
#define ODD (sizeof odd_texts / sizeof odd_texts[0])

static void test_odd_names_and_metadata(void **state) {
  (void)state;
  sap_tensor tensors[ODD];
  sap_metadata metadata[ODD + 1];
  for (size_t i = 0; i < ODD; i++) {
    tensors[i] = make(odd_texts[i], SAP_F32, 1, (uint64_t[]){i});
    metadata[i] = (sap_metadata){odd_texts[ODD - 1 - i], odd_texts[i]};
  }
  metadata[ODD] = (sap_metadata){"__metadata__", "a key like any other"};
  const char *path = scratch_path("odd");
  sap_error err;
  assert_int_equal(sap_safetensors_write(path, tensors, ODD, metadata, ODD + 1, &err), SAP_OK);
  sap_safetensors *file;
  assert_int_equal(sap_safetensors_open(path, &file, &err), SAP_OK);
  size_t pairs;
  const sap_metadata *all = sap_safetensors_metadata_all(file, &pairs);
  assert_int_equal(pairs, ODD + 1);
  for (size_t i = 0; i < pairs; i++) { /* in the given order */
    assert_string_equal(all[i].key, metadata[i].key);
    assert_string_equal(all[i].value, metadata[i].value);
    assert_string_equal(sap_safetensors_metadata(file, metadata[i].key), metadata[i].value);
  }
  assert_null(sap_safetensors_metadata(file, "absent"));
  for (size_t i = 0; i < ODD; i++) assert_same(sap_safetensors_find(file, odd_texts[i]), &tensors[i]);
  sap_safetensors_close(file);
}

static void test_nothing_inside(void **state) {
  (void)state;
  const char *path = scratch_path("nothing");
  assert_int_equal(sap_safetensors_write(path, NULL, 0, NULL, 0, NULL), SAP_OK);
  size_t size;
  char *bytes = scratch_read(path, &size);
  assert_int_equal(size, 64);
  assert_int_equal(bytes[0], 56);
  assert_memory_equal(bytes + 8, "{}      ", 8);
  free(bytes);
  sap_safetensors *file;
  assert_int_equal(sap_safetensors_open(path, &file, NULL), SAP_OK);
  assert_int_equal(sap_safetensors_count(file), 0);
  sap_safetensors_close(file);
}

static void test_the_very_bytes(void **state) {
  (void)state;
  static const uint8_t data[] = {1, 2, 3, 4, 5, 6, 7, 8};
  sap_tensor tensors[] = {
      {.name = "b", .dtype = SAP_U8, .rank = 1, .shape = {3}, .count = 3, .bytes = 3, .data = data},
      {.name = "a", .dtype = SAP_U8, .rank = 0, .count = 1, .bytes = 1, .data = data + 7},
      {.name = "z", .dtype = SAP_I16, .rank = 2, .shape = {1, 2}, .count = 2, .bytes = 4, .data = data + 3},
  };
  static const char header[] =
      "{\"__metadata__\":{\"k\":\"v\"},\"z\":{\"dtype\":\"I16\",\"shape\":[1,2],\"data_offsets\":[0,4]},"
      "\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[4,5]},"
      "\"b\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[5,8]}}";
  const char *path = scratch_path("bytes");
  assert_int_equal(sap_safetensors_write(path, tensors, 3, &(sap_metadata){"k", "v"}, 1, NULL), SAP_OK);
  size_t size;
  char *bytes = scratch_read(path, &size);
  size_t length = (uint8_t)bytes[0] | (size_t)(uint8_t)bytes[1] << 8;
  assert_int_equal((8 + length) % 64, 0);
  assert_int_equal(size, 8 + length + 8);
  assert_memory_equal(bytes + 8, header, sizeof header - 1);
  for (size_t i = sizeof header - 1; i < length; i++) assert_int_equal(bytes[8 + i], ' ');
  static const uint8_t laid_out[] = {4, 5, 6, 7, 8, 1, 2, 3};
  assert_memory_equal(bytes + 8 + length, laid_out, 8);
  free(bytes);
}

/* The order of the arguments does not show in the file. */
static void test_same_bytes(void **state) {
  (void)state;
  static sap_tensor tensors[512], reversed[512];
  static char names[512][64];
  size_t count = make_all(tensors, names), sizes[2];
  for (size_t i = 0; i < count; i++) reversed[i] = tensors[count - 1 - i];
  const char *one = scratch_path("one"), *two = scratch_path("two");
  assert_int_equal(sap_safetensors_write(one, tensors, count, NULL, 0, NULL), SAP_OK);
  assert_int_equal(sap_safetensors_write(two, reversed, count, NULL, 0, NULL), SAP_OK);
  char *first = scratch_read(one, &sizes[0]), *second = scratch_read(two, &sizes[1]);
  assert_int_equal(sizes[0], sizes[1]);
  assert_memory_equal(first, second, sizes[0]);
  free(first);
  free(second);
}

static sap_tensor changed(int what) {
  sap_tensor t = make("t", SAP_F32, 2, (uint64_t[]){2, 3});
  switch (what) {
    case 0: t.name = NULL; break;
    case 1: t.name = "\xff"; break;
    case 2: t.name = "__metadata__"; break;
    case 3: t.dtype = SAP_DTYPE_COUNT; break;
    case 4: t.rank = -1; break;
    case 5: t.rank = SAP_TENSOR_MAX_RANK + 1; break;
    case 6: t.count = 5; break;
    case 7: t.bytes = 23; break;
    case 8: t.data = NULL; break;
    case 9: t.shape[0] = t.shape[1] = (uint64_t)1 << 32; break;
    case 10: t.shape[0] = (uint64_t)1 << 59, t.shape[1] = 1; break; /* the bits overflow, not the elements */
    case 11: t = make("t", SAP_F4, 1, (uint64_t[]){3}); break;      /* a byte and a half */
    case 12: t = make("t", SAP_F32, 2, (uint64_t[]){0, UINT64_MAX}); break;
    default: t.name = "twice"; break;
  }
  return t;
}

static void test_wrong_tensors(void **state) {
  (void)state;
  const char *path = scratch_path("wrong");
  for (int what = 0; what <= 13; what++) {
    sap_tensor tensors[] = {make("twice", SAP_U8, 1, (uint64_t[]){4}), changed(what)};
    sap_error err;
    sap_status status = sap_safetensors_write(path, tensors, 2, NULL, 0, &err);
    if (status != SAP_ERROR_ARGUMENT) fail_msg("change %d: %s", what, sap_status_name(status));
    assert_non_null(strstr(err.text, "wrong: tensor "));
    assert_int_equal(access(path, F_OK), -1);
  }
}

static void test_wrong_metadata(void **state) {
  (void)state;
  static const sap_metadata wrong[][2] = {{{"a", "b"}, {"a", "c"}},
                                          {{"a", "b"}, {NULL, "c"}},
                                          {{"a", "b"}, {"c", NULL}},
                                          {{"a", "b"}, {"\xc0\x80", "c"}},
                                          {{"a", "b"}, {"c", "\xed\xa0\x80"}}};
  const char *path = scratch_path("metadata");
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    sap_error err;
    assert_int_equal(sap_safetensors_write(path, NULL, 0, wrong[i], 2, &err), SAP_ERROR_ARGUMENT);
    assert_non_null(strstr(err.text, "metadata: metadata "));
    assert_int_equal(access(path, F_OK), -1);
  }
}

static void test_header_limit(void **state) {
  (void)state;
  size_t length = 100000000;
  char *value = malloc(length + 1);
  memset(value, 'v', length);
  value[length] = 0;
  sap_error err;
  const char *path = scratch_path("huge");
  assert_int_equal(sap_safetensors_write(path, NULL, 0, &(sap_metadata){"k", value}, 1, &err), SAP_ERROR_ARGUMENT);
  assert_non_null(strstr(err.text, "the format allows 100000000"));
  assert_int_equal(access(path, F_OK), -1);
  free(value);
}

static void test_unwritable_place(void **state) {
  (void)state;
  sap_tensor tensor = make("t", SAP_F32, 1, (uint64_t[]){4});
  sap_error err;
  assert_int_equal(sap_safetensors_write(scratch_path("none/x"), &tensor, 1, NULL, 0, &err), SAP_ERROR_IO);
  assert_non_null(strstr(err.text, "none/x: the folder to write into does not exist"));
}

static void test_unreadable_places(void **state) {
  (void)state;
  sap_safetensors *file;
  sap_error err;
  assert_int_equal(sap_safetensors_open(scratch_path("none"), &file, &err), SAP_ERROR_NOT_FOUND);
  assert_non_null(strstr(err.text, "none: no such file or directory"));
  assert_int_equal(sap_safetensors_open(scratch_folder, &file, &err), SAP_ERROR_IO);
  assert_non_null(strstr(err.text, "a folder, expected a file"));
  scratch_write(scratch_path("empty"), "", 0);
  assert_int_equal(sap_safetensors_open(scratch_path("empty"), &file, &err), SAP_ERROR_FORMAT);
  assert_non_null(strstr(err.text, "empty: 0 bytes, expected at least 8"));
}

/* Adds a tensor of one element and eight axes, so that the header holds many values in few bytes. */
static void add_single(sap_tensor *tensors, size_t i, char name[4]) {
  snprintf(name, 4, "z%02zu", (99 - i) % 100);
  tensors[i] = make(name, SAP_F32, 8, (uint64_t[]){1, 1, 1, 1, 1, 1, 1, 1});
}

/* Opens the file, which has the tensor, with each allocation failing: all are reported as missing memory. How many. */
static long count_missing_memory(const char *path, const sap_tensor *tensor) {
  for (long k = 1;; k++) {
    size_t live = fault_live();
    sap_safetensors *file = NULL;
    sap_error err = {.text = ""};
    fault_arm(k);
    sap_status status = sap_safetensors_open(path, &file, &err);
    if (!fault_disarm()) {
      assert_int_equal(status, SAP_OK);
      assert_same(sap_safetensors_find(file, tensor->name), tensor);
      sap_safetensors_close(file);
      return k - 1;
    }
    assert_null(file);
    assert_int_equal(err.code, status);
    assert_int_equal(fault_live(), live);
    if (status != SAP_ERROR_MEMORY) fail_msg("%ld: %s", k, err.text);
  }
}

/* Puts a space before the header's brace, so that it is no longer of the form that is read in one go. */
static void spread_header(const char *path) {
  size_t size;
  char *bytes = scratch_read(path, &size);
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  uint64_t length = 0;
  for (int i = 7; i >= 0; i--) length = length << 8 | (unsigned char)bytes[i];
  length++;
  for (int i = 0; i < 8; i++) fputc((int)(length >> 8 * i & 0xff), file);
  fputc(' ', file);
  fwrite(bytes + 8, 1, size - 8, file);
  assert_int_equal(fclose(file), 0);
  free(bytes);
}

/* The allocations of the writer's JSON fail too; the reader has many names to put in order. */
static void test_failing_allocations(void **state) {
  (void)state;
  json_set_alloc_funcs(malloc, free);
  sap_tensor tensors[] = {make("fc.weight", SAP_F32, 2, (uint64_t[]){2, 3}),
                          make("fc.bias", SAP_F16, 1, (uint64_t[]){2})};
  const sap_metadata metadata[] = {{"format", "pt"}, {"by", "test"}};
  const char *path = scratch_path("memory");
  scratch_write(path, "old", 3);
  long k = 1;
  for (;; k++) {
    size_t live = fault_live();
    fault_arm(k);
    sap_status status = sap_safetensors_write(path, tensors, 2, metadata, 2, NULL);
    if (!fault_disarm()) {
      assert_int_equal(status, SAP_OK);
      break;
    }
    assert_int_equal(fault_live(), live);
    if (!status) continue; /* the flush of the folder, after the rename, is only tried */
    assert_int_equal(status, SAP_ERROR_MEMORY);
    size_t size;
    char *bytes = scratch_read(path, &size);
    assert_int_equal(size, 3);
    free(bytes);
  }
  assert_true(k > 20);
  sap_tensor many[40] = {tensors[0], tensors[1]};
  char names[40][4];
  for (size_t i = 2; i < 40; i++) add_single(many, i, names[i]);
  assert_int_equal(sap_safetensors_write(path, many, 40, metadata, 2, NULL), SAP_OK);
  long failing = count_missing_memory(path, &tensors[1]);
  spread_header(path);
  failing += count_missing_memory(path, &tensors[1]);
  print_message("open: %ld failing allocations reported as missing memory\n", failing);
  assert_true(failing > 10);
  json_set_alloc_funcs(malloc, free);
}

int main(void) {
  uint32_t random = 1;
  for (size_t i = 0; i < sizeof pool; i++) pool[i] = (uint8_t)((random = random * 1664525u + 1013904223u) >> 24);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_round_trip),          cmocka_unit_test(test_odd_names_and_metadata),
      cmocka_unit_test(test_nothing_inside),      cmocka_unit_test(test_the_very_bytes),
      cmocka_unit_test(test_same_bytes),          cmocka_unit_test(test_wrong_tensors),
      cmocka_unit_test(test_wrong_metadata),      cmocka_unit_test(test_header_limit),
      cmocka_unit_test(test_unwritable_place),    cmocka_unit_test(test_unreadable_places),
      cmocka_unit_test(test_failing_allocations),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
