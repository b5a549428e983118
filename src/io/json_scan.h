/* Going through JSON that is expected to be in one plain form, as programs write it: no white space, the keys in their
 * order, no escapes. Whoever finds anything else reads it again with json_tree.h, which knows all forms and says what
 * is wrong; so these only say yes or no. All read a text that has SAP__JSON_PADDING NULs behind its end. */
#ifndef SAP_IO_JSON_SCAN_H
#define SAP_IO_JSON_SCAN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { SAP__JSON_PADDING = 32 }; /* the most that is compared or read at once */

/* The first byte from `at` on that does not stand for itself in a text (a quote, a backslash, a control character or
 * one beyond ASCII), eight bytes a step: in `odd` the highest bit of the first such byte is set, and none of a byte
 * before it. */
static inline const char *sap__scan_text(const char *at) {
  const uint64_t ones = 0x0101010101010101, highest = 0x80 * ones;
  for (;; at += 8) {
    uint64_t word = 0;
    for (int i = 0; i < 8; i++) word |= (uint64_t)(unsigned char)at[i] << 8 * i;
    const uint64_t quote = word ^ '"' * ones, backslash = word ^ '\\' * ones;
    const uint64_t odd = (word | (word - 0x20 * ones) | (quote - ones) | (backslash - ones)) & highest;
    if (odd) return at + __builtin_ctzll(odd) / 8;
  }
}

/* Goes past `length` given bytes, at most SAP__JSON_PADDING. */
static inline int sap__scan_bytes(const char **at, const char *bytes, size_t length) {
  if (memcmp(*at, bytes, length) != 0) return 0;
  *at += length;
  return 1;
}
#define SAP__SCAN(at, literal) sap__scan_bytes(at, literal, sizeof literal - 1)

/* Goes past a whole number of at most 18 digits, from 0 on. */
static inline int sap__scan_whole(const char **at, uint64_t *number) {
  const char *const first = *at;
  uint64_t sum = 0;
  for (unsigned digit; (digit = (unsigned)(unsigned char)**at - '0') < 10; ++*at) sum = 10 * sum + digit;
  const size_t digits = (size_t)(*at - first);
  *number = sum;
  return digits >= 1 && digits <= 18 && (*first != '0' || digits == 1);
}

#endif
