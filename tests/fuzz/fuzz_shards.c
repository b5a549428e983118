/* Any bytes as an index and, behind the first NUL, as one of the files that it may name; another file and a link out
 * of the folder are there as well. Refused in one line, or tensors that can be read and written again. */
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz_load.h"

/* {"c":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}} and its four bytes. */
static const char other[] =
    "\x36\0\0\0\0\0\0\0{\"c\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}\0\0\x80\x3f";

static char folder[64], paths[4][96];
enum { INDEX, FIRST, SECOND, LINK };
static const char *const names[4] = {"x.safetensors.index.json", "a.safetensors", "b.safetensors", "link.safetensors"};

static void write_file(const char *path, const void *bytes, size_t size) {
  FILE *file = fopen(path, "wb");
  FUZZ_CHECK(file && fwrite(bytes, 1, size, file) == size && !fclose(file));
}

static void remove_files(const char *of) {
  char path[128];
  for (int i = 0; i < 4; i++) {
    snprintf(path, sizeof path, "%s/%s", of, names[i]);
    (void)unlink(path);
  }
  (void)rmdir(of);
}

static void remove_folder(void) { remove_files(folder); }

static void make_folder(void) {
  if (folder[0]) return;
  snprintf(folder, sizeof folder, "%s/sapwood-fuzz-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
  FUZZ_CHECK(mkdtemp(folder));
  for (int i = 0; i < 4; i++) snprintf(paths[i], sizeof paths[i], "%s/%s", folder, names[i]);
  write_file(paths[SECOND], other, sizeof other - 1);
  FUZZ_CHECK(!symlink("/dev/null", paths[LINK]));
  atexit(remove_folder);
}

static void check_refusal(sap_status status, const sap_error *err) {
  FUZZ_CHECK(status == SAP_ERROR_FORMAT || status == SAP_ERROR_UNSUPPORTED || status == SAP_ERROR_NOT_FOUND ||
             status == SAP_ERROR_IO); /* a name too long for the system */
  FUZZ_CHECK(err->code == status && err->text[0]);
  for (const char *c = err->text; *c; c++) FUZZ_CHECK((unsigned char)*c >= 0x20 && *c != 0x7F);
}

static void check(int lenient) {
  sap_checkpoint_options options = sap_checkpoint_options_default();
  options.lenient = lenient;
  sap_checkpoint *checkpoint = NULL;
  sap_error err = {.text = ""};
  const sap_status status = sap_checkpoint_open(folder, &options, &checkpoint, &err);
  if (status) {
    check_refusal(status, &err);
    FUZZ_CHECK(!checkpoint);
    return;
  }
  char again[96];
  snprintf(again, sizeof again, "%s-again", folder);
  FUZZ_CHECK(fuzz_load_all(checkpoint, check_refusal));
  FUZZ_CHECK(!sap_checkpoint_rewrite(checkpoint, NULL, again, &err));
  const size_t count = sap_checkpoint_count(checkpoint);
  sap_checkpoint_close(checkpoint);
  FUZZ_CHECK(!sap_checkpoint_open(again, &options, &checkpoint, &err) && sap_checkpoint_count(checkpoint) == count);
  sap_checkpoint_close(checkpoint);
  remove_files(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  make_folder();
  const uint8_t *nul = size ? memchr(bytes, 0, size) : NULL;
  const size_t index = nul ? (size_t)(nul - bytes) : size, rest = nul ? size - index - 1 : 0;
  write_file(paths[INDEX], bytes, index);
  write_file(paths[FIRST], bytes + size - rest, rest);
  check(0);
  check(1);
  return 0;
}
