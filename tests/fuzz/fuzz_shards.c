/* Any bytes as an index and, behind the first NUL, as one of the files that it may name; another file and a link out
 * of the folder are there as well. Refused in one line, or tensors that can be read and written again. */
#include "fuzz_folder.h"
#include "fuzz_load.h"

/* {"c":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}} and its four bytes. */
static const char other[] =
    "\x36\0\0\0\0\0\0\0{\"c\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}\0\0\x80\x3f";

/* The folder of the shards, and one that they are written to again. */
static const char *shards, *again;

static void make_folder(void) {
  static char first[80], second[80];
  if (shards) return;
  fuzz_make_folder();
  snprintf(first, sizeof first, "%s/shards", fuzz_folder);
  snprintf(second, sizeof second, "%s/again", fuzz_folder);
  shards = first;
  again = second;
  FUZZ_CHECK(!mkdir(shards, 0777));
  fuzz_write("shards/b.safetensors", other, sizeof other - 1);
  FUZZ_CHECK(!symlink("/dev/null", fuzz_path("shards/link.safetensors")));
}

static void check_refusal_of_shards(sap_status status, const sap_error *err) {
  FUZZ_CHECK(status == SAP_ERROR_FORMAT || status == SAP_ERROR_UNSUPPORTED || status == SAP_ERROR_NOT_FOUND ||
             status == SAP_ERROR_IO); /* a name too long for the system */
  fuzz_check_error(status, err);
}

static void check(int lenient) {
  sap_checkpoint_options options = sap_checkpoint_options_default();
  options.lenient = lenient;
  sap_checkpoint *checkpoint = NULL;
  sap_error err = {.text = ""};
  const sap_status status = sap_checkpoint_open(shards, &options, &checkpoint, &err);
  if (status) {
    check_refusal_of_shards(status, &err);
    FUZZ_CHECK(!checkpoint);
    return;
  }
  const int sound = fuzz_load_all(checkpoint, check_refusal_of_shards);
  const sap_status written = sap_checkpoint_rewrite(checkpoint, NULL, again, &err);
  const size_t count = sap_checkpoint_count(checkpoint);
  sap_checkpoint_close(checkpoint);
  FUZZ_CHECK(sound || written);
  if (written) { /* packed tensors may be broken, or one's name mark a part of another */
    check_refusal_of_shards(written, &err);
    FUZZ_CHECK(access(again, F_OK));
    return;
  }
  FUZZ_CHECK(!sap_checkpoint_open(again, &options, &checkpoint, &err) && sap_checkpoint_count(checkpoint) == count);
  sap_checkpoint_close(checkpoint);
  fuzz_remove(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  make_folder();
  const uint8_t *nul = size ? memchr(bytes, 0, size) : NULL;
  const size_t index = nul ? (size_t)(nul - bytes) : size, rest = nul ? size - index - 1 : 0;
  fuzz_write("shards/x.safetensors.index.json", bytes, index);
  fuzz_write("shards/a.safetensors", bytes + size - rest, rest);
  check(0);
  check(1);
  return 0;
}
