/* Any bytes as an ONNX model: refused, or tensors that can be read; and what is written of them holds the same.
 *
 * The folder holds, beside the model, a file "w" of 64 bytes for models with external data.
 */
#include "fuzz_folder.h"
#include "fuzz_load.h"
#include "sapwood/checkpoint.h"
#include "sapwood/mask.h"

static void make_folder(void) {
  char bytes[64];
  if (fuzz_folder[0]) return;
  fuzz_make_folder();
  FUZZ_CHECK(!mkdir(fuzz_path("out"), 0777));
  for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (char)(i * 37);
  fuzz_write("w", bytes, sizeof bytes);
}

static void check_refusal_of_model(sap_status status, const sap_error *err) {
  int external = status == SAP_ERROR_NOT_FOUND || status == SAP_ERROR_IO; /* its file is not there, or a folder */
  FUZZ_CHECK(external || status == SAP_ERROR_FORMAT || status == SAP_ERROR_UNSUPPORTED);
  FUZZ_CHECK(!strncmp(err->text, fuzz_path("fuzz.onnx"), strlen(fuzz_path("fuzz.onnx"))));
  fuzz_check_error(status, err);
}

/* The file holds the same tensors; of their values those that `masks` keep (all, if NULL), others are zero. A sparse
 * form may have lost the sign of a zero. */
static void check_same(const sap_checkpoint *wanted, const char *path, uint64_t *const *masks, int exact) {
  sap_checkpoint *found = NULL;
  sap_error err = {.text = ""};
  sap_checkpoint_options options = sap_checkpoint_options_default();
  options.max_expand = 1e12; /* a sparse file may be tiny */
  FUZZ_CHECK(!sap_checkpoint_open(path, &options, &found, &err));
  FUZZ_CHECK(sap_checkpoint_count(found) == sap_checkpoint_count(wanted));
  for (size_t i = 0; i < sap_checkpoint_count(found); i++) {
    const sap_tensor *a = sap_checkpoint_at(wanted, i), *b = sap_checkpoint_at(found, i);
    FUZZ_CHECK(!sap_checkpoint_load(found, i, &err));
    FUZZ_CHECK(!strcmp(a->name, b->name) && a->dtype == b->dtype && a->rank == b->rank && a->bytes == b->bytes);
    for (int axis = 0; axis < a->rank; axis++) FUZZ_CHECK(a->shape[axis] == b->shape[axis]);
    uint8_t *expected = malloc(a->bytes + 1);
    FUZZ_CHECK(expected);
    memcpy(expected, a->data, a->bytes);
    if (masks) sap_mask_apply(expected, a->dtype, masks[i], a->count);
    for (uint64_t at = 0, size = sap_dtype_bits(a->dtype) / 8; at < a->bytes; at += size) {
      uint64_t one = 0, other = 0;
      memcpy(&one, expected + at, size);
      memcpy(&other, (const uint8_t *)b->data + at, size);
      FUZZ_CHECK(one == other || (!exact && !other && one == (uint64_t)1 << (8 * size - 1)));
    }
    free(expected);
  }
  sap_checkpoint_close(found);
}

static void check_rewrite(sap_checkpoint *checkpoint) {
  size_t count = sap_checkpoint_count(checkpoint);
  uint64_t **masks = calloc(count + 1, sizeof *masks);
  sap_error err = {.text = ""};
  FUZZ_CHECK(masks);
  for (size_t i = 0; i < count; i++) {
    uint64_t n = sap_checkpoint_at(checkpoint, i)->count;
    masks[i] = calloc(sap_mask_words(n) + 1, sizeof **masks);
    FUZZ_CHECK(masks[i]);
    for (uint64_t at = 0; at < n; at++)
      if (at * 2654435761u >> 7 & 1) sap_mask_set(masks[i], at);
  }
  sap_status status =
      sap_checkpoint_rewrite(checkpoint, (const uint64_t *const *)masks, fuzz_path("out/again.onnx"), &err);
  FUZZ_CHECK(!status || status == SAP_ERROR_UNSUPPORTED);
  /* External tensors may share bytes, and then each other's masks. */
  if (!status && access(fuzz_path("out/w"), F_OK)) check_same(checkpoint, fuzz_path("out/again.onnx"), masks, 1);
  for (size_t i = 0; i < count; i++) free(masks[i]);
  free(masks);
  (void)unlink(fuzz_path("out/again.onnx"));
  (void)unlink(fuzz_path("out/w"));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  make_folder();
  fuzz_write("fuzz.onnx", bytes, size);
  sap_checkpoint *checkpoint = NULL;
  sap_error err = {.text = ""};
  sap_status status = sap_checkpoint_open(fuzz_path("fuzz.onnx"), NULL, &checkpoint, &err);
  if (status) {
    check_refusal_of_model(status, &err);
    FUZZ_CHECK(!checkpoint);
    return 0;
  }
  if (!strcmp(sap_checkpoint_format(checkpoint), "onnx") && fuzz_load_all(checkpoint, check_refusal_of_model)) {
    FUZZ_CHECK(!sap_checkpoint_convert(checkpoint, NULL, SAP_ENCODING_DENSE, fuzz_path("dense.onnx"), &err));
    check_same(checkpoint, fuzz_path("dense.onnx"), NULL, 1);
    FUZZ_CHECK(!sap_checkpoint_convert(checkpoint, NULL, SAP_ENCODING_SPARSE, fuzz_path("sparse.onnx"), &err));
    check_same(checkpoint, fuzz_path("sparse.onnx"), NULL, 0);
    check_rewrite(checkpoint);
  }
  sap_checkpoint_close(checkpoint);
  (void)unlink(fuzz_path("dense.onnx"));
  (void)unlink(fuzz_path("sparse.onnx"));
  return 0;
}
