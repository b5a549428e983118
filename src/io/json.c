#include "io/json.h"

#include "base/error.h"

sap_status sap__json_object(json_t **object, const char *text, size_t size, const char *name, const char *what,
                            sap_error *err) {
  json_error_t problem = {.text = ""};
  json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &problem);
  if (!root) {
    /* Without memory some of the parser's paths leave no text. */
    if (!problem.text[0] || json_error_code(&problem) == json_error_out_of_memory) return sap__fail_memory(err, size);
    return sap__fail(err, SAP_ERROR_FORMAT, "%s: %s: %.90s at byte %d", name, what, problem.text, problem.position);
  }
  if (!json_is_object(root)) {
    json_decref(root);
    return sap__fail(err, SAP_ERROR_FORMAT, "%s: the %s is not a JSON object", name, what);
  }
  *object = root;
  return SAP_OK;
}
