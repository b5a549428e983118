/* Any bytes as an NPY, NPZ or PyTorch file: refused in one line, or tensors that can be read, and a file that is
 * written again from them with every second weight pruned can be read, too. */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz_load.h"
#include "sapwood/mask.h"

static char folder[64], path[96], again[96];

static void remove_folder(void) {
  (void)unlink(path);
  (void)unlink(again);
  (void)rmdir(folder);
}

static void make_folder(void) {
  if (folder[0]) return;
  snprintf(folder, sizeof folder, "%s/sapwood-fuzz-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
  FUZZ_CHECK(mkdtemp(folder));
  snprintf(path, sizeof path, "%s/file", folder);
  snprintf(again, sizeof again, "%s/again", folder);
  atexit(remove_folder);
}

static void check_refusal(sap_status status, const sap_error *err) {
  FUZZ_CHECK(status == SAP_ERROR_FORMAT || status == SAP_ERROR_UNSUPPORTED);
  FUZZ_CHECK(err->code == status && err->text[0]);
  for (const char *c = err->text; *c; c++) FUZZ_CHECK((unsigned char)*c >= 0x20 && *c != 0x7F);
}

/* Every second element of each tensor pruned; the mask of a type below 8 bits stays NULL. */
static void rewrite(sap_checkpoint *checkpoint) {
  const size_t count = sap_checkpoint_count(checkpoint);
  uint64_t **masks = calloc(count + 1, sizeof *masks);
  sap_error err = {.text = ""};
  FUZZ_CHECK(masks);
  for (size_t i = 0; i < count; i++) {
    const sap_tensor *tensor = sap_checkpoint_at(checkpoint, i);
    if (sap_dtype_bits(tensor->dtype) < 8) continue;
    masks[i] = calloc(sap_mask_words(tensor->count) + 1, sizeof **masks);
    FUZZ_CHECK(masks[i]);
    for (uint64_t at = 0; at < tensor->count; at += 2) sap_mask_set(masks[i], at);
  }
  const sap_status status = sap_checkpoint_rewrite(checkpoint, (const uint64_t *const *)masks, again, &err);
  if (status) check_refusal(status, &err);
  for (size_t i = 0; i < count; i++) free(masks[i]);
  free(masks);
  if (status) return;
  sap_checkpoint *written = NULL;
  FUZZ_CHECK(!sap_checkpoint_open(again, NULL, &written, &err));
  FUZZ_CHECK(sap_checkpoint_count(written) == count && fuzz_load_all(written, check_refusal));
  sap_checkpoint_close(written);
  (void)unlink(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  make_folder();
  FILE *file = fopen(path, "wb");
  FUZZ_CHECK(file && fwrite(bytes, 1, size, file) == size && !fclose(file));
  sap_checkpoint *checkpoint = NULL;
  sap_error err = {.text = ""};
  const sap_status status = sap_checkpoint_open(path, NULL, &checkpoint, &err);
  if (status) {
    if (status != SAP_ERROR_NOT_FOUND && status != SAP_ERROR_IO) check_refusal(status, &err); /* an ONNX file's data */
    FUZZ_CHECK(!checkpoint);
    return 0;
  }
  const char *format = sap_checkpoint_format(checkpoint);
  const int ours = !strcmp(format, "npy") || !strcmp(format, "npz") || !strcmp(format, "pytorch");
  if (ours && fuzz_load_all(checkpoint, check_refusal)) rewrite(checkpoint);
  sap_checkpoint_close(checkpoint);
  return 0;
}
