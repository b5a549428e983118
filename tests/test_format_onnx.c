/* ONNX models that lie, are cut short or meet missing memory; and what becomes of their external files. */
#include <sys/stat.h>

#include "alloc_fault.h"
#include "sapwood/checkpoint.h"
#include "sapwood/mask.h"
#include "scratch.h"
#include "unit.h"

/* ---- writing messages ---- */

typedef struct message {
  uint8_t bytes[2048];
  size_t size;
} message;

static void put_varint(message *m, uint64_t value) {
  for (; value >= 0x80; value >>= 7) m->bytes[m->size++] = (uint8_t)(value | 0x80);
  m->bytes[m->size++] = (uint8_t)value;
}

static void put_int(message *m, unsigned number, uint64_t value) {
  put_varint(m, number << 3);
  put_varint(m, value);
}

static void put_bytes(message *m, unsigned number, const void *bytes, size_t size) {
  put_varint(m, number << 3 | 2);
  put_varint(m, size);
  assert_true(m->size + size < sizeof m->bytes);
  memcpy(m->bytes + m->size, bytes, size);
  m->size += size;
}

static void put_text(message *m, unsigned number, const char *text) { put_bytes(m, number, text, strlen(text)); }
static void put_message(message *m, unsigned number, const message *inner) {
  put_bytes(m, number, inner->bytes, inner->size);
}

/* TensorProto, all but the values. */
static message tensor(const char *name, unsigned type, unsigned rank, uint64_t a, uint64_t b) {
  message t = {.size = 0};
  if (rank > 0) put_int(&t, 1, a);
  if (rank > 1) put_int(&t, 1, b);
  put_int(&t, 2, type);
  put_text(&t, 8, name);
  return t;
}

static message raw_tensor(const char *name, uint64_t a, uint64_t b) {
  float values[64] = {1, -2, 0, 4, 5, -6, 7, 8, 9};
  message t = tensor(name, 1, 2, a, b);
  put_bytes(&t, 9, values, a * b * sizeof(float));
  return t;
}

