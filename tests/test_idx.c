/* Data sets of IDX files: read whole and right, and refused in words when a file is broken. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "alloc_fault.h"
#include "sapwood/dataset.h"
#include "scratch.h"
#include "unit.h"

#define PIXELS 784
#define TRAIN 3
#define TEST 2
#define IMAGES_SIZE (16 + TRAIN * PIXELS)
#define LABELS_SIZE (8 + TRAIN)

/* ---- a small, valid set, in the group's folder ---- */

enum { TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS, FILES };
static const char *const file_names[FILES] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                                              "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"};
static uint8_t content[FILES][IMAGES_SIZE];
static size_t content_size[FILES];

static uint8_t pixel(int half, unsigned i) { return (uint8_t)(half * 100 + i * 7 + i / 784); }

static void fill_content(void) {
  for (int file = 0; file < FILES; file++) {
    int half = file / 2, images = file % 2 == 0;
    unsigned count = half ? TEST : TRAIN;
    const uint8_t header[16] = {0, 0, 8, images ? 3 : 1, 0, 0, 0, (uint8_t)count, 0, 0, 0, 28, 0, 0, 0, 28};
    size_t header_size = images ? 16 : 8, elements = images ? count * PIXELS : count;
    memcpy(content[file], header, header_size);
    for (unsigned i = 0; i < elements; i++)
      content[file][header_size + i] = images ? pixel(half, i) : (uint8_t)(9 - i - (unsigned)half);
    content_size[file] = header_size + elements;
  }
}

static const char *file_path(int file, const char *suffix) {
  char name[64];
  snprintf(name, sizeof name, "%s%s", file_names[file], suffix);
  return scratch_path(name);
}

static void write_gzip(const char *path, const void *bytes, size_t size) {
  gzFile stream = gzopen(path, "wb9");
  assert_int_equal(gzwrite(stream, bytes, (unsigned)size), size);
  assert_int_equal(gzclose(stream), Z_OK);
}

/* Puts one file into the folder, in one of its two forms. */
static void place(int file, const void *bytes, size_t size, int gzip) {
  (void)unlink(file_path(file, ""));
  (void)unlink(file_path(file, ".gz"));
  if (gzip)
    write_gzip(file_path(file, ".gz"), bytes, size);
  else
    scratch_write(file_path(file, ""), bytes, size);
}

static int place_all(void **state) {
  (void)state;
  fill_content();
  for (int file = 0; file < FILES; file++) place(file, content[file], content_size[file], 0);
  return 0;
}

static const char *spec(void) {
  static char text[128];
  snprintf(text, sizeof text, "mnist:%s", scratch_folder);
  return text;
}

static void assert_small_set(const sap_dataset *set) {
  assert_string_equal(set->name, "mnist");
  assert_int_equal(set->channels, 1);
  assert_int_equal(set->height, 28);
  assert_int_equal(set->width, 28);
  assert_int_equal(set->classes, 10);
  assert_true(fabsf(set->mean[0] - 0.1307f) < 1e-6f && fabsf(set->stddev[0] - 0.3081f) < 1e-6f);
  const sap_split *splits[2] = {&set->train, &set->test};
  for (int half = 0; half < 2; half++) {
    assert_int_equal(splits[half]->count, half ? TEST : TRAIN);
    assert_memory_equal(splits[half]->pixels, content[2 * half] + 16, splits[half]->count * PIXELS);
    assert_memory_equal(splits[half]->labels, content[2 * half + 1] + 8, splits[half]->count);
  }
}

/* ---- what is accepted ---- */

static void test_plain_and_gzip(void **state) {
  (void)state;
  for (int forms = 0; forms < 1 << FILES; forms++) {
    for (int file = 0; file < FILES; file++) place(file, content[file], content_size[file], forms >> file & 1);
    sap_dataset *set;
    sap_error err;
    if (sap_dataset_open(spec(), NULL, &set, &err)) fail_msg("%s", err.text);
    assert_small_set(set);
    sap_dataset_free(set);
  }
  sap_dataset_free(NULL);
}

