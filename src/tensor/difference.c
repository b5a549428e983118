#include "sapwood/difference.h"

#include <math.h>
#include <string.h>

#include "base/pages.h"
#include "base/threads.h"
#include "tensor/widen.h"

/* Elements that are looked at together, and the pieces that threads take: their results are combined in order. */
enum { BLOCK = 4096, PIECES = 256 };
#define PARALLEL_MIN (256 * 1024)

/* Two runs of elements of one type. */
typedef struct pair {
  const char *a, *b;
  sap_dtype dtype;
  size_t size; /* bytes an element */
  double tolerance;
} pair;

static void note(sap_difference *sum, double difference, double tolerance, uint64_t index) {
  sum->differing++;
  if (difference > tolerance) sum->beyond++;
  if (difference > sum->largest) {
    sum->largest = difference;
    sum->index = index;
  }
}

static void compare_floats(const pair *p, uint64_t start, size_t n, sap_difference *sum) {
  double a[BLOCK], b[BLOCK];
  sap_dtype_to_f64(p->dtype, p->a + start * p->size, a, n);
  sap_dtype_to_f64(p->dtype, p->b + start * p->size, b, n);
  for (size_t i = 0; i < n; i++) {
    if (a[i] == b[i] || (isnan(a[i]) && isnan(b[i]))) continue;
    const double difference = fabs(a[i] - b[i]);
    note(sum, isnan(difference) ? INFINITY : difference, p->tolerance, start + i);
    sum->pattern += (a[i] == 0) != (b[i] == 0);
  }
}

/* A whole number of 1, 2, 4 or 8 bytes, its sign apart: magnitudes of 64 bits do not fit in one. */
static uint64_t whole(const char *at, size_t size, int is_signed, int *negative) {
  uint64_t value = 0;
  memcpy(&value, at, size); /* little-endian */
  const uint64_t sign = (uint64_t)1 << (8 * size - 1);
  *negative = is_signed && (value & sign);
  return *negative ? sign - (value & (sign - 1)) : value;
}

static double whole_difference(const pair *p, const char *a, const char *b, int is_signed) {
  int minus_a, minus_b;
  const uint64_t x = whole(a, p->size, is_signed, &minus_a), y = whole(b, p->size, is_signed, &minus_b);
  if (minus_a != minus_b) return (double)x + (double)y;
  return (double)(x > y ? x - y : y - x);
}

static int all_zero(const char *bytes, size_t size) {
  for (size_t i = 0; i < size; i++)
    if (bytes[i]) return 0;
  return 1;
}

static void compare_others(const pair *p, uint64_t start, size_t n, sap_difference *sum) {
  const int is_signed = p->dtype == SAP_I8 || p->dtype == SAP_I16 || p->dtype == SAP_I32 || p->dtype == SAP_I64;
  const int is_unsigned = p->dtype == SAP_U8 || p->dtype == SAP_U16 || p->dtype == SAP_U32 || p->dtype == SAP_U64;
  const char *a = p->a + start * p->size, *b = p->b + start * p->size;
  if (!memcmp(a, b, n * p->size)) return;
  for (size_t i = 0; i < n; i++, a += p->size, b += p->size) {
    if (!memcmp(a, b, p->size)) continue;
    note(sum, is_signed || is_unsigned ? whole_difference(p, a, b, is_signed) : 1, p->tolerance, start + i);
    sum->pattern += all_zero(a, p->size) != all_zero(b, p->size);
  }
}

static sap_difference compare_piece(const pair *p, uint64_t first, uint64_t last, unsigned mapped_a,
                                    unsigned mapped_b) {
  sap_difference sum = {0};
  sap__pages pages_a = SAP__PAGES_NONE, pages_b = SAP__PAGES_NONE;
  for (uint64_t i = first; i < last; i += BLOCK) {
    const size_t n = last - i < BLOCK ? (size_t)(last - i) : BLOCK;
    if (mapped_a) sap__pages_read(&pages_a, p->a + i * p->size, p->a + (i + n) * p->size);
    if (mapped_b) sap__pages_read(&pages_b, p->b + i * p->size, p->b + (i + n) * p->size);
    if (sap_dtype_prunable(p->dtype))
      compare_floats(p, i, n, &sum);
    else
      compare_others(p, i, n, &sum);
  }
  sap__pages_done(&pages_a);
  sap__pages_done(&pages_b);
  return sum;
}

sap_difference sap_difference_find(sap_dtype dtype, const void *a, const void *b, uint64_t n, double tolerance,
                                   unsigned mapped) {
  const unsigned bits = sap_dtype_bits(dtype);
  const pair p = {a, b, dtype, bits >= 8 ? bits / 8 : 1, tolerance};
  if (bits < 8) n = (n * bits + 7) / 8;
  const uint64_t blocks = (n + BLOCK - 1) / BLOCK;
  const unsigned pieces = blocks < PIECES ? (unsigned)blocks : PIECES;
  sap_difference parts[PIECES], sum = {0};
#pragma omp parallel for schedule(dynamic, 1) if (n >= PARALLEL_MIN)
  for (unsigned i = 0; i < pieces; i++) {
    const uint64_t first = sap__part(blocks, i, pieces) * BLOCK, end = sap__part(blocks, i + 1, pieces) * BLOCK;
    parts[i] = compare_piece(&p, first, end < n ? end : n, mapped & 1, mapped & 2);
  }
  for (unsigned i = 0; i < pieces; i++) {
    sum.differing += parts[i].differing;
    sum.beyond += parts[i].beyond;
    sum.pattern += parts[i].pattern;
    if (parts[i].largest > sum.largest) {
      sum.largest = parts[i].largest;
      sum.index = parts[i].index;
    }
  }
  return sum;
}
