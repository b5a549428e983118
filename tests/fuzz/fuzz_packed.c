/* Any bytes as a safetensors file with packed tensors (our sparse form, compressed-tensors): refused in one line, or
 * tensors that can be read; and converted to the sparse form and back to the dense they are the same. */
#include "fuzz_folder.h"
#include "fuzz_load.h"
#include "sapwood/mask.h"

static sap_checkpoint *open_file(const char *name) {
  sap_checkpoint *checkpoint = NULL;
  sap_error err = {.text = ""};
  const sap_status status = sap_checkpoint_open(fuzz_path(name), NULL, &checkpoint, &err);
  if (status) fuzz_check_refusal(status, &err);
  FUZZ_CHECK(!status == (checkpoint != NULL));
  return checkpoint;
}

/* Same tensors, and the same mask where both carry one. */
static void check_same(sap_checkpoint *a, sap_checkpoint *b) {
  FUZZ_CHECK(b && sap_checkpoint_count(a) == sap_checkpoint_count(b));
  FUZZ_CHECK(fuzz_load_all(b, fuzz_check_refusal));
  for (size_t i = 0; i < sap_checkpoint_count(a); i++) {
    const sap_tensor *first = sap_checkpoint_at(a, i);
    const size_t j = sap_checkpoint_find(b, first->name);
    FUZZ_CHECK(j < sap_checkpoint_count(b));
    const sap_tensor *second = sap_checkpoint_at(b, j);
    FUZZ_CHECK(first->dtype == second->dtype && first->rank == second->rank && first->bytes == second->bytes);
    FUZZ_CHECK(!memcmp(first->shape, second->shape, (size_t)first->rank * sizeof *first->shape));
    FUZZ_CHECK(!first->bytes || !memcmp(first->data, second->data, (size_t)first->bytes));
    const uint64_t *masks[2] = {sap_checkpoint_mask(a, i), sap_checkpoint_mask(b, j)};
    if (masks[0] && masks[1]) FUZZ_CHECK(!memcmp(masks[0], masks[1], sap_mask_words(first->count) * sizeof *masks[0]));
  }
  sap_checkpoint_close(b);
}

/* Another name that a reader would take for a part, or one name twice, is not written. */
static void check_conversion(sap_checkpoint *checkpoint, sap_encoding encoding, const char *name) {
  sap_error err = {.text = ""};
  const sap_status status = sap_checkpoint_convert(checkpoint, NULL, encoding, fuzz_path(name), &err);
  if (status)
    fuzz_check_refusal(status, &err);
  else
    check_same(checkpoint, open_file(name));
}

static void check(const uint8_t *bytes, size_t size) {
  fuzz_write("file", bytes, size);
  sap_checkpoint *checkpoint = open_file("file");
  if (checkpoint && !strcmp(sap_checkpoint_format(checkpoint), "safetensors") &&
      fuzz_load_all(checkpoint, fuzz_check_refusal)) {
    check_conversion(checkpoint, SAP_ENCODING_SPARSE, "sparse.safetensors");
    check_conversion(checkpoint, SAP_ENCODING_DENSE, "dense.safetensors");
  }
  sap_checkpoint_close(checkpoint);
}

/* One byte for the type, one for the number of values; the values; the rest is the index. */
static void check_index(const uint8_t *bytes, size_t size) {
  static const char *const types[] = {"U8", "F16", "F32", "F64"};
  if (size < 2) return;
  const size_t width = (size_t)1 << bytes[0] % 4;
  const size_t kept = bytes[1] < (size - 2) / width ? bytes[1] : (size - 2) / width, values = kept * width;
  uint8_t *file = malloc(size + 256);
  FUZZ_CHECK(file);
  const int length = snprintf((char *)file + 8, 248,
                              "{\"w.sapwood.values\":{\"dtype\":\"%s\",\"shape\":[%zu],\"data_offsets\":[0,%zu]},"
                              "\"w.sapwood.index\":{\"dtype\":\"U8\",\"shape\":[%zu],\"data_offsets\":[%zu,%zu]}}",
                              types[bytes[0] % 4], kept, values, size - 2 - values, values, size - 2);
  for (int i = 0; i < 8; i++) file[i] = (uint8_t)((uint64_t)length >> 8 * i);
  memcpy(file + 8 + length, bytes + 2, size - 2);
  check(file, 8 + (size_t)length + size - 2);
  free(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  fuzz_make_folder();
  check(bytes, size);
  fuzz_check_framed(bytes, size, check);
  check_index(bytes, size);
  return 0;
}
