/* safetensors files that lie: each is refused with a text that names the file and what is wrong. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sapwood/safetensors.h"
#include "unit.h"

#define NAME "folder/broken.safetensors"

/* Parses `size` bytes from a block of just that size, so that a sanitizer sees every read past the end. */
static sap_status parse(const void *bytes, size_t size, sap_safetensors **file, void **block, sap_error *err) {
  *block = malloc(size ? size : 1);
  memcpy(*block, bytes, size);
  *file = NULL;
  *err = (sap_error){.text = ""};
  return sap_safetensors_parse(*block, size, NAME, file, err);
}

/* The length, the header and data_size bytes of data; freed with free(). */
static char *assemble(const char *header, size_t header_size, size_t data_size, size_t *size) {
  *size = 8 + header_size + data_size;
  char *bytes = calloc(*size, 1);
  for (int i = 0; i < 8; i++) bytes[i] = (char)(header_size >> 8 * i & 0xFF);
  memcpy(bytes + 8, header, header_size);
  return bytes;
}

/* A tensor's entry. */
#define T(name, dtype, shape, begin, end) \
  "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" #begin "," #end "]}"
#define RANK9 "[1,1,1,1,1,1,1,1,1]"

static const struct broken {
  const char *what, *header;
  size_t data_size;
  const char *text; /* part of the error's text */
} broken[] = {
    /* JSON */
    {"no header", "", 0, "header: "},
    {"only spaces", "   ", 0, "header: "},
    {"a list", "[]", 0, "the header is not a JSON object"},
    {"a number", "12", 0, "header: "},
    {"unfinished", "{\"a\":", 0, "header: "},
    {"no closing brace", "{" T("a", "U8", "[1]", 0, 1), 1, "header: "},
    {"two objects", "{}{}", 0, "header: "},
    {"garbage behind", "{}x", 0, "header: "},
    {"a comma too many", "{" T("a", "U8", "[1]", 0, 1) ",}", 1, "header: "},
    {"a byte order mark", "\xef\xbb\xbf{}", 0, "header: "},
    {"duplicate tensors", "{" T("a", "U8", "[1]", 0, 1) "," T("a", "U8", "[1]", 0, 1) "}", 1, "duplicate object key"},
    {"duplicate through an escape", "{" T("a", "U8", "[1]", 0, 1) "," T("\\u0061", "U8", "[1]", 1, 2) "}", 2,
     "duplicate object key"},
    {"duplicate field", "{\"a\":{\"dtype\":\"U8\",\"dtype\":\"I8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
     "duplicate object key"},
    {"duplicate metadata", "{\"__metadata__\":{\"k\":\"v\",\"k\":\"w\"}}", 0, "duplicate object key"},
    {"a NUL in a name", "{" T("a\\u0000b", "U8", "[1]", 0, 1) "}", 1, "header: "},
    /* UTF-8 */
    {"a stray byte", "{" T("\xff", "U8", "[1]", 0, 1) "}", 1, "unable to decode byte"},
    {"an overlong form", "{" T("\xc0\x80", "U8", "[1]", 0, 1) "}", 1, "unable to decode byte"},
    {"a surrogate", "{" T("\xed\xa0\x80", "U8", "[1]", 0, 1) "}", 1, "unable to decode byte"},
    {"half a surrogate pair", "{" T("\\ud800", "U8", "[1]", 0, 1) "}", 1, "header: "},
    {"past the last code point", "{" T("\xf4\x90\x80\x80", "U8", "[1]", 0, 1) "}", 1, "unable to decode byte"},
    {"a cut character", "{" T("\xe2\x82", "U8", "[1]", 0, 1) "}", 1, "unable to decode byte"},
    /* metadata */
    {"metadata is text", "{\"__metadata__\":\"x\"}", 0, "\"__metadata__\" is not a JSON object"},
    {"metadata is null", "{\"__metadata__\":null}", 0, "\"__metadata__\" is not a JSON object"},
    {"nested metadata", "{\"__metadata__\":{\"k\":{\"n\":\"v\"}}}", 0, "metadata k: the value is not a string"},
    {"a number as metadata", "{\"__metadata__\":{\"k\":1}}", 0, "metadata k: the value is not a string"},
    {"a null as metadata", "{\"__metadata__\":{\"k\":null}}", 0, "metadata k: the value is not a string"},
    /* one entry */
    {"a tensor is a number", "{\"a\":1}", 0, "tensor a: its entry is not a JSON object"},
    {"a tensor is a list", "{\"a\":[]}", 0, "tensor a: its entry is not a JSON object"},
    {"no dtype", "{\"a\":{\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "tensor a: no \"dtype\""},
    {"dtype is a number", "{\"a\":{\"dtype\":8,\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "tensor a: no \"dtype\""},
    {"unknown dtype", "{" T("a", "F33", "[1]", 0, 1) "}", 1, "tensor a: unknown dtype F33"},
    {"lower-case dtype", "{" T("a", "u8", "[1]", 0, 1) "}", 1, "tensor a: unknown dtype u8"},
    {"prefix of a dtype", "{" T("a", "F3", "[1]", 0, 1) "}", 1, "tensor a: unknown dtype F3"},
    {"no shape", "{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, "tensor a: no \"shape\" list"},
    {"shape is a number", "{" T("a", "U8", "1", 0, 1) "}", 1, "tensor a: no \"shape\" list"},
    {"a negative axis", "{" T("a", "U8", "[1,-1]", 0, 1) "}", 1, "tensor a: axis 1 has no valid length"},
    {"a real axis", "{" T("a", "U8", "[1.0]", 0, 1) "}", 1, "tensor a: axis 0 has no valid length"},
    {"a text axis", "{" T("a", "U8", "[\"1\"]", 0, 1) "}", 1, "tensor a: axis 0 has no valid length"},
    {"an axis past 64 bits", "{" T("a", "U8", "[18446744073709551616]", 0, 1) "}", 1, "header: "},
    {"no offsets", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, "tensor a: \"data_offsets\" is not [begin, end]"},
    {"one offset", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0]}}", 1, "\"data_offsets\" is not"},
    {"three offsets", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1,2]}}", 1,
     "\"data_offsets\" is not"},
    {"a negative offset", "{" T("a", "U8", "[1]", -1, 0) "}", 1, "\"data_offsets\" is not"},
    {"a real offset", "{" T("a", "U8", "[1]", 0, 1.0) "}", 1, "\"data_offsets\" is not"},
    {"offsets as object", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":{\"0\":0,\"1\":1}}}", 1,
     "\"data_offsets\" is not"},
    /* the layout */
    {"offsets reversed", "{" T("a", "U8", "[1]", 1, 0) "}", 1, "tensor a: data at 1 … 0, expected to begin at 0"},
    {"reversed behind another", "{" T("a", "U8", "[2]", 0, 2) "," T("b", "U8", "[1]", 2, 1) "}", 2,
     "tensor b: data at"},
    {"a hole at the start", "{" T("a", "U8", "[1]", 1, 2) "}", 2, "tensor a: data at 1 … 2, expected to begin at 0"},
    {"a hole between", "{" T("a", "U8", "[1]", 0, 1) "," T("b", "U8", "[1]", 2, 3) "}", 3,
     "tensor b: data at 2 … 3, expected to begin at 1"},
    {"an overlap", "{" T("a", "U8", "[2]", 0, 2) "," T("b", "U8", "[2]", 1, 3) "}", 3,
     "tensor b: data at 1 … 3, expected to begin at 2"},
    {"the same place", "{" T("a", "U8", "[2]", 0, 2) "," T("b", "U8", "[2]", 0, 2) "}", 2, "tensor b: data at 0 … 2"},
    {"an empty tensor inside", "{" T("a", "U8", "[2]", 0, 2) "," T("b", "U8", "[0]", 1, 1) "}", 2, "tensor b: data at"},
    {"longer than the shape", "{" T("a", "F32", "[2]", 0, 9) "}", 9, "tensor a: 9 bytes of data, expected 8"},
    {"shorter than the shape", "{" T("a", "F32", "[2]", 0, 7) "}", 7, "tensor a: 7 bytes of data, expected 8"},
    {"rank 0 without data", "{" T("a", "F32", "[]", 0, 0) "}", 0, "tensor a: 0 bytes of data, expected 4"},
    {"empty with data", "{" T("a", "F32", "[0]", 0, 4) "}", 4, "tensor a: 4 bytes of data, expected 0"},
    {"half a byte", "{" T("a", "F4", "[3]", 0, 1) "}", 1, "tensor a: the shape's size overflows or is no whole bytes"},
    {"six bits", "{" T("a", "F6_E3M2", "[]", 0, 1) "}", 1, "overflows or is no whole bytes"},
    {"elements overflow", "{" T("a", "U8", "[4294967296,4294967296]", 0, 0) "}", 0, "overflows"},
    {"a length of -2^63", "{" T("a", "U8", "[-9223372036854775808]", 0, 4) "}", 4, "more than 63 bits"},
    {"a length of 2^63", "{" T("a", "U8", "[9223372036854775808]", 0, 4) "}", 4, "more than 63 bits"},
    {"a length of 20 digits", "{" T("a", "U8", "[18446744073709551617]", 0, 4) "}", 4, "more than 63 bits"},
    {"elements overflow to a fit", "{" T("a", "U8", "[9223372036854775807,2,2]", 0, 4) "}", 4, "overflows"},
    {"bits overflow", "{" T("a", "F64", "[288230376151711744]", 0, 0) "}", 0, "overflows"},
    {"bits overflow to a fit", "{" T("a", "U8", "[2305843009213693953]", 0, 1) "}", 1, "overflows"},
    {"overflow before an axis of 0", "{" T("a", "U8", "[4294967296,4294967296,0]", 0, 0) "}", 0, "overflows"},
    {"offsets near the limit", "{" T("a", "U8", "[9223372036854775807]", 0, 9223372036854775807) "}", 0, "overflows"},
    {"data missing", "{" T("a", "U8", "[8]", 0, 8) "}", 7, "7 bytes of data, expected 8 as the header says"},
    {"data behind the last", "{" T("a", "U8", "[8]", 0, 8) "}", 9, "9 bytes of data, expected 8 as the header says"},
    {"data without tensors", "{}", 1, "1 bytes of data, expected 0 as the header says"},
    {"a hostile name", "{" T("a\\u001b[2J\\nb", "F33", "[1]", 0, 1) "}", 1, "tensor a?[2J?b: unknown dtype"},
};

