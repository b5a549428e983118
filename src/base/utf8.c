#include "base/utf8.h"

#include <string.h>

size_t sap__utf8_step(const char *text, size_t size) {
  const unsigned char *s = (const unsigned char *)text;
  if (!size) return 0;
  if (s[0] < 0x80) return 1;
  size_t length = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
  if (s[0] < 0xC2 || s[0] > 0xF4 || length > size) return 0;
  for (size_t i = 1; i < length; i++)
    if ((s[i] & 0xC0) != 0x80) return 0;
  if (s[0] == 0xE0 && s[1] < 0xA0) return 0; /* could be shorter */
  if (s[0] == 0xED && s[1] > 0x9F) return 0; /* surrogates */
  if (s[0] == 0xF0 && s[1] < 0x90) return 0;
  if (s[0] == 0xF4 && s[1] > 0x8F) return 0; /* past U+10FFFF */
  return length;
}

int sap__utf8_valid(const char *text) {
  size_t left = strlen(text);
  while (left) {
    size_t step = sap__utf8_step(text, left);
    if (!step) return 0;
    text += step;
    left -= step;
  }
  return 1;
}
