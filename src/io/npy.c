#include "io/npy.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

#define U64(x) ((unsigned long long)(x))

/* NumPy's kinds and sizes. Big-endian and little-endian share a line. */
static const struct {
  char name[4];
  sap_dtype dtype;
} types[] = {{"b1", SAP_BOOL}, {"u1", SAP_U8},  {"i1", SAP_I8},  {"i2", SAP_I16}, {"u2", SAP_U16},
             {"f2", SAP_F16},  {"i4", SAP_I32}, {"u4", SAP_U32}, {"f4", SAP_F32}, {"c8", SAP_C64},
             {"f8", SAP_F64},  {"i8", SAP_I64}, {"u8", SAP_U64}};
enum { TYPES = sizeof types / sizeof types[0] };

/* ---- the dict literal ---- */

typedef struct reader {
  const char *at, *end;
  const sap_checkpoint *checkpoint;
  const char *name; /* of the tensor */
  const char *begin;
} reader;

static sap_status fail_at(const reader *r, const char *expected, sap_error *err) {
  return sap__fail_entry(err, SAP_ERROR_FORMAT, r->checkpoint, r->name, "NumPy header at byte %td: expected %s",
                         r->at - r->begin, expected);
}

static void skip_spaces(reader *r) {
  while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r')) r->at++;
}

/* Takes the character, and spaces before it. */
static int take(reader *r, char c) {
  skip_spaces(r);
  if (r->at == r->end || *r->at != c) return 0;
  r->at++;
  return 1;
}

/* Takes a word and makes sure that it ends there. */
static int take_word(reader *r, const char *word) {
  size_t length = strlen(word);
  skip_spaces(r);
  if ((size_t)(r->end - r->at) < length || memcmp(r->at, word, length)) return 0;
  r->at += length;
  return 1;
}

/* A string without escapes, in either kind of quotes. */
static int take_string(reader *r, const char **text, size_t *length) {
  skip_spaces(r);
  if (r->at == r->end || (*r->at != '\'' && *r->at != '"')) return 0;
  const char *close = memchr(r->at + 1, *r->at, (size_t)(r->end - r->at) - 1);
  if (!close) return 0;
  *text = r->at + 1;
  *length = (size_t)(close - *text);
  r->at = close + 1;
  return !memchr(*text, '\\', *length);
}

static sap_status read_descr(reader *r, sap_tensor *tensor, sap__view *view, sap_error *err) {
  const char *text;
  size_t length;
  if (take(r, '['))
    return sap__fail_entry(err, SAP_ERROR_UNSUPPORTED, r->checkpoint, r->name,
                           "holds records of several fields, expected numbers");
  if (!take_string(r, &text, &length)) return fail_at(r, "the type as a string", err);
  if (length >= 2 && text[1] == 'O')
    return sap__fail_entry(err, SAP_ERROR_UNSUPPORTED, r->checkpoint, r->name,
                           "holds Python objects, expected numbers");
  for (int i = 0; length == 3 && i < TYPES; i++) {
    if (memcmp(text + 1, types[i].name, 2) || !memchr("<>|=", text[0], 4)) continue;
    tensor->dtype = types[i].dtype;
    view->swapped = text[0] == '>' && sap_dtype_bits(tensor->dtype) > 8;
    return SAP_OK;
  }
  return sap__fail_entry(err, SAP_ERROR_UNSUPPORTED, r->checkpoint, r->name,
                         "holds elements of type %.*s, expected numbers of at most 64 bits",
                         (int)(length < 30 ? length : 30), text);
}

/* A tuple of lengths: (), (3,), (3, 4) or (3, 4,); Python 2 wrote long integers as 3L. */
static sap_status read_shape(reader *r, sap_tensor *tensor, sap_error *err) {
  int comma = 1;
  if (!take(r, '(')) return fail_at(r, "the shape as a tuple", err);
  tensor->rank = 0;
  while (!take(r, ')')) {
    uint64_t length = 0;
    const char *digits = r->at;
    if (!comma) return fail_at(r, "a comma or a closing parenthesis", err);
    while (r->at < r->end && *r->at >= '0' && *r->at <= '9') {
      if (__builtin_mul_overflow(length, 10, &length) ||
          __builtin_add_overflow(length, (uint64_t)(*r->at - '0'), &length) || length > INT64_MAX)
        return fail_at(r, "a length below 2^63", err);
      r->at++;
    }
    if (r->at == digits) return fail_at(r, "a length of the shape", err);
    if (r->at < r->end && *r->at == 'L') r->at++;
    if (tensor->rank == SAP_TENSOR_MAX_RANK)
      return sap__fail_entry(err, SAP_ERROR_UNSUPPORTED, r->checkpoint, r->name, "more than %d axes, expected fewer",
                             SAP_TENSOR_MAX_RANK);
    tensor->shape[tensor->rank++] = length;
    comma = take(r, ',');
  }
  if (tensor->rank == 1 && !comma) return fail_at(r, "a tuple: a comma behind its only length", err);
  return SAP_OK;
}

