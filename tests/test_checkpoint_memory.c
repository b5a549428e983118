/* Missing memory while checkpoints are opened, loaded and written, for the formats that are packed or have several
 * files: seed inputs of the fuzz targets, and shards. The folder of the seed inputs is the argument. */
#include <sys/stat.h>

#include "alloc_fault.h"
#include "sapwood/checkpoint.h"
#include "sapwood/mask.h"
#include "scratch.h"
#include "unit.h"

static const char *seeds;

/* Everything that can be done with a file; to be called again and again. */
static sap_status everything(const char *path, const char *out, sap_error *err) {
  static const uint64_t mask[64] = {0x5555555555555555u};
  const uint64_t *masks[64] = {NULL};
  sap_checkpoint *checkpoint = NULL;
  sap_status status = sap_checkpoint_open(path, NULL, &checkpoint, err);
  const size_t count = status ? 0 : sap_checkpoint_count(checkpoint);
  assert_true(count <= 64);
  for (size_t i = 0; i < count && !status; i++) {
    const sap_tensor *tensor = sap_checkpoint_at(checkpoint, i);
    if (tensor->count && tensor->count <= 64 * 64 && sap_dtype_prunable(tensor->dtype)) masks[i] = mask;
    status = sap_checkpoint_load(checkpoint, i, err);
  }
  if (!status) status = sap_checkpoint_rewrite(checkpoint, masks, out, err);
  if (!status) status = sap_checkpoint_convert(checkpoint, masks, SAP_ENCODING_DENSE, scratch_path("dense.npz"), err);
  sap_checkpoint_close(checkpoint);
  return status;
}

/* Fails every allocation in turn until all succeed, and returns how it went then. What goes wrong for another reason
 * must do so every time. */
static sap_status fail_each(const char *path, const char *out) {
  sap_error err = {.text = ""};
  const sap_status expected = everything(path, out, &err);
  scratch_remove(out);
  (void)unlink(out);
  for (long k = 1;; k++) {
    const size_t before = fault_live();
    fault_arm(k);
    const sap_status status = everything(path, out, &err);
    const int failed = fault_disarm();
    assert_int_equal(fault_live(), before);
    scratch_remove(out);
    (void)unlink(out);
    if (!failed) {
      assert_int_equal(status, expected);
      return status;
    }
    /* realpath of the output may fail for want of memory, and then the path is taken as it is */
    if (status != expected) assert_int_equal(status, SAP_ERROR_MEMORY);
  }
}

static void test_archives(void **state) {
  (void)state;
  char path[1024], out[512];
  snprintf(out, sizeof out, "%s", scratch_path("out"));
  DIR *entries = opendir(seeds);
  assert_non_null(entries);
  size_t files = 0;
  for (struct dirent *entry; (entry = readdir(entries));) {
    if (entry->d_name[0] == '.') continue;
    assert_true(snprintf(path, sizeof path, "%s/%s", seeds, entry->d_name) < (int)sizeof path);
    (void)fail_each(path, out);
    files++;
  }
  closedir(entries);
  assert_true(files >= 7);
}

static void test_shards(void **state) {
  (void)state;
  static const char index[] =
      "{\"metadata\":{\"total_size\":20},\"weight_map\":{\"a\":\"1.safetensors\",\"b\":\"2.safetensors\"}}";
  static const char first[] =
      "\x39\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]}}"
      "\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40\0\0\x80\x40";
  static const char second[] =
      "\x36\0\0\0\0\0\0\0{\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}\0\0\0\x40";
  char folder[512], path[600], out[512];
  snprintf(folder, sizeof folder, "%s", scratch_path("shards"));
  snprintf(out, sizeof out, "%s", scratch_path("out"));
  assert_int_equal(mkdir(folder, 0777), 0);
  snprintf(path, sizeof path, "%s/x.safetensors.index.json", folder);
  scratch_write(path, index, sizeof index - 1);
  snprintf(path, sizeof path, "%s/1.safetensors", folder);
  scratch_write(path, first, sizeof first - 1);
  snprintf(path, sizeof path, "%s/2.safetensors", folder);
  scratch_write(path, second, sizeof second - 1);
  assert_int_equal(fail_each(folder, out), SAP_OK);
  assert_int_equal(scratch_entries(scratch_folder), 2); /* the shards and dense.npz: no temporary folder is left */
}

int main(int count, char **arguments) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_shards), cmocka_unit_test(test_archives)};
  if (count != 2) return 2;
  seeds = arguments[1];
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
