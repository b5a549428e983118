/* Packed tensors through the library: masks go in and come out, other threads see the same, memory that is missing at
 * any moment leaves nothing behind. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "alloc_fault.h"
#include "sapwood/checkpoint.h"
#include "sapwood/cpu.h"
#include "sapwood/mask.h"
#include "scratch.h"
#include "unit.h"

enum { LARGE = 200003, SMALL = 700, NARROW = 5000 };
static float large[LARGE], small[SMALL];
static uint8_t narrow[NARROW];

static uint32_t next_random(void) {
  static uint32_t state = 1;
  return (state = state * 1664525u + 1013904223u) >> 8;
}

/* A dense file of three tensors, a tenth of the first and of the last nonzero. */
static const char *write_dense(const char *name) {
  for (int i = 0; i < LARGE; i++) large[i] = next_random() % 10 ? 0 : (float)i + 1;
  for (int i = 0; i < SMALL; i++) small[i] = (float)i + 1;
  for (int i = 0; i < NARROW; i++) narrow[i] = next_random() % 10 ? 0 : 7;
  const sap_tensor tensors[] = {sap_tensor_vector("large", SAP_F32, large, LARGE),
                                sap_tensor_vector("small", SAP_F32, small, SMALL),
                                sap_tensor_vector("narrow", SAP_I8, narrow, NARROW)};
  const char *path = scratch_path(name);
  assert_int_equal(sap_safetensors_write(path, tensors, 3, &(sap_metadata){"by", "test"}, 1, NULL), SAP_OK);
  return path;
}

static sap_checkpoint *open_file(const char *path) {
  sap_checkpoint *checkpoint = NULL;
  sap_error err;
  if (sap_checkpoint_open(path, NULL, &checkpoint, &err)) fail_msg("%s", err.text);
  return checkpoint;
}

static const sap_tensor *load(sap_checkpoint *checkpoint, const char *name) {
  sap_error err;
  const size_t i = sap_checkpoint_find(checkpoint, name);
  if (sap_checkpoint_load(checkpoint, i, &err)) fail_msg("%s", err.text);
  return sap_checkpoint_at(checkpoint, i);
}

static void test_masks(void **state) {
  (void)state;
  static uint64_t mask[LARGE / 64 + 1];
  const uint64_t *masks[3] = {NULL};
  sap_checkpoint *dense = open_file(write_dense("dense.safetensors"));
  for (uint64_t i = 0; i < LARGE; i++)
    if (next_random() % 20 == 0) sap_mask_set(mask, i);
  const uint64_t kept = sap_mask_count(mask, LARGE);
  masks[sap_checkpoint_find(dense, "large")] = mask;
  mask[LARGE / 64] |= UINT64_MAX << LARGE % 64; /* bits that belong to no weight are nobody's business */
  const char *path = scratch_path("masks.safetensors");
  assert_int_equal(sap_checkpoint_convert(dense, masks, SAP_ENCODING_SPARSE, path, NULL), SAP_OK);
  sap_checkpoint_close(dense);
  mask[LARGE / 64] &= ~(UINT64_MAX << LARGE % 64);

  sap_checkpoint *sparse = open_file(path);
  size_t i = sap_checkpoint_find(sparse, "large"), pairs;
  uint64_t stored = 0;
  assert_null(sap_checkpoint_mask(sparse, i));
  assert_null(sap_checkpoint_at(sparse, i)->data);
  assert_string_equal(sap_checkpoint_stored(sparse, i, &stored), "sparse");
  assert_true(stored > 4 * kept && stored < 4 * kept + LARGE / 20);
  const float *found = load(sparse, "large")->data;
  for (uint64_t at = 0; at < LARGE; at++) assert_true(found[at] == (sap_mask_get(mask, at) ? large[at] : 0));
  assert_memory_equal(sap_checkpoint_mask(sparse, i), mask, sizeof mask);
  assert_int_equal(sap_checkpoint_mapped(sparse, i), 0);
  assert_memory_equal(load(sparse, "narrow")->data, narrow, NARROW);
  i = sap_checkpoint_find(sparse, "small");
  assert_string_equal(sap_checkpoint_stored(sparse, i, &stored), "dense");
  assert_int_equal(stored, sizeof small);
  assert_memory_equal(load(sparse, "small")->data, small, sizeof small);
  assert_null(sap_checkpoint_mask(sparse, i));
  assert_string_equal(sap_checkpoint_metadata(sparse, &pairs)->key, "by");
  assert_int_equal(pairs, 1); /* the note of the sparse form is none of the model's */
  assert_null(sap_checkpoint_stored(sparse, 3, &stored));
  sap_checkpoint_close(sparse);
}

/* A tensor that a caller has loaded stays loaded; one that was not is decoded for the step only. */
static void test_conversion_keeps_what_is_loaded(void **state) {
  (void)state;
  sap_checkpoint *dense = open_file(write_dense("dense.safetensors"));
  const char *path = scratch_path("kept.safetensors");
  assert_int_equal(sap_checkpoint_convert(dense, NULL, SAP_ENCODING_SPARSE, path, NULL), SAP_OK);
  sap_checkpoint_close(dense);
  sap_checkpoint *sparse = open_file(path);
  const sap_tensor *tensor = load(sparse, "narrow");
  const void *data = tensor->data;
  assert_int_equal(sap_checkpoint_convert(sparse, NULL, SAP_ENCODING_AS_IS, scratch_path("a.safetensors"), NULL), 0);
  assert_ptr_equal(tensor->data, data);
  assert_memory_equal(data, narrow, NARROW);
  assert_null(sap_checkpoint_at(sparse, sap_checkpoint_find(sparse, "large"))->data);
  sap_checkpoint_close(sparse);
}

