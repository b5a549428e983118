#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

#define SAP_STATUS_NAME(name, value, text) {#name, text, value},
static const struct {
  const char *name, *text;
  int value;
} statuses[] = {SAP_STATUS_LIST(SAP_STATUS_NAME)};
#undef SAP_STATUS_NAME

static const size_t status_count = sizeof statuses / sizeof statuses[0];

const char *sap_status_name(sap_status status) {
  for (size_t i = 0; i < status_count; i++)
    if (statuses[i].value == (int)status) return statuses[i].name;
  return "SAP_UNKNOWN";
}

const char *sap_status_text(sap_status status) {
  for (size_t i = 0; i < status_count; i++)
    if (statuses[i].value == (int)status) return statuses[i].text;
  return "a status this version does not know";
}

/* Texts quote names from files that are not trusted, and may be cut inside a character: what would break
 * the one line, steer a terminal or spoil a JSON document becomes '?'. */
static void tidy(char *text) {
  size_t left = strlen(text);
  while (left) {
    size_t step = sap__utf8_step(text, left);
    if (!step || (unsigned char)*text < 0x20 || *text == 0x7F) {
      *text = '?';
      step = 1;
    }
    text += step;
    left -= step;
  }
}

sap_status sap__fail(sap_error *err, sap_status code, const char *format, ...) {
  if (err) {
    err->code = code;
    va_list args;
    va_start(args, format);
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    tidy(err->text);
  }
  return code;
}

sap_status sap__fail_prefix(sap_error *err, sap_status code, const char *prefix) {
  if (err) {
    char text[SAP_ERROR_TEXT_SIZE];
    memcpy(text, err->text, sizeof text);
    snprintf(err->text, sizeof err->text, "%.100s: %.130s", prefix, text);
    tidy(err->text);
    err->code = code;
  }
  return code;
}

sap_status sap__fail_memory(sap_error *err, size_t bytes) {
  return sap__fail(err, SAP_ERROR_MEMORY, "no memory for %zu bytes", bytes);
}
