#include "io/json_escape.h"

#include <stddef.h>
#include <stdint.h>

/* Four digits; -1 if they are none. */
static int32_t hex4(const char *at) {
  int32_t value = 0;
  for (int i = 0; i < 4; i++) {
    const char c = at[i];
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

static char *put_character(char *to, int32_t code) {
  if (code < 0x80) {
    *to++ = (char)code;
  } else if (code < 0x800) {
    *to++ = (char)(0xC0 | code >> 6);
    *to++ = (char)(0x80 | (code & 63));
  } else if (code < 0x10000) {
    *to++ = (char)(0xE0 | code >> 12);
    *to++ = (char)(0x80 | (code >> 6 & 63));
    *to++ = (char)(0x80 | (code & 63));
  } else {
    *to++ = (char)(0xF0 | code >> 18);
    *to++ = (char)(0x80 | (code >> 12 & 63));
    *to++ = (char)(0x80 | (code >> 6 & 63));
    *to++ = (char)(0x80 | (code & 63));
  }
  return to;
}

static char *fail(const char **wrong, const char *text) {
  *wrong = text;
  return NULL;
}

/* \uXXXX, or two of them that are one character. */
static char *unicode_escape(char **at, char *to, const char **wrong) {
  const char *text = *at;
  int32_t code = hex4(text + 2);
  int length = 6;
  if (code >= 0xD800 && code < 0xDC00 && text[6] == '\\' && text[7] == 'u') {
    const int32_t low = hex4(text + 8);
    if (low >= 0xDC00 && low < 0xE000) {
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
      length = 12;
    }
  }
  if (code < 0) return fail(wrong, "invalid escape");
  if (!code) return fail(wrong, "\\u0000 is not allowed");
  if (code >= 0xD800 && code < 0xE000) return fail(wrong, "half a surrogate pair");
  *at += length;
  return put_character(to, code);
}

char *sap__json_escape(char **at, char *to, const char **wrong) {
  char c = (*at)[1];
  switch (c) {
    case '"':
    case '\\':
    case '/': break;
    case 'b': c = '\b'; break;
    case 'f': c = '\f'; break;
    case 'n': c = '\n'; break;
    case 'r': c = '\r'; break;
    case 't': c = '\t'; break;
    case 'u': return unicode_escape(at, to, wrong);
    default: return fail(wrong, "invalid escape");
  }
  *at += 2;
  *to++ = c;
  return to;
}
