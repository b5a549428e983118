/* Any bytes as an NPY, NPZ or PyTorch file: refused in one line, or tensors that can be read, and a file that is
 * written again from them with every second weight pruned can be read, too. */
#include "fuzz_folder.h"
#include "fuzz_load.h"
#include "sapwood/mask.h"

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
  const sap_status status =
      sap_checkpoint_rewrite(checkpoint, (const uint64_t *const *)masks, fuzz_path("again"), &err);
  if (status) fuzz_check_refusal(status, &err);
  for (size_t i = 0; i < count; i++) free(masks[i]);
  free(masks);
  if (status) return;
  sap_checkpoint *written = NULL;
  FUZZ_CHECK(!sap_checkpoint_open(fuzz_path("again"), NULL, &written, &err));
  FUZZ_CHECK(sap_checkpoint_count(written) == count && fuzz_load_all(written, fuzz_check_refusal));
  sap_checkpoint_close(written);
  (void)unlink(fuzz_path("again"));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  fuzz_make_folder();
  fuzz_write("file", bytes, size);
  sap_checkpoint *checkpoint = NULL;
  sap_error err = {.text = ""};
  const sap_status status = sap_checkpoint_open(fuzz_path("file"), NULL, &checkpoint, &err);
  if (status) {
    if (status != SAP_ERROR_NOT_FOUND && status != SAP_ERROR_IO)
      fuzz_check_refusal(status, &err); /* an ONNX file's data */
    FUZZ_CHECK(!checkpoint);
    return 0;
  }
  const char *format = sap_checkpoint_format(checkpoint);
  const int ours = !strcmp(format, "npy") || !strcmp(format, "npz") || !strcmp(format, "pytorch");
  if (ours && fuzz_load_all(checkpoint, fuzz_check_refusal)) rewrite(checkpoint);
  sap_checkpoint_close(checkpoint);
  return 0;
}
