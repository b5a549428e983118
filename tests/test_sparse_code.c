/* The sparse code of a block: every density and length comes back, sizes are those of a Rice code, and no bytes are
 * taken for a code that the rules do not allow. */
#include <stdlib.h>
#include <string.h>

#include "io/sparse_check.h"
#include "io/sparse_code.h"
#include "sapwood/mask.h"
#include "unit.h"

static uint64_t state_of_random = 1;

static double uniform(void) {
  state_of_random = state_of_random * 6364136223846793005u + 1442695040888963407u;
  return (double)(state_of_random >> 11) * 0x1p-53;
}

static void make_mask(uint64_t *mask, uint32_t length, double density) {
  memset(mask, 0, SAP__SPARSE_CODE_MAX);
  for (uint32_t i = 0; i < length; i++)
    if (uniform() < density) sap_mask_set(mask, i);
}

/* Encodes in a block of just the size, decodes, compares; returns the code's bytes. */
static uint32_t check_round_trip(const uint64_t *mask, uint32_t length) {
  static uint64_t again[SAP__SPARSE_WORDS + 1];
  const sap__sparse_block block = sap__sparse_measure(mask, length);
  uint8_t record[SAP__SPARSE_RECORD], *code = malloc(block.bytes + 1);
  sap__sparse_block found;
  assert_non_null(code);
  assert_true(block.bytes <= (length + 7) / 8);
  assert_int_equal(block.kept, sap_mask_count(mask, length));
  code[block.bytes] = 0xa5;
  sap__sparse_encode(mask, block, code);
  assert_int_equal(code[block.bytes], 0xa5);
  sap__sparse_record_write(block, record);
  assert_null(sap__sparse_record_read(record, length, &found));
  assert_memory_equal(&found, &block, sizeof block);
  uint8_t *exact = malloc(block.bytes + !block.bytes);
  assert_non_null(exact);
  memcpy(exact, code, block.bytes);
  memset(again, 0xff, sizeof again);
  const char *wrong = sap__sparse_decode(found, exact, length, again);
  if (wrong) fail_msg("length %u, kept %u, k %u: %s", length, block.kept, block.k, wrong);
  assert_memory_equal(again, mask, sap_mask_words(length) * sizeof *mask);
  assert_true(again[sap_mask_words(length)] == UINT64_MAX);
  free(exact);
  free(code);
  return block.bytes;
}

static void test_every_density_and_length(void **state) {
  (void)state;
  static const double densities[] = {0,   0.00001, 0.0001, 0.001, 0.01, 0.02, 0.05,  0.1,     0.2,
                                     0.3, 0.4,     0.5,    0.7,   0.9,  0.99, 0.999, 0.99999, 1};
  static const uint32_t lengths[] = {1, 2, 7, 8, 9, 63, 64, 65, 127, 128, 129, 1000, 4095, 65473, 65535, 65536};
  static uint64_t mask[SAP__SPARSE_WORDS];
  for (size_t d = 0; d < sizeof densities / sizeof *densities; d++)
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
      for (int turn = 0; turn < 3; turn++) {
        make_mask(mask, lengths[l], densities[d]);
        check_round_trip(mask, lengths[l]);
      }
}

/* All masks of few weights: no corner is left to chance. */
static void test_every_small_mask(void **state) {
  (void)state;
  for (uint32_t length = 1; length <= 12; length++)
    for (uint64_t mask = 0; mask < (uint64_t)1 << length; mask++) check_round_trip(&mask, length);
}

