/* UTF-8: names in files are checked before they are used, shown or written. */
#ifndef SAP_BASE_UTF8_H
#define SAP_BASE_UTF8_H

#include <stddef.h>

/* Bytes of the well-formed character that `text` (`size` bytes) begins with, 1 … 4; 0 if it begins with
 * none. Well-formed as in RFC 3629: shortest form, no surrogates, at most U+10FFFF. */
size_t sap__utf8_step(const char *text, size_t size);

/* 1 if the NUL-terminated text is well-formed throughout. */
int sap__utf8_valid(const char *text);

#endif
