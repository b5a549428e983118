/* Any bytes as the metrics.jsonl of a run. */
#include "base/memory.h"
#include "fuzz.h"
#include "report/metrics.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  char *text = sap__alloc(size ? size : 1, 1); /* of just that size: a read past the end is noticed */
  FUZZ_CHECK(text);
  if (size) memcpy(text, bytes, size);
  sap__metrics metrics;
  FUZZ_CHECK(sap__metrics_parse(text, size, &metrics, NULL) == SAP_OK);
  sap__free(text);
  size_t lines = 1, present = 0;
  for (size_t i = 0; i < size; i++) lines += bytes[i] == '\n';
  for (size_t t = 0; t < metrics.count; t++) {
    const sap__point *point = &metrics.points[t];
    present += point->present != 0;
    for (size_t i = 0; i < point->layer_count; i++) FUZZ_CHECK(strlen(point->layers[i].name) <= size);
    FUZZ_CHECK(point->present || !point->layer_count);
  }
  FUZZ_CHECK(metrics.count <= SAP__ITERATIONS_MAX && metrics.skipped + present <= lines);
  FUZZ_CHECK(!metrics.count || metrics.points[metrics.count - 1].present);
  sap__metrics_free(&metrics);
  return 0;
}
