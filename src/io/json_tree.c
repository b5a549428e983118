#include "io/json_tree.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/by_name.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "io/json_escape.h"
#include "io/json_quotes.h"
#include "io/json_scan.h"

/* FEW: keys that are compared each with each. STEP: bytes that are copied at once. */
enum { NOTHING_OPEN = UINT32_MAX, VALUES_MAX = UINT32_MAX - 1, FEW = 16, NUMBER_MAX = 400, STEP = 8 };

typedef struct reader {
  char *at, *end; /* SAP__JSON_PADDING NULs are behind the end */
  sap__json *values;
  size_t count, room;
  uint32_t open;     /* the innermost list or object that is open; its own skip holds the one around it */
  const char *wrong; /* what is wrong at `at` */
  int no_memory;
} reader;

static int fail(reader *r, const char *wrong) {
  r->wrong = wrong;
  return 0;
}

static sap__json *add(reader *r, sap__json_type type) {
  if (r->count == r->room) {
    const size_t room = 2 * r->room;
    sap__json *larger = room <= VALUES_MAX ? sap__alloc(room, sizeof *larger) : NULL;
    if (!larger) {
      r->no_memory = 1;
      return NULL;
    }
    memcpy(larger, r->values, r->count * sizeof *larger);
    sap__free(r->values);
    r->values = larger;
    r->room = room;
  }
  sap__json *value = &r->values[r->count++];
  *value = (sap__json){.type = type, .skip = 1};
  return value;
}

