/* JSON objects from files that are not trusted, read whole into one list of values: what headers of thousands of
 * tensors want. Texts stay where they were read, escapes resolved.
 *
 * A value is followed by what it holds, and then by its next neighbour. An object holds a text, the key, before every
 * value:
 *
 *   for (const sap__json *key = sap__json_first(object); key; key = sap__json_next(object, key + 1))
 *     use(key->of.text, key + 1);
 */
#ifndef SAP_IO_JSON_TREE_H
#define SAP_IO_JSON_TREE_H

#include <stddef.h>
#include <stdint.h>

#include "io/json_scan.h"
#include "sapwood/status.h"

typedef enum sap__json_type {
  SAP__JSON_LITERAL, /* true, false or null: nobody asks which */
  SAP__JSON_INTEGER,
  SAP__JSON_REAL,
  SAP__JSON_TEXT,
  SAP__JSON_LIST,
  SAP__JSON_OBJECT
} sap__json_type;

typedef struct sap__json {
  sap__json_type type;
  uint32_t size; /* LIST, OBJECT: values in it, keys not counted; TEXT: bytes */
  uint32_t skip; /* to its next neighbour: 1 and all that it holds */
  union {
    int64_t integer;
    double real;
    const char *text; /* UTF-8, NUL-terminated and without another NUL */
  } of;
} sap__json;

typedef struct sap__json_tree {
  sap__json *values; /* the first is the object */
} sap__json_tree;

/* Copies a text of `size` bytes to where there is room for it and SAP__JSON_PADDING more, which become NULs. */
char *sap__json_copy(char *to, const char *text, size_t size);

/* Reads such a copy, in which the texts of the tree then are. It must be an object in which no key comes twice, nor in
 * what it holds. `name`, the file's, and `what` ("header") are for error texts. About 1.5 ns a byte. Errors:
 * SAP_ERROR_FORMAT, SAP_ERROR_MEMORY. */
sap_status sap__json_read(sap__json_tree *tree, char *text, size_t size, const char *name, const char *what,
                          sap_error *err) SAP_WARN_UNUSED;
void sap__json_free(sap__json_tree *tree);

/* A text alone, of such a copy whose end is `end`: *at is behind its first quote, and then behind its last. NULL if
 * something is wrong with it. */
const char *sap__json_take_text(char **at, char *end);

/* The same of a number, which *at is then behind. 0 if something is wrong with it. */
int sap__json_take_number(const char **at, double *number);

/* The first value of a list, or key of an object; NULL if it is empty. And the neighbour of a value in it. */
static inline const sap__json *sap__json_first(const sap__json *in) { return in->size ? in + 1 : NULL; }
static inline const sap__json *sap__json_next(const sap__json *in, const sap__json *value) {
  value += value->skip;
  return value < in + in->skip ? value : NULL;
}

/* The value of a key; NULL if there is none, or `in` is no object. Looks at all keys before it. */
const sap__json *sap__json_get(const sap__json *in, const char *key);

/* The same of an object, looking from *at on (NULL: from its first key) and then from the start; *at becomes what comes
 * behind. So keys that are asked for in their order are each found at once. */
const sap__json *sap__json_seek(const sap__json *in, const sap__json **at, const char *key);

/* What a value is, if it is that; NULL is nothing. */
static inline int sap__json_is(const sap__json *value, sap__json_type type) { return value && value->type == type; }
static inline const char *sap__json_text(const sap__json *value) {
  return sap__json_is(value, SAP__JSON_TEXT) ? value->of.text : NULL;
}
/* How many values a list has; 0 of anything else. */
static inline size_t sap__json_length(const sap__json *value) {
  return sap__json_is(value, SAP__JSON_LIST) ? value->size : 0;
}

#endif