static void test_threads(void **state) {
  (void)state;
  size_t sizes[2];
  char *bytes[2];
  sap_checkpoint *dense = open_file(write_dense("dense.safetensors"));
  for (int threads = 1; threads <= 4; threads += 3) {
    sap_threads_set(threads);
    const char *path = scratch_path("threads.safetensors");
    assert_int_equal(sap_checkpoint_convert(dense, NULL, SAP_ENCODING_SPARSE, path, NULL), SAP_OK);
    bytes[threads > 1] = scratch_read(path, &sizes[threads > 1]);
    sap_checkpoint *sparse = open_file(path);
    assert_memory_equal(load(sparse, "large")->data, large, sizeof large);
    sap_checkpoint_close(sparse);
  }
  sap_threads_set(0);
  assert_int_equal(sizes[0], sizes[1]);
  assert_memory_equal(bytes[0], bytes[1], sizes[0]);
  free(bytes[0]);
  free(bytes[1]);
  sap_checkpoint_close(dense);
}

/* ---- missing memory ---- */

/* Opens, loads the first tensor, writes in both forms and again with a mask. */
static sap_status everything(const char *path, const uint64_t *mask, sap_error *err) {
  sap_checkpoint *checkpoint = NULL;
  const uint64_t *masks[4] = {mask};
  sap_status status = sap_checkpoint_open(path, NULL, &checkpoint, err);
  if (!status) status = sap_checkpoint_load(checkpoint, 0, err);
  if (!status)
    status = sap_checkpoint_convert(checkpoint, NULL, SAP_ENCODING_SPARSE, scratch_path("1.safetensors"), err);
  if (!status)
    status = sap_checkpoint_convert(checkpoint, NULL, SAP_ENCODING_DENSE, scratch_path("2.safetensors"), err);
  if (!status && mask) status = sap_checkpoint_rewrite(checkpoint, masks, scratch_path("3.safetensors"), err);
  sap_checkpoint_close(checkpoint);
  return status;
}

static void check_faults(const char *path, const uint64_t *mask) {
  long k = 1, memory = 0;
  size_t files = scratch_entries(scratch_folder);
  for (;; k++) {
    const size_t before = fault_live();
    sap_error err = {.text = ""};
    fault_arm(k);
    const sap_status status = everything(path, mask, &err);
    const int failed = fault_disarm();
    assert_int_equal(fault_live(), before);
    if (!failed) {
      if (status) fail_msg("%s", err.text);
      break;
    }
    /* realpath and the flush of a folder are only tried */
    if (status && status != SAP_ERROR_MEMORY) fail_msg("%ld: %s", k, err.text);
    memory += status == SAP_ERROR_MEMORY;
  }
  print_message("%ld of %ld failing allocations reported as missing memory\n", memory, k - 1);
  assert_true(memory > 40);
  assert_int_equal(scratch_entries(scratch_folder), files + (mask ? 3 : 2));
  for (int i = 1; i <= 3; i++) {
    char name[32];
    snprintf(name, sizeof name, "%d.safetensors", i);
    (void)unlink(scratch_path(name));
  }
}

static void test_failing_allocations(void **state) {
  (void)state;
  static uint64_t mask[LARGE / 64 + 1];
  sap_checkpoint *dense = open_file(write_dense("dense.safetensors"));
  char path[512];
  snprintf(path, sizeof path, "%s", scratch_path("faults.safetensors"));
  assert_int_equal(sap_checkpoint_convert(dense, NULL, SAP_ENCODING_SPARSE, path, NULL), SAP_OK);
  sap_checkpoint_close(dense);
  sap_checkpoint *sparse = open_file(path);
  assert_string_equal(sap_checkpoint_at(sparse, 0)->name, "large");
  sap_checkpoint_close(sparse);
  check_faults(path, mask);
}

/* A tensor as compressed-tensors writes it. */
static void test_failing_allocations_bitmask(void **state) {
  (void)state;
  static const int64_t shape[] = {40, 130};
  static uint8_t bits[40 * 17];
  for (int row = 0; row < 40; row++) bits[17 * row] = 0x21;
  const sap_tensor tensors[] = {
      sap_tensor_vector("fc.compressed", SAP_F32, small, 80),
      sap_tensor_vector("fc.shape", SAP_I64, shape, 2),
      {.name = "fc.bitmask", .dtype = SAP_U8, .rank = 2, .shape = {40, 17}, .count = 680, .bytes = 680, .data = bits},
      sap_tensor_vector("other.compressed", SAP_F32, small, 80),
      sap_tensor_vector("other.shape", SAP_I64, shape, 2),
      {.name = "other.bitmask",
       .dtype = SAP_U8,
       .rank = 2,
       .shape = {40, 17},
       .count = 680,
       .bytes = 680,
       .data = bits},
  };
  char path[512];
  snprintf(path, sizeof path, "%s", scratch_path("bitmask.safetensors"));
  assert_int_equal(sap_safetensors_write(path, tensors, 6, NULL, 0, NULL), SAP_OK);
  check_faults(path, NULL);
  sap_checkpoint *checkpoint = open_file(path);
  const sap_tensor *tensor = load(checkpoint, "fc.weight");
  const float *found = tensor->data;
  for (int i = 0; i < 40 * 130; i++)
    assert_true(found[i] == (i % 130 == 0 ? small[i / 130 * 2] : i % 130 == 5 ? small[i / 130 * 2 + 1] : 0));
  sap_checkpoint_close(checkpoint);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_masks),
      cmocka_unit_test(test_conversion_keeps_what_is_loaded),
      cmocka_unit_test(test_threads),
      cmocka_unit_test(test_failing_allocations),
      cmocka_unit_test(test_failing_allocations_bitmask),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
