#include "base/text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/utf8.h"

enum { FIRST_CAPACITY = 1024 };

/* Room for `size` more bytes and a NUL. */
static int reserve(sap__text *text, size_t size) {
  if (text->failed) return 0;
  if (size < text->capacity - text->length) return 1;
  size_t capacity = text->capacity ? text->capacity : FIRST_CAPACITY;
  while (capacity && capacity - text->length <= size) capacity *= 2;
  char *larger = capacity ? sap__alloc(capacity, 1) : NULL;
  if (!larger) {
    text->failed = 1;
    return 0;
  }
  if (text->length) memcpy(larger, text->bytes, text->length);
  larger[text->length] = 0;
  sap__free(text->bytes);
  text->bytes = larger;
  text->capacity = capacity;
  return 1;
}

void sap__text_add_bytes(sap__text *text, const void *bytes, size_t size) {
  if (!reserve(text, size)) return;
  if (size) memcpy(text->bytes + text->length, bytes, size);
  text->length += size;
  text->bytes[text->length] = 0;
}

void sap__text_add(sap__text *text, const char *format, ...) {
  va_list values, again;
  va_start(values, format);
  va_copy(again, values);
  int size = vsnprintf(NULL, 0, format, values);
  if (size < 0) text->failed = 1;
  if (size >= 0 && reserve(text, (size_t)size)) {
    vsnprintf(text->bytes + text->length, (size_t)size + 1, format, again);
    text->length += (size_t)size;
  }
  va_end(again);
  va_end(values);
}

void sap__text_add_real(sap__text *text, int digits, double value) {
  if (isfinite(value)) sap__text_add(text, "%.*g", digits, value);
}

void sap__text_add_tidy(sap__text *text, const char *words) {
  size_t left = strlen(words);
  while (left) {
    const size_t step = sap__utf8_step(words, left);
    const int bad = !step || (unsigned char)*words < 0x20 || *words == 0x7F;
    sap__text_add_bytes(text, bad ? "?" : words, bad ? 1 : step);
    words += step ? step : 1;
    left -= step ? step : 1;
  }
}

void sap__text_free(sap__text *text) {
  sap__free(text->bytes);
  *text = (sap__text){0};
}