/* A single kept weight, two at the ends, runs, every other one, whole rows: patterns with extreme gaps. */
static void test_patterns(void **state) {
  (void)state;
  static uint64_t mask[SAP__SPARSE_WORDS];
  for (uint32_t at = 0; at < SAP__SPARSE_BLOCK; at += at < 70 || at > 65460 ? 1 : 977) {
    memset(mask, 0, sizeof mask);
    sap_mask_set(mask, at);
    check_round_trip(mask, SAP__SPARSE_BLOCK);
    sap_mask_set(mask, SAP__SPARSE_BLOCK - 1);
    sap_mask_set(mask, 0);
    check_round_trip(mask, SAP__SPARSE_BLOCK);
  }
  for (uint32_t run = 1; run < SAP__SPARSE_BLOCK; run *= 2) {
    memset(mask, 0, sizeof mask);
    for (uint32_t i = 0; i < SAP__SPARSE_BLOCK; i++)
      if (i / run % 2) sap_mask_set(mask, i);
    check_round_trip(mask, SAP__SPARSE_BLOCK);
    memset(mask, 0, sizeof mask);
    for (uint32_t i = 0; i < SAP__SPARSE_BLOCK; i += run) sap_mask_set(mask, i);
    check_round_trip(mask, SAP__SPARSE_BLOCK);
  }
}

/* Bits a weight of random masks, against the entropy: a Rice code with the right parameter is near it. */
static void test_sizes(void **state) {
  (void)state;
  static const struct {
    double density, entropy;
  } cases[] = {{0.2, 0.7219}, {0.1, 0.4690}, {0.05, 0.2864}, {0.02, 0.1414}, {0.01, 0.0808}, {0.001, 0.01141}};
  static uint64_t mask[SAP__SPARSE_WORDS];
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    double bytes = 0, blocks = 40;
    for (int block = 0; block < 40; block++) {
      make_mask(mask, SAP__SPARSE_BLOCK, cases[i].density);
      bytes += check_round_trip(mask, SAP__SPARSE_BLOCK);
    }
    const double bits = 8 * bytes / blocks / SAP__SPARSE_BLOCK;
    assert_true(bits > 0.98 * cases[i].entropy && bits < 1.04 * cases[i].entropy);
  }
}

/* The bytes are those of the rules: written down here by hand. */
static void test_the_very_bytes(void **state) {
  (void)state;
  static const struct {
    uint64_t mask[2];
    uint32_t length;
    sap__sparse_block block;
    uint8_t code[4];
  } cases[] = {
      {{0x0d}, 5, {3, 1, 0}, {0x0d}},                         /* 1 0 1 1 0: the mask itself */
      {{0x8000}, 17, {1, 1, 3}, {0x1e}},                      /* gap 15 = 1 · 8 + 7: 0 1, 1 1 1 */
      {{0, 0}, 100, {0, 0, 0}, {0}},                          /* none */
      {{UINT64_MAX, 7}, 67, {67, 0, 0}, {0}},                 /* all */
      {{(uint64_t)1 << 40, 1}, 128, {2, 2, 4}, {0x44, 0x0f}}, /* gaps 40 = 2 · 16 + 8 and 23 = 1 · 16 + 7 */
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const sap__sparse_block block = sap__sparse_measure(cases[i].mask, cases[i].length);
    uint8_t code[8] = {0};
    assert_memory_equal(&block, &cases[i].block, sizeof block);
    sap__sparse_encode(cases[i].mask, block, code);
    assert_memory_equal(code, cases[i].code, 4);
  }
  uint8_t record[SAP__SPARSE_RECORD];
  static const uint8_t expected[] = {0x03, 0x02, 0x01, 0x00, 0x34, 0x12, 0x0f, 0x00};
  sap__sparse_record_write((sap__sparse_block){0x010203, 0x1234, 15}, record);
  assert_memory_equal(record, expected, sizeof record);
}

/* ---- what is not allowed ---- */

/* The list of positions, the check alone and the check of many say what decoding says. */
static void check_the_others(sap__sparse_block block, const uint8_t *code, uint32_t length, const char *wrong,
                             const uint64_t *mask) {
  const uint32_t first = 1000000;
  uint32_t *positions = malloc((block.kept + 1) * sizeof *positions), kept = 0;
  sap__sparse_job jobs[4];
  size_t owner = 99;
  assert_non_null(positions);
  assert_ptr_equal(sap__sparse_list(block, code, length, first, positions), wrong);
  for (uint32_t i = 0; i < length && !wrong; i++)
    if (sap_mask_get(mask, i)) assert_int_equal(positions[kept++], first + i);
  assert_ptr_equal(sap__sparse_check(block, code, length), wrong);
  for (size_t i = 0; i < 4; i++)
    jobs[i] = (sap__sparse_job){.block = block, .code = code, .length = length, .owner = 7};
  if (block.bytes) assert_ptr_equal(sap__sparse_check_jobs(jobs, 4, &owner), wrong);
  assert_int_equal(owner, block.bytes && wrong ? 7 : 99);
  free(positions);
}

