/* Any bytes as a model file: refused in one line, or a network that is planned and run in both sparse ways. */
#include "fuzz_folder.h"
#include "sapwood/runtime.h"

/* Larger networks are valid, but slow here. */
enum { PRODUCTS_MAX = 1 << 20, FLOATS_MAX = 1 << 16 };

static void check_refusal_of_model(sap_status status, const sap_error *err) {
  FUZZ_CHECK(status == SAP_ERROR_FORMAT || status == SAP_ERROR_UNSUPPORTED || status == SAP_ERROR_MISMATCH ||
             status == SAP_ERROR_ARGUMENT || status == SAP_ERROR_NOT_FOUND || status == SAP_ERROR_IO ||
             status == SAP_ERROR_MEMORY);
  fuzz_check_error(status, err);
}

static void run(const sap_model *model, sap_way way, const float *x, float *y) {
  sap_error err = {.text = ""};
  sap_session *session = NULL;
  const sap_session_options options = {.batch = 1, .threads = 1, .way = way, .measure = 0};
  FUZZ_CHECK(!sap_session_new(model, &options, &session, &err));
  FUZZ_CHECK(!sap_session_run(session, x, 1, y, &err));
  sap_session_free(session);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  fuzz_make_folder();
  fuzz_write("model", bytes, size);
  sap_model *model = NULL;
  sap_error err = {.text = ""};
  const sap_status status = sap_model_open(fuzz_path("model"), NULL, &model, &err);
  if (status) {
    check_refusal_of_model(status, &err);
    FUZZ_CHECK(!model);
    return 0;
  }
  sap_model_info info;
  sap_model_describe(model, &info);
  FUZZ_CHECK(info.kept <= info.total && info.useful <= info.products && info.outputs > 0);
  const uint64_t floats = (uint64_t)info.channels * (uint64_t)info.height * (uint64_t)info.width;
  if (info.products <= PRODUCTS_MAX && floats <= FLOATS_MAX) {
    float *x = malloc(floats * sizeof *x), *y = malloc((size_t)info.outputs * sizeof *y);
    FUZZ_CHECK(x && y);
    for (uint64_t i = 0; i < floats; i++) x[i] = (float)(i % 17) - 8;
    run(model, SAP_WAY_PICTURE, x, y);
    run(model, SAP_WAY_LANES, x, y);
    free(x);
    free(y);
  }
  sap_model_close(model);
  return 0;
}