/* gzip lets a file be several streams in a row, as `cat a.gz b.gz` makes. */
static void test_gzip_in_two_streams(void **state) {
  (void)state;
  unlink(file_path(TRAIN_IMAGES, ""));
  const char *path = file_path(TRAIN_IMAGES, ".gz");
  write_gzip(path, content[TRAIN_IMAGES], 1000);
  gzFile stream = gzopen(path, "ab9");
  gzwrite(stream, content[TRAIN_IMAGES] + 1000, IMAGES_SIZE - 1000);
  gzclose(stream);
  sap_dataset *set;
  assert_int_equal(sap_dataset_open(spec(), NULL, &set, NULL), SAP_OK);
  assert_small_set(set);
  sap_dataset_free(set);
}

static void test_table(void **state) {
  (void)state;
  size_t count = 0;
  while (sap_dataset_name_at(count)) assert_true(strlen(sap_dataset_text_at(count++)) > 10);
  assert_true(count >= 5);
  assert_string_equal(sap_dataset_name_at(0), "fashion-mnist");
  assert_null(sap_dataset_text_at(count));
}

static void test_specs(void **state) {
  (void)state;
  static const struct {
    const char *spec;
    sap_status status;
    const char *text;
  } cases[] = {
      {"cifar", SAP_ERROR_ARGUMENT, "no data set is called \"cifar\", expected one of: fashion-mnist, mnist"},
      {"", SAP_ERROR_ARGUMENT, "no data set is called \"\""},
      {"mnist2:/tmp", SAP_ERROR_ARGUMENT, "no data set is called \"mnist2\""},
      {"mnis", SAP_ERROR_ARGUMENT, "no data set is called \"mnis\""},
      {":/tmp", SAP_ERROR_ARGUMENT, "no data set is called \"\""},
      {"mnist:", SAP_ERROR_ARGUMENT, "mnist: no path after the colon"},
      {"mnist:/nowhere/at/all", SAP_ERROR_NOT_FOUND,
       "/nowhere/at/all: no such folder; expected one with train-images-idx3-ubyte.gz"},
      {"mnist:/dev/null", SAP_ERROR_NOT_FOUND, "/dev/null: not a folder; expected one with train-images-idx3-ubyte.gz"},
      {"mnist", SAP_ERROR_NOT_FOUND,
       "train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, "
       "t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    sap_dataset *set = NULL;
    sap_error err;
    assert_int_equal(sap_dataset_open(cases[i].spec, NULL, &set, &err), cases[i].status);
    if (!strstr(err.text, cases[i].text)) fail_msg("%s: %s", cases[i].spec, err.text);
    assert_null(set);
  }
}

/* ---- what is refused ---- */

static void assert_refused(const char *what, sap_status expected, const char *file, const char *text) {
  sap_dataset *set = NULL;
  sap_error err = {.text = ""};
  sap_status status = sap_dataset_open(spec(), NULL, &set, &err);
  if (status != expected || err.code != expected || !strstr(err.text, file) || !strstr(err.text, text))
    fail_msg("%s: %s, text: %s", what, sap_status_name(status), err.text);
  assert_null(set);
}

/* One byte of a valid file replaced, then the file cut or lengthened to `size` (0: as it was). */
static const struct broken {
  const char *what;
  int file;
  size_t at;
  uint8_t value;
  size_t size;
  const char *text;
} broken[] = {
    {"magic number", TRAIN_IMAGES, 0, 1, 0, "magic number 0x01000803, expected 0x00000803 (images)"},
    {"floats", TRAIN_IMAGES, 2, 0x0d, 0, "magic number 0x00000d03, expected 0x00000803 (images)"},
    {"rank", TRAIN_LABELS, 3, 2, 0, "magic number 0x00000802, expected 0x00000801 (labels)"},
    {"images as labels", TEST_LABELS, 3, 3, 0, "magic number 0x00000803 (images), expected 0x00000801 (labels)"},
    {"labels as images", TEST_IMAGES, 3, 1, 0, "magic number 0x00000801 (labels), expected 0x00000803 (images)"},
    {"height", TRAIN_IMAGES, 11, 32, 0, "pictures of 32 x 28, expected 28 x 28"},
    {"width", TRAIN_IMAGES, 12, 1, 0, "pictures of 28 x 16777244, expected 28 x 28"},
    {"no pictures", TRAIN_IMAGES, 7, 0, 0, "it holds 0 elements, expected at least 1"},
    {"no labels", TEST_LABELS, 7, 0, 0, "it holds 0 elements, expected at least 1"},
    {"one picture fewer", TRAIN_IMAGES, 7, 2, 0, "more bytes follow the 1568 that its header announces"},
    {"one label fewer", TRAIN_LABELS, 7, 2, 0, "more bytes follow the 2 that its header announces"},
    {"trailing byte", TRAIN_IMAGES, 0, 0, IMAGES_SIZE + 1, "more bytes follow the 2352"},
    {"label 10", TRAIN_LABELS, 9, 10, 0, "label 1 is 10, expected at most 9"},
    {"label 255", TEST_LABELS, 9, 255, 0, "label 1 is 255, expected at most 9"},
    {"empty", TRAIN_IMAGES, 0, 0, SIZE_MAX, "0 bytes, expected at least 16"},
    {"empty labels", TEST_LABELS, 0, 0, SIZE_MAX, "0 bytes, expected at least 8"},
    {"header only", TRAIN_LABELS, 0, 0, 8, ": "},
};

static void test_broken_files(void **state) {
  (void)state;
  for (int gzip = 0; gzip < 2; gzip++)
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
      const struct broken *b = &broken[i];
      uint8_t bytes[IMAGES_SIZE + 16] = {0};
      memcpy(bytes, content[b->file], content_size[b->file]);
      bytes[b->at] = b->value;
      size_t size = b->size == SIZE_MAX ? 0 : b->size ? b->size : content_size[b->file];
      place(b->file, bytes, size, gzip);
      assert_refused(b->what, SAP_ERROR_FORMAT, file_names[b->file], b->text);
      place(b->file, content[b->file], content_size[b->file], 0);
    }
}

