/* Any bytes as a picture: refused in one line, or decoded, grey and in colour, to squares of two sizes. */
#include "data/picture.h"
#include "fuzz.h"

static void decode(const uint8_t *bytes, size_t size, int side, int channels) {
  uint8_t pixels[3 * 9 * 9];
  sap__scaler scaler = {.side = side};
  sap_error err = {.text = ""};
  memset(pixels, 0xaa, sizeof pixels);
  sap_status status = sap__picture_decode(bytes, size, "fuzz", &scaler, channels, pixels, &err);
  if (status) fuzz_check_named_refusal(status, &err);
  volatile uint8_t sum = 0;
  for (int i = 0; i < channels * side * side; i++) sum = (uint8_t)(sum + pixels[i]);
  sap__scaler_free(&scaler);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  sap__picture_info info = {0};
  sap_error err = {.text = ""};
  sap_status status = sap__picture_probe(bytes, size, "fuzz", &info, &err);
  if (status) {
    fuzz_check_named_refusal(status, &err);
    return 0;
  }
  FUZZ_CHECK(info.width && info.height && (info.channels == 1 || info.channels == 3));
  FUZZ_CHECK((uint64_t)info.width * info.height <= SAP__PICTURE_MAX_PIXELS);
  if ((uint64_t)info.width * info.height > 1 << 20) return 0; /* right, but slow */
  decode(bytes, size, 9, 3);
  decode(bytes, size, 2, 1);
  return 0;
}