static sap_status read_dict(reader *r, sap_tensor *tensor, sap__view *view, int *fortran, sap_error *err) {
  enum { DESCR = 1, FORTRAN = 2, SHAPE = 4 };
  int seen = 0, comma = 1;
  if (!take(r, '{')) return fail_at(r, "a dict", err);
  while (!take(r, '}')) {
    const char *key;
    size_t length;
    sap_status code = SAP_OK;
    if (!comma) return fail_at(r, "a comma or a closing brace", err);
    if (!take_string(r, &key, &length)) return fail_at(r, "a key", err);
    if (!take(r, ':')) return fail_at(r, "a colon", err);
    int field = length == 5 && !memcmp(key, "descr", 5)             ? DESCR
                : length == 13 && !memcmp(key, "fortran_order", 13) ? FORTRAN
                : length == 5 && !memcmp(key, "shape", 5)           ? SHAPE
                                                                    : 0;
    if (!field || seen & field) return fail_at(r, "descr, fortran_order and shape, each once", err);
    seen |= field;
    if (field == DESCR)
      code = read_descr(r, tensor, view, err);
    else if (field == SHAPE)
      code = read_shape(r, tensor, err);
    else if (!(*fortran = take_word(r, "True")) && !take_word(r, "False"))
      code = fail_at(r, "True or False", err);
    if (code) return code;
    comma = take(r, ',');
  }
  if (seen != (DESCR | FORTRAN | SHAPE)) return fail_at(r, "descr, fortran_order and shape, each once", err);
  skip_spaces(r);
  return r->at == r->end ? SAP_OK : fail_at(r, "nothing but spaces behind the dict", err);
}

/* ---- the whole header ---- */

static sap_status check_size(uint64_t total, const sap_checkpoint *checkpoint, sap_tensor *tensor,
                             const sap__view *view, sap_error *err) {
  uint64_t count = 1, bytes;
  for (int axis = 0; axis < tensor->rank; axis++)
    if (__builtin_mul_overflow(count, tensor->shape[axis], &count) || count > INT64_MAX)
      return sap__fail_entry(err, SAP_ERROR_FORMAT, checkpoint, tensor->name,
                             "the shape's size overflows, expected it below 2^63");
  if (__builtin_mul_overflow(count, (uint64_t)sap_dtype_bits(tensor->dtype) / 8, &bytes))
    return sap__fail_entry(err, SAP_ERROR_FORMAT, checkpoint, tensor->name,
                           "the shape's size overflows, expected it below 2^63");
  uint64_t found = total - view->offset;
  if (found < bytes || (found > bytes && !checkpoint->options.lenient))
    return sap__fail_entry(err, SAP_ERROR_FORMAT, checkpoint, tensor->name,
                           "%llu bytes of data, expected %llu for its shape", U64(found), U64(bytes));
  tensor->count = count;
  tensor->bytes = bytes;
  return SAP_OK;
}

sap_status sap__npy_parse(const uint8_t *bytes, size_t size, uint64_t total, const sap_checkpoint *checkpoint,
                          sap_tensor *tensor, sap__view *view, sap_error *err) {
  static const uint8_t magic[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};
  if (size < 10 || memcmp(bytes, magic, sizeof magic))
    return sap__fail_entry(err, SAP_ERROR_FORMAT, checkpoint, tensor->name, "no NumPy header, expected one");
  int version = bytes[6];
  if (version < 1 || version > 3 || bytes[7])
    return sap__fail_entry(err, SAP_ERROR_UNSUPPORTED, checkpoint, tensor->name,
                           "NumPy format %d.%d, expected 1.0 to 3.0", version, bytes[7]);
  uint64_t length = bytes[8] | (uint64_t)bytes[9] << 8, begin = version == 1 ? 10 : 12;
  if (version > 1 && size >= 12) length |= (uint64_t)bytes[10] << 16 | (uint64_t)bytes[11] << 24;
  if (length > SAP__NPY_HEADER_MAX || size < begin || length > size - begin)
    return sap__fail_entry(err, SAP_ERROR_FORMAT, checkpoint, tensor->name,
                           "NumPy header of %llu bytes, expected at most %d within the file", U64(length),
                           SAP__NPY_HEADER_MAX);
  const char *text = (const char *)bytes + begin;
  reader r = {text, text + length, checkpoint, tensor->name, (const char *)bytes};
  int fortran = 0;
  *view = (sap__view){.offset = begin + length};
  sap_status code = read_dict(&r, tensor, view, &fortran, err);
  if (!code) code = check_size(total, checkpoint, tensor, view, err);
  if (code) return code;
  sap__view_rows(view, tensor);
  uint64_t stride = 1;
  for (int axis = 0; fortran && axis < tensor->rank; axis++) {
    view->strides[axis] = stride;
    if (tensor->shape[axis] > 1) stride *= tensor->shape[axis];
  }
  return SAP_OK;
}

size_t sap__npy_header(const sap_tensor *tensor, char header[512]) {
  int type = 0;
  while (type < TYPES && types[type].dtype != tensor->dtype) type++;
  if (type == TYPES) return 0;
  char dict[400];
  int used = snprintf(dict, sizeof dict, "{'descr': '%c%s', 'fortran_order': False, 'shape': (",
                      sap_dtype_bits(tensor->dtype) > 8 ? '<' : '|', types[type].name);
  for (int axis = 0; axis < tensor->rank; axis++)
    used += snprintf(dict + used, sizeof dict - (size_t)used, "%s%" PRIu64, axis ? ", " : "", tensor->shape[axis]);
  used += snprintf(dict + used, sizeof dict - (size_t)used, "%s), }", tensor->rank == 1 ? "," : "");
  size_t length = (10 + (size_t)used + 1 + 63) / 64 * 64;
  memset(header, ' ', length);
  memcpy(header, "\x93NUMPY\1\0", 8);
  header[8] = (char)((length - 10) & 0xFF);
  header[9] = (char)((length - 10) >> 8);
  memcpy(header + 10, dict, (size_t)used);
  header[length - 1] = '\n';
  return length;
}