static void test_counts_differ(void **state) {
  (void)state;
  uint8_t bytes[LABELS_SIZE + 1];
  memcpy(bytes, content[TRAIN_LABELS], LABELS_SIZE);
  bytes[7] = TRAIN + 1;
  bytes[LABELS_SIZE] = 0;
  place(TRAIN_LABELS, bytes, sizeof bytes, 1);
  assert_refused("one label more", SAP_ERROR_FORMAT, file_names[TRAIN_LABELS], "4 labels, expected 3 as there are pic");
  bytes[7] = TRAIN - 1;
  place(TRAIN_LABELS, bytes, LABELS_SIZE - 1, 1);
  assert_refused("one label fewer", SAP_ERROR_FORMAT, file_names[TRAIN_LABELS], "2 labels, expected 3");
}

static void test_files_swapped(void **state) {
  (void)state;
  place(TRAIN_IMAGES, content[TRAIN_LABELS], content_size[TRAIN_LABELS], 0);
  place(TRAIN_LABELS, content[TRAIN_IMAGES], content_size[TRAIN_IMAGES], 0);
  assert_refused("swapped", SAP_ERROR_FORMAT, file_names[TRAIN_IMAGES],
                 "magic number 0x00000801 (labels), expected 0x00000803 (images)");
}

static void test_missing_files(void **state) {
  (void)state;
  for (int file = 0; file < FILES; file++) {
    unlink(file_path(file, ""));
    assert_refused("missing", SAP_ERROR_NOT_FOUND, file_names[file], ": not there, neither plain nor as .gz");
    assert_int_equal(mkdir(file_path(file, ".gz"), 0700), 0);
    assert_refused("a folder", SAP_ERROR_IO, file_names[file], "a folder, expected a file");
    rmdir(file_path(file, ".gz"));
    place(file, content[file], content_size[file], 0);
  }
}

