/* Any bytes as a safetensors file: refused, or tensors that lie inside it, one behind the other. */
#include "fuzz.h"
#include "sapwood/safetensors.h"

/* Every byte of every tensor is read, so that a sanitizer sees views outside the input. */
static void check_tensors(const sap_safetensors *file, const uint8_t *bytes, size_t size) {
  const char *next = NULL;
  volatile uint8_t sink = 0;
  for (size_t i = 0; i < sap_safetensors_count(file); i++) {
    const sap_tensor *tensor = sap_safetensors_at(file, i);
    const uint8_t *data = tensor->data;
    FUZZ_CHECK(sap_safetensors_find(file, tensor->name) == tensor);
    FUZZ_CHECK(tensor->rank >= 0 && tensor->rank <= SAP_TENSOR_MAX_RANK);
    FUZZ_CHECK(data >= bytes + 8 && data + tensor->bytes <= bytes + size);
    FUZZ_CHECK(!next || next == tensor->data);
    for (uint64_t b = 0; b < tensor->bytes; b++) sink = (uint8_t)(sink + data[b]);
    next = (const char *)tensor->data + tensor->bytes;
  }
  FUZZ_CHECK(!next || (const uint8_t *)next == bytes + size);
}

static void check_metadata(const sap_safetensors *file) {
  size_t count;
  const sap_metadata *pairs = sap_safetensors_metadata_all(file, &count);
  for (size_t i = 0; i < count; i++) FUZZ_CHECK(sap_safetensors_metadata(file, pairs[i].key) == pairs[i].value);
}

static void check(const uint8_t *bytes, size_t size) {
  sap_safetensors *file = NULL;
  sap_error err = {.text = ""};
  sap_status status = sap_safetensors_parse(bytes, size, "fuzz", &file, &err);
  if (status) {
    fuzz_check_named_refusal(status, &err);
    FUZZ_CHECK(!file);
    return;
  }
  check_tensors(file, bytes, size);
  check_metadata(file);
  sap_safetensors_close(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  check(bytes, size);
  fuzz_check_framed(bytes, size, check);
  return 0;
}