/* SparseTensorProto with nnz values at the given positions. */
static message sparse_tensor(const char *name, uint64_t a, uint64_t b, unsigned nnz, const int64_t *positions) {
  float values[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  message s = {.size = 0}, v = tensor(name, 1, 1, nnz, 0), i = tensor("", 7, 1, nnz, 0);
  put_bytes(&v, 9, values, nnz * sizeof(float));
  put_bytes(&i, 9, positions, nnz * sizeof *positions);
  put_message(&s, 1, &v);
  put_message(&s, 2, &i);
  put_int(&s, 3, a);
  put_int(&s, 3, b);
  return s;
}

static void put_external(message *t, const char *key, const char *value) {
  message pair = {.size = 0};
  put_text(&pair, 1, key);
  put_text(&pair, 2, value);
  put_message(t, 13, &pair);
}

static message external_tensor(const char *location) {
  message t = tensor("e", 1, 1, 4, 0);
  put_external(&t, "location", location);
  put_int(&t, 14, 1);
  return t;
}

static message model_of(const message *graph) {
  message m = {.size = 0}, opset = {.size = 0};
  put_int(&m, 1, 8);
  put_int(&opset, 2, 17);
  put_message(&m, 7, graph);
  put_message(&m, 8, &opset);
  return m;
}

static message one(unsigned number, message t) {
  message graph = {.size = 0};
  put_message(&graph, number, &t);
  return model_of(&graph);
}

/* A raw, a typed and a sparse initializer, and a constant inside a branch. */
static message every_form(void) {
  static const int64_t positions[2] = {3, 70};
  message graph = {.size = 0}, branch = {.size = 0}, constant = {.size = 0}, value = {.size = 0}, node = {.size = 0};
  message attribute = {.size = 0}, raw = raw_tensor("raw", 3, 3), half = tensor("half", 10, 1, 2, 0);
  message sparse = sparse_tensor("sparse", 10, 10, 2, positions), inner = raw_tensor("", 2, 4);
  put_bytes(&half, 5, "\x80\x78\x00", 3); /* 0x3c00, 0 */
  put_text(&value, 1, "value");
  put_message(&value, 5, &inner);
  put_int(&value, 20, 4);
  put_text(&constant, 2, "c");
  put_text(&constant, 4, "Constant");
  put_message(&constant, 5, &value);
  put_message(&branch, 1, &constant);
  put_text(&attribute, 1, "body");
  put_message(&attribute, 6, &branch);
  put_text(&node, 4, "Loop");
  put_message(&node, 5, &attribute);
  put_message(&graph, 1, &node);
  put_message(&graph, 5, &raw);
  put_message(&graph, 5, &half);
  put_message(&graph, 15, &sparse);
  message m = model_of(&graph), pair = {.size = 0};
  put_text(&pair, 1, "author");
  put_text(&pair, 2, "nobody");
  put_message(&m, 14, &pair);
  return m;
}

static sap_status open_bytes(const message *m, const char *name, sap_checkpoint **checkpoint, sap_error *err) {
  scratch_write(scratch_path(name), m->bytes, m->size);
  *checkpoint = NULL;
  *err = (sap_error){.text = ""};
  return sap_checkpoint_open(scratch_path(name), NULL, checkpoint, err);
}

/* Opening, or loading the first tensor, fails with the status and a text that names the file and has `text` in it. */
static void expect(message m, sap_status status, const char *text) {
  sap_checkpoint *checkpoint;
  sap_error err;
  sap_status found = open_bytes(&m, "broken.onnx", &checkpoint, &err);
  if (!found) {
    found = sap_checkpoint_load(checkpoint, 0, &err);
    assert_null(sap_checkpoint_at(checkpoint, 0)->data);
  }
  sap_checkpoint_close(checkpoint);
  if (found != status || !strstr(err.text, text)) fail_msg("expected \"%s\", found %d: %s", text, found, err.text);
  assert_non_null(strstr(err.text, "broken.onnx: "));
}

/* ---- lies ---- */

static void test_models(void **state) {
  (void)state;
  message m = {.size = 0}, graph = {.size = 0};
  expect(m, SAP_ERROR_FORMAT, "no graph");
  put_int(&m, 1, 8);
  expect(m, SAP_ERROR_FORMAT, "no graph");
  put_message(&m, 7, &graph);
  put_message(&m, 7, &graph);
  expect(m, SAP_ERROR_FORMAT, "byte 4: a second graph, expected one");
  m.size = 2;
  put_int(&m, 7, 1);
  expect(m, SAP_ERROR_FORMAT, "byte 2: not a field of an ONNX model");
  m.size = 2;
  m.bytes[m.size++] = 0x3b; /* a group */
  expect(m, SAP_ERROR_FORMAT, "byte 2: not a field");
  m.size = 2;
  put_bytes(&m, 7, "\x2a\x05\x08", 3);
  expect(m, SAP_ERROR_FORMAT, "byte 4: a malformed field");
  m.size = 2;
  memset(m.bytes + m.size, 0xff, 11);
  m.size += 11;
  expect(m, SAP_ERROR_FORMAT, "byte 2: not a field");
}

static void test_dense(void **state) {
  (void)state;
  message t = raw_tensor("w", 2, 3);
  put_int(&t, 1, 2);
  expect(one(5, t), SAP_ERROR_FORMAT, "w: 24 bytes of raw data, expected 48");
  expect(one(5, tensor("w", 1, 1, 2, 0)), SAP_ERROR_FORMAT, "w: 0 bytes of raw data, expected 8");
  expect(one(5, tensor("w", 1, 2, 1ull << 40, 1ull << 40)), SAP_ERROR_FORMAT, "w: its shape exceeds 64 bits");
  expect(one(5, tensor("w", 1, 1, 1ull << 62, 0)), SAP_ERROR_FORMAT, "w: its shape exceeds 64 bits");
  expect(one(5, tensor("w", 1, 1, (uint64_t)-1, 0)), SAP_ERROR_FORMAT, "a negative length");
  t = tensor("w", 1, 0, 0, 0);
  for (int i = 0; i < 9; i++) put_int(&t, 1, 1);
  put_bytes(&t, 9, "abcd", 4);
  expect(one(5, t), SAP_ERROR_UNSUPPORTED, "w: rank 9, expected at most 8");
  t = raw_tensor("w", 1, 1);
  put_bytes(&t, 4, "abcd", 4);
  expect(one(5, t), SAP_ERROR_FORMAT, "values in two fields");
  t = tensor("w", 1, 1, 1, 0);
  put_bytes(&t, 10, "abcdefgh", 8);
  expect(one(5, t), SAP_ERROR_FORMAT, "w: values in field 10, expected 4");
  t = tensor("w", 1, 1, 2, 0);
  put_bytes(&t, 4, "abcd", 4);
  expect(one(5, t), SAP_ERROR_FORMAT, "w: 4 bytes of values, expected 8");
  t = tensor("w", 10, 1, 2, 0);
  put_bytes(&t, 5, "\x80\x80\x00", 3);
  expect(one(5, t), SAP_ERROR_FORMAT, "w: fewer values");
  t = tensor("w", 10, 1, 1, 0);
  put_bytes(&t, 5, "\x01\x01", 2);
  expect(one(5, t), SAP_ERROR_FORMAT, "w: more values");
  t = tensor("w", 2, 1, 1, 0);
  put_int(&t, 5, 256);
  expect(one(5, t), SAP_ERROR_FORMAT, "w: a value outside the range");
  t = tensor("w", 3, 1, 1, 0);
  put_int(&t, 5, (uint64_t)-129);
  expect(one(5, t), SAP_ERROR_FORMAT, "w: a value outside the range");
  t = tensor("w", 9, 1, 1, 0);
  put_int(&t, 5, 2);
  expect(one(5, t), SAP_ERROR_FORMAT, "w: a value outside the range");
  t = raw_tensor("w", 1, 1);
  put_int(&t, 2, 1);
  expect(one(5, t), SAP_ERROR_FORMAT, "data_type is malformed");
  t = raw_tensor("w", 1, 1);
  put_text(&t, 8, "v");
  expect(one(5, t), SAP_ERROR_FORMAT, "a field is there twice");
  t = raw_tensor("w", 1, 1);
  put_text(&t, 3, "");
  expect(one(5, t), SAP_ERROR_UNSUPPORTED, "w: stored in segments");
  expect(one(5, raw_tensor("\xff", 1, 1)), SAP_ERROR_FORMAT, "not UTF-8");
  message graph = {.size = 0};
  t = raw_tensor("w", 1, 1);
  put_message(&graph, 5, &t);
  put_message(&graph, 5, &t);
  expect(model_of(&graph), SAP_ERROR_FORMAT, "w: two tensors of this name");
}

static void test_sparse(void **state) {
  (void)state;
  const int64_t good[3] = {0, 3, 5}, equal[2] = {3, 3}, falling[2] = {3, 2}, outside[2] = {0, 6}, negative[1] = {-1};
  expect(one(15, sparse_tensor("s", 2, 3, 2, equal)), SAP_ERROR_FORMAT, "s: its indices do not ascend");
  expect(one(15, sparse_tensor("s", 2, 3, 2, falling)), SAP_ERROR_FORMAT, "s: its indices do not ascend");
  expect(one(15, sparse_tensor("s", 2, 3, 2, outside)), SAP_ERROR_FORMAT, "s: an index outside its shape");
  expect(one(15, sparse_tensor("s", 2, 3, 1, negative)), SAP_ERROR_FORMAT, "s: an index outside its shape");
  expect(one(15, sparse_tensor("s", 1, 2, 3, good)), SAP_ERROR_FORMAT,
         "s: 3 sparse values of rank 1, expected at most 2");
  expect(one(15, sparse_tensor("s", 0, 2, 0, good)), SAP_ERROR_FORMAT, "s: a sparse tensor without elements");
  expect(one(15, sparse_tensor("s", 1ull << 33, 1ull << 33, 1, good)), SAP_ERROR_FORMAT,
         "s: its shape exceeds 64 bits");
  expect(one(15, sparse_tensor("s", 1ull << 30, 1ull << 20, 1, good)), SAP_ERROR_FORMAT, "s: decoded it has");
  message s = {.size = 0}, v = tensor("s", 1, 1, 1, 0), i = tensor("", 7, 1, 2, 0);
  put_bytes(&v, 9, "abcd", 4);
  put_int(&s, 3, 4);
  expect(one(15, s), SAP_ERROR_FORMAT, "a sparse tensor without values");
  put_message(&s, 1, &v);
  expect(one(15, s), SAP_ERROR_FORMAT, "s: indices of data_type 0");
  put_bytes(&i, 9, good, 16);
  put_message(&s, 2, &i);
  expect(one(15, s), SAP_ERROR_FORMAT, "s: indices of rank 1 and length 2, expected [1] or [1,1]");
}

/* ---- external data ---- */

static void test_locations(void **state) {
  (void)state;
  float values[4] = {1, 2, 3, 4};
  scratch_write(scratch_path("w.bin"), values, sizeof values);
  static const char *const refused[] = {"/etc/passwd", "../w.bin", "a/../w.bin", "a//w.bin", "./", "a/./w.bin", ".."};
  for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
    expect(one(5, external_tensor(refused[i])), SAP_ERROR_FORMAT, "e: external data at a location");
  expect(one(5, external_tensor("none.bin")), SAP_ERROR_NOT_FOUND, "e: external data none.bin: no such file");
  expect(one(5, external_tensor("broken.onnx")), SAP_ERROR_FORMAT, "the model itself");
  expect(one(5, external_tensor("")), SAP_ERROR_FORMAT, "external data without a location");
  assert_int_equal(symlink("/etc/hostname", scratch_path("link.bin")), 0);
  expect(one(5, external_tensor("link.bin")), SAP_ERROR_FORMAT, "e: external data link.bin: a link out of the model");
  assert_int_equal(mkdir(scratch_path("folder"), 0777), 0);
  expect(one(5, external_tensor("folder")), SAP_ERROR_IO, "a folder, expected a file");
  message t = external_tensor("w.bin");
  put_external(&t, "offset", "4");
  expect(one(5, t), SAP_ERROR_FORMAT, "e: external data of 16 bytes from 4 on, expected to end within the file's 16");
  put_external(&t, "length", "12");
  expect(one(5, t), SAP_ERROR_FORMAT, "e: 12 bytes of external data, expected 16");
  t = external_tensor("w.bin");
  put_external(&t, "offset", "18446744073709551615");
  expect(one(5, t), SAP_ERROR_FORMAT, "expected to end within");
  t = external_tensor("w.bin");
  put_external(&t, "offset", "-1");
  expect(one(5, t), SAP_ERROR_FORMAT, "offset of its external data is no number");
  t = external_tensor("w.bin");
  put_external(&t, "prefetch", "1");
  expect(one(5, t), SAP_ERROR_FORMAT, "an unknown key in its external_data");
  t = external_tensor("w.bin");
  put_bytes(&t, 9, values, sizeof values);
  expect(one(5, t), SAP_ERROR_FORMAT, "values inside and in an external file");
}

/* The copy has the external file beside it, masked; what is there already is not overwritten, and a failure leaves
 * nothing behind. */
static void test_external_rewrite(void **state) {
  (void)state;
  const float values[4] = {1, 2, 3, 4};
  const uint64_t mask = 0x5, *masks[1] = {&mask};
  sap_checkpoint *checkpoint;
  sap_error err;
  scratch_write(scratch_path("w.bin"), values, sizeof values);
  message m = one(5, external_tensor("./w.bin"));
  assert_int_equal(open_bytes(&m, "m.onnx", &checkpoint, &err), SAP_OK);
  assert_int_equal(sap_checkpoint_rewrite(checkpoint, masks, scratch_path("n.onnx"), &err), SAP_ERROR_EXISTS);
  assert_non_null(strstr(err.text, "w.bin: exists already"));
  assert_int_equal(access(scratch_path("n.onnx"), F_OK), -1);
  assert_int_equal(mkdir(scratch_path("out"), 0777), 0);
  assert_int_equal(sap_checkpoint_rewrite(checkpoint, masks, scratch_path("out/w.bin"), &err), SAP_ERROR_ARGUMENT);
  assert_int_equal(scratch_entries(scratch_path("out")), 0);
  assert_int_equal(mkdir(scratch_path("out/m.onnx"), 0777), 0); /* the model cannot be written: its file goes, too */
  assert_int_equal(sap_checkpoint_rewrite(checkpoint, masks, scratch_path("out/m.onnx"), &err), SAP_ERROR_IO);
  assert_int_equal(scratch_entries(scratch_path("out")), 1);
  assert_int_equal(sap_checkpoint_rewrite(checkpoint, masks, scratch_path("out/n.onnx"), &err), SAP_OK);
  sap_checkpoint_close(checkpoint);
  size_t size;
  char *copy = scratch_read(scratch_path("out/n.onnx"), &size);
  assert_int_equal(size, m.size);
  assert_memory_equal(copy, m.bytes, size);
  free(copy);
  float *written = (float *)(void *)scratch_read(scratch_path("out/w.bin"), &size);
  assert_int_equal(size, sizeof values);
  for (int i = 0; i < 4; i++) assert_true(written[i] == (i % 2 ? 0 : values[i]));
  free(written);
}

/* ---- cut short, and without memory ---- */

static void test_truncated(void **state) {
  (void)state;
  message m = every_form();
  size_t whole = m.size, opened = 0;
  for (m.size = 0; m.size < whole; m.size++) {
    sap_checkpoint *checkpoint;
    sap_error err;
    sap_status status = open_bytes(&m, "cut.onnx", &checkpoint, &err);
    if (status) {
      assert_int_equal(status, SAP_ERROR_FORMAT);
      assert_non_null(strstr(err.text, "cut.onnx: "));
    } else { /* between two fields of the model, with the graph whole */
      opened++;
      assert_int_equal(sap_checkpoint_count(checkpoint), 4);
    }
    sap_checkpoint_close(checkpoint);
  }
  assert_int_equal(opened, 2); /* behind the graph, behind the opset */
}

static sap_status everything(const char *path, sap_error *err) {
  static const uint64_t mask[2] = {0x1555555555555555u, 0x1fffff};
  const uint64_t *masks[4] = {mask, mask, mask, mask};
  sap_checkpoint *checkpoint = NULL;
  sap_status status = sap_checkpoint_open(path, NULL, &checkpoint, err);
  if (!status) status = sap_checkpoint_convert(checkpoint, NULL, SAP_ENCODING_SPARSE, scratch_path("s.onnx"), err);
  if (!status) status = sap_checkpoint_convert(checkpoint, masks, SAP_ENCODING_DENSE, scratch_path("d.onnx"), err);
  for (size_t i = 0; !status && i < sap_checkpoint_count(checkpoint); i++)
    status = sap_checkpoint_load(checkpoint, i, err);
  if (!status) status = sap_checkpoint_rewrite(checkpoint, masks, scratch_path("r.onnx"), err);
  sap_checkpoint_close(checkpoint);
  return status;
}

static void test_memory(void **state) {
  (void)state;
  message m = every_form();
  char path[512];
  snprintf(path, sizeof path, "%s", scratch_path("faults.onnx"));
  scratch_write(path, m.bytes, m.size);
  size_t files = scratch_entries(scratch_folder);
  long k = 1;
  for (;; k++) {
    size_t before = fault_live();
    sap_error err = {.text = ""};
    fault_arm(k);
    sap_status status = everything(path, &err);
    int failed = fault_disarm();
    assert_int_equal(fault_live(), before);
    if (!failed) {
      assert_int_equal(status, SAP_OK);
      break;
    }
    /* realpath of the output may fail for want of memory, and then the path is taken as it is */
    if (status) assert_int_equal(status, SAP_ERROR_MEMORY);
  }
  assert_true(k > 50);
  assert_int_equal(scratch_entries(scratch_folder), files + 3);
}

/* Lengths of one byte in messages that grow to need two and more; names of what is inside graphs. */
static void test_forms(void **state) {
  (void)state;
  message m = every_form();
  sap_checkpoint *checkpoint;
  sap_error err;
  assert_int_equal(open_bytes(&m, "forms.onnx", &checkpoint, &err), SAP_OK);
  static const char *const names[4] = {"#0/body/c", "raw", "half", "sparse"};
  for (size_t i = 0; i < 4; i++) assert_string_equal(sap_checkpoint_at(checkpoint, i)->name, names[i]);
  size_t count;
  const sap_metadata *pairs = sap_checkpoint_metadata(checkpoint, &count);
  assert_int_equal(count, 1);
  assert_string_equal(pairs[0].key, "author");
  assert_int_equal(sap_checkpoint_convert(checkpoint, NULL, SAP_ENCODING_DENSE, scratch_path("dense.onnx"), &err), 0);
  sap_checkpoint *dense = NULL;
  assert_int_equal(sap_checkpoint_open(scratch_path("dense.onnx"), NULL, &dense, &err), SAP_OK);
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(sap_checkpoint_load(checkpoint, i, &err), SAP_OK);
    assert_int_equal(sap_checkpoint_load(dense, i, &err), SAP_OK);
    const sap_tensor *a = sap_checkpoint_at(checkpoint, i), *b = sap_checkpoint_at(dense, i);
    assert_string_equal(a->name, b->name);
    assert_int_equal(a->bytes, b->bytes);
    assert_memory_equal(a->data, b->data, a->bytes);
  }
  assert_int_equal(sap_checkpoint_at(dense, 3)->bytes, 400);
  assert_true(sap_checkpoint_mapped(dense, 3));
  assert_int_equal(sap_mask_count(sap_checkpoint_mask(checkpoint, 3), 100), 2);
  assert_null(sap_checkpoint_mask(dense, 3));
  sap_checkpoint_close(dense);
  sap_checkpoint_close(checkpoint);
}

/* Graphs inside graphs, far more than any model has. */
static void test_nesting(void **state) {
  (void)state;
  message graph = {.size = 0};
  for (int depth = 0; depth < 40; depth++) {
    message attribute = {.size = 0}, node = {.size = 0}, outer = {.size = 0};
    put_message(&attribute, 6, &graph);
    put_message(&node, 5, &attribute);
    put_message(&outer, 1, &node);
    graph = outer;
  }
  expect(model_of(&graph), SAP_ERROR_UNSUPPORTED, "more than 32 graphs inside each other");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_models),           cmocka_unit_test(test_dense),     cmocka_unit_test(test_sparse),
      cmocka_unit_test(test_locations),        cmocka_unit_test(test_truncated), cmocka_unit_test(test_memory),
      cmocka_unit_test(test_external_rewrite), cmocka_unit_test(test_forms),     cmocka_unit_test(test_nesting),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