/* Headers that announce more than the file can hold are refused before memory is taken for it. */
static void test_announces_too_much(void **state) {
  (void)state;
  uint8_t bytes[IMAGES_SIZE];
  memcpy(bytes, content[TRAIN_IMAGES], sizeof bytes);
  static const uint8_t counts[][4] = {{0xff, 0xff, 0xff, 0xff}, {0, 0x14, 0, 0}, {0, 0, 0xff, 0xff}};
  for (int gzip = 0; gzip < 2; gzip++)
    for (size_t i = 0; i < 3; i++) {
      memcpy(bytes + 4, counts[i], 4);
      place(TRAIN_IMAGES, bytes, sizeof bytes, gzip);
      assert_refused("counts", SAP_ERROR_FORMAT, file_names[TRAIN_IMAGES], "the file holds at most");
    }
  static const uint8_t labels[] = {0, 0, 8, 1, 0xff, 0xff, 0xff, 0xff, 1, 2, 3};
  place(TRAIN_IMAGES, content[TRAIN_IMAGES], IMAGES_SIZE, 0);
  place(TRAIN_LABELS, labels, sizeof labels, 0);
  assert_refused("labels", SAP_ERROR_FORMAT, file_names[TRAIN_LABELS],
                 "announces 4294967295 bytes of elements, the file holds at most 11");
}

static void test_cut_anywhere(void **state) {
  (void)state;
  for (size_t cut = 0; cut < IMAGES_SIZE; cut += cut < 40 || cut > IMAGES_SIZE - 20 ? 1 : 13) {
    place(TRAIN_IMAGES, content[TRAIN_IMAGES], cut, 0);
    assert_refused("plain", SAP_ERROR_FORMAT, file_names[TRAIN_IMAGES], "");
  }
  write_gzip(scratch_path("whole.gz"), content[TRAIN_IMAGES], IMAGES_SIZE);
  size_t size;
  char *whole = scratch_read(scratch_path("whole.gz"), &size);
  unlink(file_path(TRAIN_IMAGES, ""));
  for (size_t cut = 0; cut < size; cut++) {
    scratch_write(file_path(TRAIN_IMAGES, ".gz"), whole, cut);
    assert_refused("gzip", SAP_ERROR_FORMAT, file_names[TRAIN_IMAGES],
                   cut < 2 ? "" : "the gzip stream is cut off after");
  }
  free(whole);
}

/* Every bit of the compressed file flipped: refused, or a flip that changes nothing (the header's time). */
static void test_flipped_bits(void **state) {
  (void)state;
  write_gzip(scratch_path("whole.gz"), content[TRAIN_IMAGES], IMAGES_SIZE);
  size_t size, refused = 0;
  char *whole = scratch_read(scratch_path("whole.gz"), &size);
  unlink(file_path(TRAIN_IMAGES, ""));
  for (size_t bit = 0; bit < 8 * size; bit++) {
    whole[bit / 8] ^= (char)(1 << bit % 8);
    scratch_write(file_path(TRAIN_IMAGES, ".gz"), whole, size);
    whole[bit / 8] ^= (char)(1 << bit % 8);
    sap_dataset *set;
    sap_error err;
    sap_status status = sap_dataset_open(spec(), NULL, &set, &err);
    if (status == SAP_OK) {
      assert_small_set(set);
      sap_dataset_free(set);
      continue;
    }
    refused++;
    assert_int_equal(status, SAP_ERROR_FORMAT);
    assert_non_null(strstr(err.text, file_names[TRAIN_IMAGES]));
  }
  free(whole);
  assert_true(refused > 8 * (size - 10)); /* all but the ten bytes of the gzip header, and some of those */
}

