/* Data sets of every kind when memory is missing: each allocation fails in turn, and nothing is leaked. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "alloc_fault.h"
#include "sapwood/cpu.h"
#include "sapwood/dataset.h"
#include "scratch.h"
#include "unit.h"

/* Copies a seed input of the fuzz targets (SAP_CORPUS: their folder) to a place in the scratch folder. */
static void put(const char *from, const char *to) {
  char source[1024], folder[256];
  size_t size;
  snprintf(source, sizeof source, "%s/%s", SAP_CORPUS, from);
  for (const char *slash = strchr(to, '/'); slash; slash = strchr(slash + 1, '/')) {
    snprintf(folder, sizeof folder, "%.*s", (int)(slash - to), to);
    (void)mkdir(scratch_path(folder), 0700);
  }
  char *bytes = scratch_read(source, &size);
  assert_non_null(bytes);
  scratch_write(scratch_path(to), bytes, size);
  free(bytes);
}

static const char *spec(const char *kind, const char *place) {
  static char text[600];
  snprintf(text, sizeof text, "%s:%s", kind, scratch_path(place));
  return text;
}

/* Opens the set over and over; at least `least` allocations are made. */
static void fail_each_allocation(const char *text, long least) {
  sap_threads_set(1);
  for (long k = 1;; k++) {
    size_t live = fault_live();
    sap_dataset *set = NULL;
    sap_error err = {.text = ""};
    fault_arm(k);
    sap_status status = sap_dataset_open(text, NULL, &set, &err);
    if (!fault_disarm()) {
      if (status) fail_msg("%s", err.text);
      assert_true(k > least);
      sap_dataset_free(set);
      assert_int_equal(fault_live(), live);
      return;
    }
    if (status != SAP_ERROR_MEMORY) fail_msg("allocation %ld of %s: %s", k, text, err.text);
    assert_null(set);
    assert_int_equal(fault_live(), live);
  }
}

static void test_cifar(void **state) {
  (void)state;
  put("corpus_cifar/two", "cifar/train.bin");
  put("corpus_cifar/one", "cifar/test.bin");
  fail_each_allocation(spec("cifar100", "cifar"), 5);
}

static void test_npz(void **state) {
  (void)state;
  put("corpus_npz/bytes", "bytes.npz");
  put("corpus_npz/deflated", "deflated.npz");
  fail_each_allocation(spec("npz", "bytes.npz"), 10);
  fail_each_allocation(spec("npz", "deflated.npz"), 10);
}

static void test_folder(void **state) {
  (void)state;
#if SAP_PICTURES
  put("corpus_picture/rgb.png", "folder/train/a/1.png");
  put("corpus_picture/grey16.png", "folder/train/b/1.png");
  put("corpus_picture/inks.jpg", "folder/train/b/2.jpg");
  put("corpus_picture/interlaced.png", "folder/test/a/1.png");
  fail_each_allocation(spec("folder", "folder"), 50);
#else
  print_message("skipped: this build has no JPEG or no PNG\n");
  skip();
#endif
}

static void test_tiny_imagenet(void **state) {
  (void)state;
#if SAP_PICTURES
  static const char names[] = "b\na\n", lines[] = "1.JPEG\ta\t0\n2.JPEG\tb\t0\n";
  put("corpus_picture/colour.jpg", "tiny/train/a/images/1.JPEG");
  put("corpus_picture/rgb.png", "tiny/train/b/images/1.JPEG");
  put("corpus_picture/progressive.jpg", "tiny/val/images/1.JPEG");
  put("corpus_picture/palette.png", "tiny/val/images/2.JPEG");
  scratch_write(scratch_path("tiny/wnids.txt"), names, strlen(names));
  scratch_write(scratch_path("tiny/val/val_annotations.txt"), lines, strlen(lines));
  fail_each_allocation(spec("tiny-imagenet", "tiny"), 50);
#else
  print_message("skipped: this build has no JPEG or no PNG\n");
  skip();
#endif
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_cifar),
      cmocka_unit_test(test_npz),
      cmocka_unit_test(test_folder),
      cmocka_unit_test(test_tiny_imagenet),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
