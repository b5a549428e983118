/* Masks, bit by bit. */
#include <stdlib.h>

#include "tensor/mask_window.h"
#include "tensor/pack.h"
#include "unit.h"
#include "weights.h"

#define MOST 1500
#define WORDS (MOST / 64 + 6)
static uint64_t mask[WORDS];
static uint8_t bytes[MOST + 8];

static void fill_and_count(void **state) {
  (void)state;
  for (size_t n = 0; n < MOST; n++) {
    memset(mask, 0xa5, sizeof mask);
    sap_mask_fill(mask, n);
    assert_int_equal(sap_mask_count(mask, n), n);
    for (size_t i = 0; i < sap_mask_words(n) * 64; i++) assert_int_equal(sap_mask_get(mask, i), i < n);
    assert_true(mask[sap_mask_words(n)] == 0xa5a5a5a5a5a5a5a5u);
    uint64_t expected = 0;
    weights_mask(mask, 0, n, 0.4);
    for (size_t i = 0; i < n; i++) expected += (uint64_t)sap_mask_get(mask, i);
    assert_int_equal(sap_mask_count(mask, n), expected);
  }
  static uint64_t full[20000];
  sap_mask_fill(full, 64 * 20000 - 3);
  assert_int_equal(sap_mask_count(full, 64 * 20000 - 3), 64 * 20000 - 3);
}

static void get_set_clear(void **state) {
  (void)state;
  memset(mask, 0, sizeof mask);
  for (int step = 0; step < 5000; step++) {
    uint64_t i = weights_below(MOST), before[WORDS];
    memcpy(before, mask, sizeof mask);
    if (step & 1)
      sap_mask_set(mask, i);
    else
      sap_mask_clear(mask, i);
    assert_int_equal(sap_mask_get(mask, i), step & 1);
    before[i / 64] = step & 1 ? before[i / 64] | (uint64_t)1 << i % 64 : before[i / 64] & ~((uint64_t)1 << i % 64);
    assert_memory_equal(mask, before, sizeof mask);
  }
}

static void bytes_and_back(void **state) {
  (void)state;
  for (size_t n = 0; n < MOST; n += 1 + n / 9) {
    for (size_t i = 0; i < n; i++) bytes[i] = (uint8_t)(weights_random() & 1 ? 0 : weights_random());
    uint64_t last = sap_mask_words(n) ? sap_mask_words(n) - 1 : 0;
    memset(mask, 0xff, sizeof mask);
    sap_mask_from_bytes(bytes, n, mask);
    for (size_t i = 0; i < n; i++) assert_int_equal(sap_mask_get(mask, i), bytes[i] != 0);
    if (n % 64) assert_true(mask[last] >> n % 64 == 0);
    uint8_t back[MOST + 8];
    memset(back, 7, sizeof back);
    sap_mask_to_bytes(mask, n, back);
    for (size_t i = 0; i < n; i++) assert_int_equal(back[i], bytes[i] != 0);
    assert_int_equal(back[n], 7);
  }
}

/* Every type, at an odd address. */
static void apply_zeroes_the_pruned(void **state) {
  (void)state;
  static uint8_t data[8 * MOST + 16], before[8 * MOST + 16];
  for (int dtype = 0; dtype < SAP_DTYPE_COUNT; dtype++) {
    size_t size = sap_dtype_bits((sap_dtype)dtype) / 8;
    if (sap_dtype_bits((sap_dtype)dtype) % 8) continue;
    for (size_t n = 0; n < MOST; n += 1 + n / 3) {
      for (size_t i = 0; i < sizeof data; i++) before[i] = data[i] = (uint8_t)(1 + weights_below(255));
      memset(mask, 0, sizeof mask);
      weights_mask(mask, 0, n, n % 3 ? 0.5 : n % 2 ? 0 : 1.1);
      sap_mask_apply(data + 1, (sap_dtype)dtype, mask, n);
      for (size_t i = 0; i < n; i++)
        for (size_t b = 0; b < size; b++)
          assert_int_equal(data[1 + i * size + b], sap_mask_get(mask, i) ? before[1 + i * size + b] : 0);
      assert_int_equal(data[0], before[0]);
      assert_memory_equal(data + 1 + n * size, before + 1 + n * size, 15);
    }
  }
}

static void expect_nonzero(sap_dtype dtype, uint64_t value, int kept) {
  uint64_t one;
  sap_mask_from_nonzeros(&value, dtype, 1, &one);
  if (one != (uint64_t)kept) fail_msg("%s %llx: found %d", sap_dtype_name(dtype), (unsigned long long)value, (int)one);
}