static inline void skip_space(reader *r) {
  while (*r->at <= ' ' && (*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r')) r->at++;
}

/* ---- texts ---- */

static inline char *skip_plain(char *at) { return at + (sap__scan_text(at) - at); }

/* The same, and copies what it goes past to `to`, behind which it may write up to where it reads. Returns where the
 * copy ends. */
static inline char *copy_plain(char **at, char *to) {
  char *from = *at;
  const size_t length = (size_t)((*at = skip_plain(from)) - from);
  if (from - to < STEP) return (char *)memmove(to, from, length) + length;
  for (size_t done = 0; done < length; done += STEP) memcpy(to + done, from + done, STEP);
  return to + length;
}

/* The byte at r->at, which does not stand for itself, and what comes with it, to `to`; returns where that ends, NULL on
 * an error. A quote is the commonest by far, in a text that is JSON itself. */
static char *read_odd(reader *r, char *to) {
  if (*r->at == '\\' && r->at[1] != '"') return sap__json_escape(&r->at, to, &r->wrong);
  if (*r->at == '\\') {
    *to = '"';
    r->at += 2;
    return to + 1;
  }
  const size_t step = sap__utf8_step(r->at, (size_t)(r->end - r->at));
  if (step && (unsigned char)*r->at >= 0x20) {
    for (size_t i = 0; i < step; i++) *to++ = *r->at++;
    return to;
  }
  r->wrong = r->at == r->end ? "unexpected end of a text"
             : !step         ? "unable to decode byte"
                             : "a control character in a text";
  return NULL;
}

/* The rest of a text, from a byte at `to` on that does not stand for itself, to where it is; returns where that ends.
 */
static char *read_rest(reader *r, char *to) {
  r->at = to;
  to = sap__json_quotes(&r->at, to, r->end);
  while (*r->at != '"') {
    if (!(to = read_odd(r, to))) return NULL;
    to = copy_plain(&r->at, to);
  }
  return to;
}

/* The text whose first byte is at r->at, behind its quote; NULL on an error. */
static char *take_text(reader *r, size_t *length) {
  char *const start = r->at, *to = r->at = skip_plain(start);
  if (*to != '"' && !(to = read_rest(r, to))) return NULL;
  r->at++;
  *to = 0; /* at the closing quote, or before */
  *length = (size_t)(to - start);
  return start;
}

static int read_text(reader *r) {
  size_t length;
  sap__json *value = add(r, SAP__JSON_TEXT);
  const char *text = value ? take_text(r, &length) : NULL;
  if (!text) return 0;
  if (length > VALUES_MAX) return fail(r, "a text that is too long");
  value->of.text = text;
  value->size = (uint32_t)length;
  return 1;
}

const char *sap__json_take_text(char **at, char *end) {
  reader r = {.at = *at, .end = end};
  size_t length;
  const char *text = take_text(&r, &length);
  *at = r.at;
  return text;
}

/* ---- numbers ---- */

static inline int is_digit(char c) { return c >= '0' && c <= '9'; }

/* `length` bytes of a number with a point or an exponent. */
static int read_real(reader *r, const char *start, size_t length, sap__json *value) {
  char text[NUMBER_MAX + 1];
  const char point = localeconv()->decimal_point[0]; /* the one that strtod expects */
  if (length > NUMBER_MAX) return fail(r, "a number that is too long");
  memcpy(text, start, length);
  text[length] = 0;
  char *dot = strchr(text, '.');
  if (dot) *dot = point;
  value->of.real = strtod(text, NULL);
  return isfinite(value->of.real) ? 1 : fail(r, "a number that is too large");
}

static char *skip_digits(char *at) {
  while (is_digit(*at)) at++;
  return at;
}

/* A number into `value`, whose type is set. */
static int take_number(reader *r, sap__json *value) {
  char *const start = r->at, *const first = start + (*start == '-'), *at = first;
  uint64_t number = 0;
  for (unsigned digit; (digit = (unsigned)*at - '0') < 10; at++) number = 10 * number + digit;
  r->at = at;
  if (at == first || (*first == '0' && at - first > 1)) return fail(r, "invalid token");
  const size_t digits = (size_t)(at - first);
  const int real = *at == '.' || (*at | 32) == 'e';
  if (*at == '.' && (r->at = skip_digits(at + 1)) == at + 1) return fail(r, "invalid token");
  if ((*r->at | 32) == 'e') {
    at = r->at + 1;
    if (*at == '+' || *at == '-') at++;
    if ((r->at = skip_digits(at)) == at) return fail(r, "invalid token");
  }
  value->type = real ? SAP__JSON_REAL : SAP__JSON_INTEGER;
  if (real) return read_real(r, start, (size_t)(r->at - start), value);
  if (digits > 19 || number > INT64_MAX) /* nineteen digits fit into 64 bits */
    return fail(r, "a whole number of more than 63 bits");
  value->of.integer = start == first ? (int64_t)number : -(int64_t)number;
  return 1;
}

static int read_number(reader *r) {
  sap__json *value = add(r, SAP__JSON_INTEGER);
  return value && take_number(r, value);
}

int sap__json_take_number(const char **at, double *number) {
  reader r = {.at = (char *)(uintptr_t)*at}; /* is not written to */
  sap__json value;
  if (!take_number(&r, &value)) return 0;
  *number = value.type == SAP__JSON_REAL ? value.of.real : (double)value.of.integer;
  *at = r.at;
  return 1;
}

/* ---- what holds others ---- */

static int read_literal(reader *r) {
  static const char *const words[] = {"true", "false", "null"};
  for (int i = 0; i < 3; i++) {
    if (strncmp(r->at, words[i], strlen(words[i])) != 0) continue;
    r->at += strlen(words[i]);
    return add(r, SAP__JSON_LITERAL) != NULL;
  }
  return fail(r, r->at == r->end ? "unexpected end" : "invalid token");
}

static int same_text(const sap__json *a, const sap__json *b) {
  return a->size == b->size && !memcmp(a->of.text, b->of.text, a->size);
}

/* 1 if a key of an object of many is there twice; -1 without memory. */
static int many_twice(const sap__json *object) {
  const char **keys = sap__alloc(object->size, sizeof *keys);
  sap__by_name names = {0};
  size_t count = 0, which = object->size;
  for (const sap__json *key = sap__json_first(object); keys && key; key = sap__json_next(object, key + 1))
    keys[count++] = key->of.text;
  const int memory = keys && sap__by_name_make(&names, keys, sizeof *keys, count, &which);
  sap__by_name_free(&names);
  sap__free(keys);
  return memory ? which < object->size : -1;
}

/* No key of the object, whose skip is set, is there twice. */
static int check_keys(reader *r, const sap__json *object) {
  const sap__json *seen[FEW];
  int count = 0, twice = 0;
  if (object->size > FEW) {
    twice = many_twice(object);
    r->no_memory = twice < 0;
  } else {
    for (const sap__json *key = sap__json_first(object); key; key = sap__json_next(object, key + 1)) {
      for (int i = 0; i < count; i++) twice |= same_text(seen[i], key);
      seen[count++] = key;
    }
  }
  return twice > 0 ? fail(r, "duplicate object key") : !r->no_memory;
}

static int open_value(reader *r, sap__json_type type) {
  sap__json *value = add(r, type);
  if (!value) return 0;
  value->skip = r->open;
  r->open = (uint32_t)(value - r->values);
  r->at++;
  return 1;
}

static int close_value(reader *r) {
  sap__json *value = &r->values[r->open];
  const uint32_t around = value->skip;
  value->skip = (uint32_t)(r->count - r->open);
  r->open = around;
  r->at++;
  return value->type == SAP__JSON_LIST || check_keys(r, value);
}

/* A value, or the beginning of one that holds others. */
static int read_value(reader *r) {
  switch (*r->at) {
    case '"': return r->at++, read_text(r);
    case '{': return open_value(r, SAP__JSON_OBJECT);
    case '[': return open_value(r, SAP__JSON_LIST);
    default: return *r->at == '-' || is_digit(*r->at) ? read_number(r) : read_literal(r);
  }
}

/* What comes next in the innermost open value, or its end. */
static int read_next(reader *r) {
  sap__json *in = &r->values[r->open];
  const int object = in->type == SAP__JSON_OBJECT;
  skip_space(r);
  if (*r->at == (object ? '}' : ']')) return close_value(r);
  if (in->size++) {
    if (*r->at != ',') return fail(r, object ? "expected ',' or '}'" : "expected ',' or ']'");
    r->at++;
    skip_space(r);
  }
  if (object) {
    if (*r->at != '"') return fail(r, "expected a key");
    r->at++;
    if (!read_text(r)) return 0;
    skip_space(r);
    if (*r->at != ':') return fail(r, "expected ':'");
    r->at++;
    skip_space(r);
  }
  return read_value(r);
}

static int read_all(reader *r) {
  r->open = NOTHING_OPEN;
  skip_space(r);
  if (*r->at != '{' && *r->at != '[') return fail(r, r->at == r->end ? "nothing in it" : "expected '{'");
  int good = read_value(r);
  while (good && r->open != NOTHING_OPEN) good = read_next(r);
  if (!good) return 0;
  skip_space(r);
  return r->at == r->end ? 1 : fail(r, "expected its end");
}

char *sap__json_copy(char *to, const char *text, size_t size) {
  memcpy(to, text, size);
  memset(to + size, 0, SAP__JSON_PADDING);
  return to;
}

sap_status sap__json_read(sap__json_tree *tree, char *text, size_t size, const char *name, const char *what,
                          sap_error *err) {
  reader r = {.at = text, .end = text + size, .room = size / 8 + 16}; /* what headers of tensors take */
  sap_status status = SAP_OK;
  r.values = sap__alloc(r.room, sizeof *r.values);
  if (!r.values || (!read_all(&r) && r.no_memory))
    status = sap__fail_memory(err, size);
  else if (r.wrong)
    status = sap__fail(err, SAP_ERROR_FORMAT, "%s: %s: %s at byte %zu", name, what, r.wrong, (size_t)(r.at - text));
  else if (r.values->type != SAP__JSON_OBJECT)
    status = sap__fail(err, SAP_ERROR_FORMAT, "%s: the %s is not a JSON object", name, what);
  *tree = (sap__json_tree){r.values};
  if (status) sap__json_free(tree);
  return status;
}

void sap__json_free(sap__json_tree *tree) {
  sap__free(tree->values);
  *tree = (sap__json_tree){0};
}

const sap__json *sap__json_seek(const sap__json *in, const sap__json **at, const char *key) {
  if (!sap__json_is(in, SAP__JSON_OBJECT)) return NULL;
  const sap__json *found = *at ? *at : sap__json_first(in);
  for (uint32_t i = 0; i < in->size; i++) {
    const sap__json *value = found + 1;
    const int same = !strcmp(found->of.text, key);
    if (!(found = sap__json_next(in, value))) found = in + 1;
    if (!same) continue;
    *at = found;
    return value;
  }
  return NULL;
}

const sap__json *sap__json_get(const sap__json *in, const char *key) {
  if (!sap__json_is(in, SAP__JSON_OBJECT)) return NULL;
  for (const sap__json *found = sap__json_first(in); found; found = sap__json_next(in, found + 1))
    if (!strcmp(found->of.text, key)) return found + 1;
  return NULL;
}
