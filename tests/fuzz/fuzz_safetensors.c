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

/* A space before the header, which another reader then reads, changes nothing. */
static void check_spaced(const uint8_t *bytes, size_t size, sap_status status, const sap_safetensors *file) {
  sap_safetensors *spaced = NULL;
  uint64_t length = 0;
  for (int i = 7; i >= 0 && size >= 8; i--) length = length << 8 | bytes[i];
  if (size < 8 || length > size - 8) return;
  uint8_t *copy = malloc(size + 1);
  FUZZ_CHECK(copy);
  for (int i = 0; i < 8; i++) copy[i] = (uint8_t)((length + 1) >> 8 * i);
  copy[8] = ' ';
  memcpy(copy + 9, bytes + 8, size - 8);
  FUZZ_CHECK(sap_safetensors_parse(copy, size + 1, "fuzz", &spaced, NULL) == status);
  for (size_t i = 0; file && i < sap_safetensors_count(file); i++) {
    const sap_tensor *a = sap_safetensors_at(file, i), *b = sap_safetensors_at(spaced, i);
    FUZZ_CHECK(!strcmp(a->name, b->name) && a->dtype == b->dtype && a->rank == b->rank && a->bytes == b->bytes);
    FUZZ_CHECK(!memcmp(a->shape, b->shape, sizeof a->shape) && a->count == b->count);
    FUZZ_CHECK((const uint8_t *)a->data - bytes + 1 == (const uint8_t *)b->data - copy);
  }
  size_t counts[2] = {0, 0};
  const sap_metadata *one = file ? sap_safetensors_metadata_all(file, &counts[0]) : NULL;
  const sap_metadata *two = file ? sap_safetensors_metadata_all(spaced, &counts[1]) : NULL;
  FUZZ_CHECK(counts[0] == counts[1] && (!file || sap_safetensors_count(file) == sap_safetensors_count(spaced)));
  for (size_t i = 0; i < counts[0]; i++)
    FUZZ_CHECK(!strcmp(one[i].key, two[i].key) && !strcmp(one[i].value, two[i].value));
  sap_safetensors_close(spaced);
  free(copy);
}

static void check(const uint8_t *bytes, size_t size) {
  sap_safetensors *file = NULL;
  sap_error err = {.text = ""};
  sap_status status = sap_safetensors_parse(bytes, size, "fuzz", &file, &err);
  check_spaced(bytes, size, status, file);
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