static void nonzeros(void **state) {
  (void)state;
  static const sap_dtype signed_floats[] = {SAP_F8_E5M2, SAP_F8_E4M3, SAP_F16, SAP_BF16, SAP_F32, SAP_F64};
  for (size_t i = 0; i < 6; i++) {
    uint64_t sign = (uint64_t)1 << (sap_dtype_bits(signed_floats[i]) - 1);
    expect_nonzero(signed_floats[i], 0, 0);
    expect_nonzero(signed_floats[i], sign, 0); /* −0 */
    expect_nonzero(signed_floats[i], 1, 1);    /* the least subnormal */
    expect_nonzero(signed_floats[i], sign | 1, 1);
  }
  static const sap_dtype others[] = {SAP_BOOL, SAP_U8, SAP_I8, SAP_I16, SAP_U16, SAP_I32, SAP_U32, SAP_I64, SAP_U64};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    expect_nonzero(others[i], 0, 0);
    expect_nonzero(others[i], 1, 1);
    expect_nonzero(others[i], (uint64_t)1 << (sap_dtype_bits(others[i]) - 1), 1);
  }
  expect_nonzero(SAP_F8_E8M0, 0, 1);        /* 2^-127 */
  expect_nonzero(SAP_F8_E4M3FNUZ, 0x80, 1); /* NaN: there is no −0 */
  expect_nonzero(SAP_C64, 0x8000000080000000u, 0);
  expect_nonzero(SAP_C64, 0x8000000000000001u, 1);
  for (size_t n = 0; n < MOST; n += 1 + n / 5) {
    static float w[MOST];
    weights_fill(w, n, WEIGHTS_TERNARY);
    memset(mask, 0xff, sizeof mask);
    sap_mask_from_nonzeros(w, SAP_F32, n, mask);
    for (size_t i = 0; i < n; i++) assert_int_equal(sap_mask_get(mask, i), w[i] != 0);
    if (n % 64) assert_true(mask[n / 64] >> n % 64 == 0);
  }
}

static void windows(void **state) {
  (void)state;
  for (int trial = 0; trial < 3000; trial++) {
    size_t n = weights_below(600);
    uint64_t offset = weights_below(800), words[12], expected[WORDS];
    for (size_t i = 0; i < WORDS; i++) mask[i] = weights_random();
    memset(words, 0xff, sizeof words);
    sap__mask_read(mask, offset, n, words);
    for (size_t i = 0; i < (n + 63) / 64 * 64; i++)
      assert_int_equal(sap_mask_get(words, i), i < n && sap_mask_get(mask, offset + i));
    memcpy(expected, mask, sizeof mask);
    memset(words, 0, sizeof words);
    weights_mask(words, 0, n, 0.5);
    for (size_t i = 0; i < n; i++)
      if (sap_mask_get(words, i)) sap_mask_clear(expected, offset + i);
    sap__mask_remove(mask, offset, n, words);
    assert_memory_equal(mask, expected, sizeof mask);
  }
}

/* Blocks of just their size, behind an odd address: a byte read or written outside shows under a sanitizer. */
static void packing(void **state) {
  (void)state;
  static const double densities[] = {0, 0.02, 0.2, 0.5, 0.9, 1};
  for (int trial = 0; trial < 1200; trial++) {
    const size_t size = (size_t)1 << trial % 4, n = trial < 600 ? (size_t)trial / 4 : weights_below(MOST);
    memset(mask, 0, sizeof mask);
    weights_mask(mask, 0, n, densities[trial / 4 % 6]);
    const size_t kept = (size_t)sap_mask_count(mask, n);
    uint8_t *elements = malloc(n * size + 1), *values = malloc(kept * size + 1), *again = malloc(n * size + 1);
    assert_true(elements && values && again);
    for (size_t i = 0; i <= n * size; i++) elements[i] = (uint8_t)(1 + weights_below(255));
    memset(again, 0xa5, n * size + 1);
    values[0] = again[0] = 0x5a;
    assert_int_equal(sap__pack(elements + 1, size, mask, n, values + 1), kept);
    for (size_t i = 0, at = 0; i < n; i++)
      if (sap_mask_get(mask, i))
        assert_memory_equal(values + 1 + size * at++, elements + 1 + size * i, size);
      else
        memset(elements + 1 + size * i, 0, size);
    assert_int_equal(sap__unpack(values + 1, size, mask, n, again + 1), kept);
    assert_memory_equal(again + 1, elements + 1, n * size);
    assert_true(values[0] == 0x5a && again[0] == 0x5a);
    uint64_t found[WORDS];
    memset(found, 0xff, sizeof found);
    sap__nonzeros(again + 1, size, UINT64_MAX, n, found);
    assert_memory_equal(found, mask, sap_mask_words(n) * sizeof *mask);
    free(elements);
    free(values);
    free(again);
  }
}

static void lowest_bits(void **state) {
  (void)state;
  assert_true(sap__lowest_bits(0xf0f0, 3) == 0x70);
  assert_true(sap__lowest_bits(0xf0f0, 0) == 0);
  assert_true(sap__lowest_bits(0xf0f0, 8) == 0xf0f0);
  assert_true(sap__lowest_bits(0xf0f0, 99) == 0xf0f0);
  assert_true(sap__lowest_bits(~(uint64_t)0, 63) == ~(uint64_t)0 >> 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(fill_and_count), cmocka_unit_test(get_set_clear),
      cmocka_unit_test(bytes_and_back), cmocka_unit_test(apply_zeroes_the_pruned),
      cmocka_unit_test(nonzeros),       cmocka_unit_test(windows),
      cmocka_unit_test(packing),        cmocka_unit_test(lowest_bits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