static void test_broken_headers(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
    const struct broken *b = &broken[i];
    size_t size;
    char *bytes = assemble(b->header, strlen(b->header), b->data_size, &size);
    sap_safetensors *file;
    void *block;
    sap_error err;
    sap_status status = parse(bytes, size, &file, &block, &err);
    if (status != SAP_ERROR_FORMAT || !strstr(err.text, b->text) || strncmp(err.text, NAME ": ", sizeof NAME + 1))
      fail_msg("%s: %s, text: %s", b->what, sap_status_name(status), err.text);
    assert_int_equal(err.code, SAP_ERROR_FORMAT);
    assert_null(file);
    assert_null(strchr(err.text, '\n'));
    assert_int_equal(sap_safetensors_parse(block, size, NAME, &file, NULL), SAP_ERROR_FORMAT);
    free(block);
    free(bytes);
  }
}

static void test_broken_lengths(void **state) {
  (void)state;
  static const struct {
    const char *bytes;
    size_t size;
    const char *text;
  } cases[] = {
      {"", 0, "0 bytes, expected at least 8"},
      {"\2\0\0\0\0\0\0", 7, "7 bytes, expected at least 8"},
      {"\2\0\0\0\0\0\0\0", 8, "header of 2 bytes, but only 0 follow"},
      {"\3\0\0\0\0\0\0\0{}", 10, "header of 3 bytes, but only 2 follow"},
      {"\1\0\0\0\0\0\0\0{}", 10, "header: "},
      {"\1\xe1\xf5\5\0\0\0\0{}", 10, "header of 100000001 bytes, expected at most 100000000"},
      {"\0\xe1\xf5\5\0\0\0\0{}", 10, "header of 100000000 bytes, but only 2 follow"},
      {"\xff\xff\xff\xff\xff\xff\xff\xff{}", 10, "header of 18446744073709551615 bytes"},
      {"\xf8\xff\xff\xff\xff\xff\xff\xff{}", 10, "header of 18446744073709551608 bytes"},
      {"PK\3\4\24\0\0\0\10\0", 10, "not safetensors?"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    sap_safetensors *file;
    void *block;
    sap_error err;
    assert_int_equal(parse(cases[i].bytes, cases[i].size, &file, &block, &err), SAP_ERROR_FORMAT);
    if (!strstr(err.text, cases[i].text) || strncmp(err.text, NAME, sizeof NAME - 1)) fail_msg("text: %s", err.text);
    free(block);
  }
}

static const char small[] = "{\"__metadata__\":{\"k\":\"v\"}," T("a", "F32", "[2,1]", 0, 8) "," T(
    "b", "I16", "[]", 8, 10) "," T("c", "BF16", "[0]", 10, 10) "}  ";

static void test_cut_anywhere(void **state) {
  (void)state;
  size_t size;
  char *bytes = assemble(small, sizeof small - 1, 10, &size);
  for (size_t cut = 0; cut <= size + 3; cut++) {
    char longer[512] = {0};
    memcpy(longer, bytes, size);
    sap_safetensors *file;
    void *block;
    sap_error err;
    sap_status status = parse(longer, cut, &file, &block, &err);
    assert_int_equal(status, cut == size ? SAP_OK : SAP_ERROR_FORMAT);
    if (status) assert_non_null(strstr(err.text, NAME));
    sap_safetensors_close(file);
    free(block);
  }
  free(bytes);
}

/* Every byte replaced by every other: refused, or a file whose tensors lie inside the data. */
static void test_every_byte_changed(void **state) {
  (void)state;
  size_t size, accepted = 0;
  char *bytes = assemble(small, sizeof small - 1, 10, &size);
  for (size_t at = 0; at < size - 10; at++) {
    char original = bytes[at];
    for (int value = 0; value < 256; value++) {
      bytes[at] = (char)value;
      sap_safetensors *file;
      sap_error err = {.text = ""};
      sap_status status = sap_safetensors_parse(bytes, size, NAME, &file, &err);
      if (status) {
        if ((status != SAP_ERROR_FORMAT && status != SAP_ERROR_UNSUPPORTED) || !strstr(err.text, NAME))
          fail_msg("byte %zu = %d: %s", at, value, err.text);
        continue;
      }
      accepted++;
      for (size_t i = 0; i < sap_safetensors_count(file); i++) {
        const sap_tensor *t = sap_safetensors_at(file, i);
        assert_true((const char *)t->data >= bytes + size - 10);
        assert_true((const char *)t->data + t->bytes <= bytes + size);
        assert_ptr_equal(sap_safetensors_find(file, t->name), t);
      }
      sap_safetensors_close(file);
    }
    bytes[at] = original;
  }
  assert_true(accepted > size); /* names, padding, digits that say the same */
  free(bytes);
}

static void test_rank_limit(void **state) {
  (void)state;
  static const char header[] = "{" T("deep", "U8", RANK9, 0, 1) "}";
  size_t size;
  char *bytes = assemble(header, sizeof header - 1, 1, &size);
  sap_safetensors *file;
  sap_error err;
  assert_int_equal(sap_safetensors_parse(bytes, size, NAME, &file, &err), SAP_ERROR_UNSUPPORTED);
  assert_non_null(strstr(err.text, NAME ": tensor deep: rank 9, expected at most 8"));
  free(bytes);
}

/* Thousands of brackets must not exhaust the stack. */
static void test_deep_nesting(void **state) {
  (void)state;
  size_t depth = 1000000, size;
  char *header = malloc(depth);
  memset(header, '[', depth);
  memcpy(header, "{\"a\":", 5);
  char *bytes = assemble(header, depth, 0, &size);
  sap_safetensors *file;
  sap_error err;
  assert_int_equal(sap_safetensors_parse(bytes, size, NAME, &file, &err), SAP_ERROR_FORMAT);
  assert_non_null(strstr(err.text, NAME ": header: "));
  free(bytes);
  free(header);
}

/* What other writers may do and ours does not. */
static const struct odd {
  const char *header;
  size_t data_size, tensors;
} accepted[] = {
    {" \t\r\n{}", 0, 0},
    {"{}  \n ", 0, 0},
    {"{\"__metadata__\":{}}", 0, 0},
    {"{" T("b", "U8", "[1]", 4, 5) "," T("a", "F32", "[1]", 0, 4) "}", 5, 2},
    {"{" T("a", "U8", "[1]", 0, 1) "," T("b", "F32", "[1]", 1, 5) "}", 5, 2}, /* not aligned */
    {"{" T("b", "U8", "[0]", 0, 0) "," T("a", "U8", "[5,0]", 0, 0) "," T("c", "U8", "[1]", 0, 1) "}", 1, 3},
    {"{" T("a", "U8", "[0,9223372036854775807,9223372036854775807]", 0, 0) "}", 0, 1},
    {"{" T("a", "F4", "[2]", 0, 1) "," T("b", "F6_E2M3", "[4]", 1, 4) "}", 4, 2},
    {"{\"a\":{\"data_offsets\":[0,1],\"shape\":[ 1 ],\"extra\":{\"x\":[]},\"dtype\":\"U8\"}}", 1, 1},
};

static void test_odd_but_valid(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof accepted / sizeof accepted[0]; i++) {
    size_t size;
    char *bytes = assemble(accepted[i].header, strlen(accepted[i].header), accepted[i].data_size, &size);
    sap_safetensors *file;
    void *block;
    sap_error err;
    if (parse(bytes, size, &file, &block, &err)) fail_msg("%s: %s", accepted[i].header, err.text);
    assert_int_equal(sap_safetensors_count(file), accepted[i].tensors);
    const char *next = (const char *)block + size - accepted[i].data_size;
    for (size_t t = 0; t < accepted[i].tensors; t++) {
      const sap_tensor *tensor = sap_safetensors_at(file, t);
      assert_ptr_equal(tensor->data, next);
      assert_ptr_equal(sap_safetensors_find(file, tensor->name), tensor);
      next += tensor->bytes;
    }
    sap_safetensors_close(file);
    free(block);
    free(bytes);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_broken_headers), cmocka_unit_test(test_broken_lengths),
      cmocka_unit_test(test_cut_anywhere),   cmocka_unit_test(test_every_byte_changed),
      cmocka_unit_test(test_rank_limit),     cmocka_unit_test(test_deep_nesting),
      cmocka_unit_test(test_odd_but_valid),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
