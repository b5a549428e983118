/* A text that grows, for what is written as a whole: a page, a table, a script.
 *
 *   sap__text text = {0};
 *   sap__text_add(&text, "%d runs\n", count);
 *   if (text.failed) …                            missing memory shows once, at the end
 *   sap__text_free(&text);
 */
#ifndef SAP_BASE_TEXT_H
#define SAP_BASE_TEXT_H

#include <stddef.h>

#include "sapwood/status.h"

typedef struct sap__text {
  char *bytes; /* NUL-terminated; NULL while nothing was added */
  size_t length, capacity;
  int failed; /* memory was missing: something is lacking, and nothing is added any more */
} sap__text;

void sap__text_add(sap__text *text, const char *format, ...) SAP_PRINTF(2, 3);
void sap__text_add_bytes(sap__text *text, const void *bytes, size_t size);

/* A number with so many significant digits, or nothing where it is not finite. */
void sap__text_add_real(sap__text *text, int digits, double value);

/* A text from outside between other words: what is not UTF-8 and control characters become '?'. */
void sap__text_add_tidy(sap__text *text, const char *words);

void sap__text_free(sap__text *text);

#endif