/* Another bit, another k, another count or another length: an error, or the mask that the code then stands for, encoded
 * by no rule but that one. */
static void check_damaged(sap__sparse_block block, const uint8_t *code, uint32_t length) {
  static uint64_t mask[SAP__SPARSE_WORDS];
  uint8_t record[SAP__SPARSE_RECORD], *exact = malloc(block.bytes + !block.bytes);
  sap__sparse_block read;
  assert_non_null(exact);
  if (block.bytes) memcpy(exact, code, block.bytes);
  sap__sparse_record_write(block, record);
  const int readable = !sap__sparse_record_read(record, length, &read);
  const char *wrong = readable ? sap__sparse_decode(read, exact, length, mask) : NULL;
  if (readable) check_the_others(read, exact, length, wrong, mask);
  if (readable && !wrong) {
    assert_int_equal(sap_mask_count(mask, length), block.kept);
    if (length % 64) assert_int_equal(mask[length / 64] >> length % 64, 0);
    uint8_t again[2 * SAP__SPARSE_CODE_MAX] = {0};
    sap__sparse_encode(mask, read, again);
    assert_memory_equal(again, exact, block.bytes);
  }
  free(exact);
}

static void test_damage(void **state) {
  (void)state;
  static const double densities[] = {0.3, 0.1, 0.01, 0.001};
  static uint64_t mask[SAP__SPARSE_WORDS];
  for (int turn = 0; turn < 200; turn++) {
    const uint32_t length = 1 + (uint32_t)(uniform() * 3000);
    make_mask(mask, length, densities[turn % 4]);
    const sap__sparse_block block = sap__sparse_measure(mask, length);
    uint8_t code[SAP__SPARSE_CODE_MAX + 8] = {0};
    sap__sparse_encode(mask, block, code);
    for (uint32_t bit = 0; bit < 8 * block.bytes; bit++) {
      code[bit / 8] ^= (uint8_t)(1 << bit % 8);
      check_damaged(block, code, length);
      code[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (uint32_t k = 0; k <= SAP__SPARSE_K_MAX; k++)
      check_damaged((sap__sparse_block){block.kept, block.bytes, k}, code, length);
    for (uint32_t less = 0; less <= block.kept && less < 9; less++)
      check_damaged((sap__sparse_block){block.kept - less, block.bytes, block.k}, code, length);
    for (uint32_t other = 1; other < 9; other++) {
      check_damaged((sap__sparse_block){block.kept + other, block.bytes, block.k}, code, length);
      check_damaged((sap__sparse_block){block.kept, block.bytes + other, block.k}, code, length);
      if (other <= block.bytes)
        check_damaged((sap__sparse_block){block.kept, block.bytes - other, block.k}, code, length);
      if (other < length) check_damaged(block, code, length - other);
    }
  }
}

/* Whole blocks of all densities checked at once; then with one bit wrong in one of them. */
static void test_many_at_once(void **state) {
  (void)state;
  enum { BLOCKS = 330 }; /* of one kind: two groups, one and a part */
  static uint8_t codes[BLOCKS][SAP__SPARSE_CODE_MAX];
  static uint64_t mask[SAP__SPARSE_WORDS];
  sap__sparse_job right[BLOCKS], jobs[BLOCKS];
  size_t owner;
  for (size_t i = 0; i < BLOCKS; i++) {
    const uint32_t length = i % 5 ? SAP__SPARSE_BLOCK : 1 + (uint32_t)(uniform() * SAP__SPARSE_BLOCK);
    make_mask(mask, length, i < 240 ? 0.05 : 0.4 * uniform() * uniform() * uniform());
    sap_mask_set(mask, 0);
    const sap__sparse_block block = sap__sparse_measure(mask, length);
    sap__sparse_encode(mask, block, codes[i]);
    right[i] = (sap__sparse_job){.block = block, .code = codes[i], .length = length, .owner = i};
  }
  memcpy(jobs, right, sizeof jobs);
  assert_null(sap__sparse_check_jobs(jobs, BLOCKS, &owner));
  for (size_t turn = 0; turn < BLOCKS; turn++) {
    const size_t i = turn % BLOCKS;
    const uint32_t bit = (uint32_t)(uniform() * 8 * right[i].block.bytes);
    codes[i][bit / 8] ^= (uint8_t)(1 << bit % 8);
    const char *wrong = sap__sparse_check(right[i].block, codes[i], right[i].length);
    memcpy(jobs, right, sizeof jobs);
    assert_ptr_equal(sap__sparse_check_jobs(jobs, BLOCKS, &owner), wrong);
    if (wrong) assert_int_equal(owner, i);
    codes[i][bit / 8] ^= (uint8_t)(1 << bit % 8);
  }
}

static const char *decode(uint32_t kept, uint32_t k, const char *code, uint32_t bytes, uint32_t length) {
  static uint64_t mask[SAP__SPARSE_WORDS];
  return sap__sparse_decode((sap__sparse_block){kept, bytes, k}, (const uint8_t *)code, length, mask);
}

static void assert_says(const char *wrong, const char *expected) {
  if (!wrong || !strstr(wrong, expected)) fail_msg("found: %s, expected: %s", wrong ? wrong : "nothing", expected);
}

static void test_wrong_codes(void **state) {
  (void)state;
  assert_null(decode(1, 3, "\x12", 1, 13)); /* 0 1, 0 0 1: gap 12 */
  assert_says(decode(1, 3, "\x12", 1, 12), "past its last weight");
  assert_says(decode(1, 3, "\x00", 1, 17), "ends before"); /* no 1 */
  assert_says(decode(1, 3, "\x80", 1, 17), "ends before"); /* no low bits behind the 1 */
  assert_says(decode(1, 3, "\x12\x00", 2, 17), "longer");  /* a byte too many */
  assert_says(decode(1, 4, "\x41", 1, 17), "longer");      /* an unused bit is 1 */
  assert_says(decode(2, 0, "\x0d", 1, 5), "another number");
  assert_says(decode(3, 0, "\x0d\x00", 2, 16), "longer"); /* the mask is not cut off */
  assert_says(decode(2, 0, "\x21", 1, 5), "past its last weight");
  assert_says(decode(1, 1, "\x00\x00\x00\x00\x00\x00\x00\x80\x00", 9, 100), "past its last weight");
}

static void test_wrong_records(void **state) {
  (void)state;
  static const struct {
    uint32_t kept, bytes, k, length;
    const char *expected;
  } cases[] = {
      {101, 1, 0, 100, "more weights than it has"},
      {10, 4, 16, 100, "above 15"},
      {10, 4, 0x100, 100, "above 15"},
      {0, 1, 0, 100, "all or none"},
      {0, 0, 1, 100, "all or none"},
      {100, 13, 0, 100, "all or none"},
      {10, 0, 0, 100, "too short"},
      {10, 4, 3, 100, "too short"},
      {10, 14, 0, 100, "longer than its mask"},
      {65537, 8192, 0, 65536, "more weights"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    uint8_t record[SAP__SPARSE_RECORD];
    sap__sparse_block block = {.kept = 77};
    sap__sparse_record_write((sap__sparse_block){cases[i].kept, cases[i].bytes, cases[i].k}, record);
    assert_says(sap__sparse_record_read(record, cases[i].length, &block), cases[i].expected);
    assert_int_equal(block.kept, 77);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_density_and_length),
      cmocka_unit_test(test_every_small_mask),
      cmocka_unit_test(test_patterns),
      cmocka_unit_test(test_sizes),
      cmocka_unit_test(test_the_very_bytes),
      cmocka_unit_test(test_damage),
      cmocka_unit_test(test_many_at_once),
      cmocka_unit_test(test_wrong_codes),
      cmocka_unit_test(test_wrong_records),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