static void test_garbage(void **state) {
  (void)state;
  uint8_t garbage[500];
  uint32_t random = 7;
  for (size_t i = 0; i < sizeof garbage; i++) garbage[i] = (uint8_t)((random = random * 1664525u + 1013904223u) >> 24);
  unlink(file_path(TRAIN_IMAGES, ""));
  scratch_write(file_path(TRAIN_IMAGES, ".gz"), garbage, sizeof garbage);
  assert_refused("garbage", SAP_ERROR_FORMAT, file_names[TRAIN_IMAGES], "magic number 0x");
  memcpy(garbage, "\x1f\x8b\x08\0\0\0\0\0\0\0", 10);
  scratch_write(file_path(TRAIN_IMAGES, ".gz"), garbage, sizeof garbage);
  assert_refused("garbage in gzip", SAP_ERROR_FORMAT, file_names[TRAIN_IMAGES], "damaged gzip stream: ");
}

static void test_failing_allocations(void **state) {
  (void)state;
  long k = 1;
  for (;; k++) {
    size_t live = fault_live();
    sap_dataset *set = NULL;
    sap_error err;
    fault_arm(k);
    sap_status status = sap_dataset_open(spec(), NULL, &set, &err);
    if (!fault_disarm()) {
      assert_int_equal(status, SAP_OK);
      sap_dataset_free(set);
      assert_int_equal(fault_live(), live);
      break;
    }
    assert_int_equal(status, SAP_ERROR_MEMORY);
    assert_int_equal(err.code, SAP_ERROR_MEMORY);
    assert_int_equal(fault_live(), live);
  }
  assert_true(k > 8);
}

/* The real set: its published sizes, ten balanced classes, and the constants that normalise it. */
static void test_fashion_mnist(void **state) {
  (void)state;
  sap_dataset *set;
  sap_error err;
  sap_status status = sap_dataset_open("fashion-mnist", NULL, &set, &err);
  if (status == SAP_ERROR_NOT_FOUND) {
    assert_non_null(strstr(err.text, "install the package dataset-fashion-mnist"));
    print_message("skipped: %s\n", err.text);
    skip();
  }
  assert_int_equal(status, SAP_OK);
  assert_int_equal(set->train.count, 60000);
  assert_int_equal(set->test.count, 10000);
  size_t classes[10] = {0}, pixels = (size_t)60000 * PIXELS;
  for (size_t i = 0; i < 60000; i++) classes[set->train.labels[i]]++;
  for (int i = 0; i < 10; i++) assert_int_equal(classes[i], 6000);
  uint64_t sum = 0, squares = 0;
  for (size_t i = 0; i < pixels; i++) {
    sum += set->train.pixels[i];
    squares += (uint64_t)set->train.pixels[i] * set->train.pixels[i];
  }
  double mean = (double)sum / (double)pixels / 255, second = (double)squares / (double)pixels / 255 / 255;
  assert_true(fabs(mean - (double)set->mean[0]) < 5e-4);
  assert_true(fabs(sqrt(second - mean * mean) - (double)set->stddev[0]) < 5e-4);
  sap_dataset_free(set);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(test_plain_and_gzip, place_all),
      cmocka_unit_test_setup(test_gzip_in_two_streams, place_all),
      cmocka_unit_test(test_table),
      cmocka_unit_test(test_specs),
      cmocka_unit_test_setup(test_broken_files, place_all),
      cmocka_unit_test_setup(test_counts_differ, place_all),
      cmocka_unit_test_setup(test_files_swapped, place_all),
      cmocka_unit_test_setup(test_missing_files, place_all),
      cmocka_unit_test_setup(test_announces_too_much, place_all),
      cmocka_unit_test_setup(test_cut_anywhere, place_all),
      cmocka_unit_test_setup(test_flipped_bits, place_all),
      cmocka_unit_test_setup(test_garbage, place_all),
      cmocka_unit_test_setup(test_failing_allocations, place_all),
      cmocka_unit_test(test_fashion_mnist),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
