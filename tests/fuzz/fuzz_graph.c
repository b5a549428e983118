/* Any bytes as the JSON of a network: refused, or a graph that is written as a text of the same graph; and white space
 * before it changes nothing, though it is then read by another reader. */
#include "fuzz.h"
#include "graph/graph_json.h"

static sap_status read_text(const uint8_t *bytes, size_t size, int spaced, sap__graph **graph) {
  char *text = malloc(size + 2);
  sap_error err = {.text = ""};
  FUZZ_CHECK(text);
  text[0] = ' ';
  if (size) memcpy(text + spaced, bytes, size);
  text[size + (size_t)spaced] = 0;
  *graph = NULL;
  const sap_status status = sap__graph_from_json(text, "fuzz", graph, &err);
  FUZZ_CHECK(!status == (*graph != NULL));
  if (status) {
    FUZZ_CHECK(status == SAP_ERROR_FORMAT || status == SAP_ERROR_MISMATCH);
    fuzz_check_error(status, &err);
  }
  free(text);
  return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
  sap__graph *graph, *spaced;
  const sap_status status = read_text(bytes, size, 0, &graph);
  FUZZ_CHECK(read_text(bytes, size, 1, &spaced) == status);
  if (status) return 0;
  char *text = sap__graph_to_json(graph), *other = sap__graph_to_json(spaced);
  FUZZ_CHECK(text && other && !strcmp(text, other));
  sap__graph_free(spaced);
  FUZZ_CHECK(!read_text((const uint8_t *)text, strlen(text), 0, &spaced));
  free(other);
  other = sap__graph_to_json(spaced);
  FUZZ_CHECK(other && !strcmp(text, other));
  sap__graph_free(graph);
  sap__graph_free(spaced);
  free(text);
  free(other);
  return 0;
}
