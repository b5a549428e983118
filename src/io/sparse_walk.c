/* A lane is a byte of a vector, and a step half a byte of its code. What the step does depends on these four bits and
 * on how many bits of a gap's low part are still to come: 7 bits, for which the vector holds a table of 128 bytes. So
 * 64 codes advance by two look-ups: what is to come and how many gaps began, and what the low parts add up to. */
#include "io/sparse_walk.h"

#include <string.h>

#include "sapwood/cpu.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define WIDE __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi")))
#define INSIDE WIDE static inline __attribute__((always_inline)) /* so that near_end is a constant */

enum { LANES = SAP__WALK_LANES, EIGHT = 8, ROWS = 32, LOW = 0x0f, HIGH = 0xf0, SELECT = 0xca };

int sap__walk_possible(void) { return sap_cpu_active() == SAP_CPU_AVX512 && __builtin_cpu_supports("avx512vbmi"); }

/* Index: bits to come << 4 | the next four bits of the code. */
typedef struct tables {
  uint8_t next[128];  /* bits to come then << 4 | gaps that began */
  uint8_t rests[128]; /* what these bits are worth */
} tables;

static void fill_tables(unsigned k, tables *t) {
  for (unsigned i = 0; i < 128; i++) {
    unsigned come = i >> 4, began = 0, rests = 0;
    for (unsigned bit = 0; bit < 4; bit++) {
      const unsigned set = i >> bit & 1;
      if (come) {
        rests += set << (k - (come < k ? come : k));
        come--;
      } else if (set) {
        began++;
        come = k;
      }
    }
    t->next[i] = (uint8_t)(come << 4 | began);
    t->rests[i] = (uint8_t)rests;
  }
}

/* Numbers of 16 bits, for even and for odd lanes, added up as 32. */
typedef struct sums {
  __m512i even[2], odd[2];
} sums;

WIDE static inline void add_half(__m512i x, __m512i to[2]) {
  to[0] = _mm512_add_epi32(to[0], _mm512_cvtepu16_epi32(_mm512_castsi512_si256(x)));
  to[1] = _mm512_add_epi32(to[1], _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(x, 1)));
}

WIDE static inline void add_sums(sums *s, __m512i even, __m512i odd) {
  add_half(even, s->even);
  add_half(odd, s->odd);
}

typedef struct walker {
  __m512i next[2], rests[2]; /* the tables */
  __m512i state;             /* an entry of `next` */
  __m512i before;            /* the state where the last byte began */
  sums kept, sum;
} walker;

/* What ROWS rows add up to: gaps, and what their low parts are worth, of even and of odd lanes. */
typedef struct counts {
  __m512i kept, even, odd;
} counts;

/* What a row, a byte of each lane, adds: gaps in the low half of each byte, and what their low parts are worth. */
typedef struct found {
  __m512i kept, rests;
} found;

INSIDE found walk_row(walker *w, __m512i code) {
  const __m512i high = _mm512_set1_epi8((char)HIGH);
  const __m512i one = _mm512_ternarylogic_epi64(high, w->state, code, SELECT);
  const __m512i middle = _mm512_permutex2var_epi8(w->next[0], one, w->next[1]);
  const __m512i two = _mm512_ternarylogic_epi64(high, middle, _mm512_srli_epi16(code, 4), SELECT);
  w->state = _mm512_permutex2var_epi8(w->next[0], two, w->next[1]);
  return (found){_mm512_add_epi8(middle, w->state),
                 _mm512_add_epi8(_mm512_permutex2var_epi8(w->rests[0], one, w->rests[1]),
                                 _mm512_permutex2var_epi8(w->rests[0], two, w->rests[1]))};
}

/* Two rows have at most eight gaps, so nothing of their numbers is carried out of the low half, and their low parts are
 * worth 254 at most: two of 127 each, whole or in pieces. */
INSIDE void add_found(found a, found b, counts *c) {
  const __m512i low = _mm512_set1_epi8(LOW), bytes = _mm512_set1_epi16(0xff);
  const __m512i rests = _mm512_add_epi8(a.rests, b.rests);
  c->kept = _mm512_add_epi8(c->kept, _mm512_and_si512(_mm512_add_epi8(a.kept, b.kept), low));
  c->even = _mm512_add_epi16(c->even, _mm512_and_si512(rests, bytes));
  c->odd = _mm512_add_epi16(c->odd, _mm512_srli_epi16(rests, 8));
}

/* If a lane's last byte is in the row `ends`, the state before it is to be kept. */
INSIDE void note_end(walker *w, __m512i ends, int row) {
  const __mmask64 last = _mm512_cmpeq_epi8_mask(ends, _mm512_set1_epi8((char)row));
  w->before = _mm512_mask_mov_epi8(w->before, last, w->state);
}

/* EIGHT rows, of which the first has number `first`; lanes may end in them if an end is near. */
INSIDE void walk_rows(walker *w, const __m512i rows[EIGHT], int near_end, __m512i ends, int first, counts *c) {
  for (int row = 0; row < EIGHT; row += 2) {
    if (near_end) note_end(w, ends, first + row);
    const found one = walk_row(w, rows[row]);
    if (near_end) note_end(w, ends, first + row + 1);
    add_found(one, walk_row(w, rows[row + 1]), c);
  }
}

/* Turns eight vectors of eight numbers of 64 bits, number i of vector k to number k of vector i, but for the last step:
 * what belongs to vectors k and k + 4 is then in b[k], and that from the last four vectors in b[k + 4]. */
INSIDE void turn_most(const __m512i v[EIGHT], __m512i b[EIGHT]) {
  __m512i a[EIGHT];
  for (int i = 0; i < EIGHT; i += 2) { /* a: of two vectors, numbers 0 2 4 6, and 1 3 5 7 */
    a[i] = _mm512_unpacklo_epi64(v[i], v[i + 1]);
    a[i + 1] = _mm512_unpackhi_epi64(v[i], v[i + 1]);
  }
  for (int i = 0; i < EIGHT; i += 4) /* b: of four vectors, 0 4, 1 5, 2 6 and 3 7 */
    for (int k = 0; k < 2; k++) {
      b[i + k] = _mm512_shuffle_i64x2(a[i + k], a[i + k + 2], 0x88);
      b[i + k + 2] = _mm512_shuffle_i64x2(a[i + k], a[i + k + 2], 0xdd);
    }
}

INSIDE void turn(__m512i v[EIGHT]) {
  __m512i b[EIGHT];
  turn_most(v, b);
  for (int k = 0; k < 4; k++) {
    v[k] = _mm512_shuffle_i64x2(b[k], b[k + 4], 0x88);
    v[k + 4] = _mm512_shuffle_i64x2(b[k], b[k + 4], 0xdd);
  }
}

/* The same of eight codes, and brings all first bytes of each vector first, by the places that find_places() found. */
INSIDE void turn_bytes(__m512i v[EIGHT], const __m512i places[2]) {
  __m512i b[EIGHT];
  turn_most(v, b);
  for (int k = 0; k < 4; k++) {
    v[k] = _mm512_permutex2var_epi8(b[k], places[0], b[k + 4]);
    v[k + 4] = _mm512_permutex2var_epi8(b[k], places[1], b[k + 4]);
  }
}

/* Byte i of a vector becomes byte i / 8 of code i % 8; two codes follow each other in every other 16 bytes. */
WIDE static void find_places(__m512i places[2]) {
  uint8_t at[LANES];
  for (int i = 0; i < LANES; i++) at[i] = (uint8_t)(i % EIGHT / 2 * 32 + i % 2 * EIGHT + i / EIGHT);
  places[0] = _mm512_loadu_si512(at);
  places[1] = _mm512_add_epi8(places[0], _mm512_set1_epi8(16));
}

/* The next 64 bytes of a code that may end, zeros behind its end, and in which of them it ends. */
WIDE static __m512i load_end(const sap__walk_lane *lane, uint32_t from, uint8_t *end) {
  const uint32_t left = lane->bytes > from ? lane->bytes - from : 0;
  *end = (uint8_t)(left > LANES ? UINT8_MAX : left - 1);
  if (left >= LANES) return _mm512_loadu_si512(lane->code + from);
  return _mm512_maskz_loadu_epi8(((__mmask64)1 << left) - 1, left ? lane->code + from : lane->code);
}

/* The next 64 bytes of all codes, not yet in rows, and in which of them each code ends. Vector g of the eight i has the
 * bytes 8 i … 8 i + 7 of the codes 8 g … 8 g + 7, all first bytes first: turn() makes rows of eight such vectors. */
typedef struct stretch {
  __m512i eights[EIGHT][EIGHT];
  uint8_t ends[LANES];
} stretch;

/* The part of the codes 8 g … 8 g + 7. */
INSIDE void load_eight(const sap__walk_lane *lanes, uint32_t from, int near_end, int g, const __m512i places[2],
                       stretch *to) {
  __m512i codes[EIGHT];
  lanes += EIGHT * g;
  for (int i = 0; i < EIGHT; i++)
    codes[i] =
        near_end ? load_end(&lanes[i], from, &to->ends[EIGHT * g + i]) : _mm512_loadu_si512(lanes[i].code + from);
  turn_bytes(codes, places);
  for (int i = 0; i < EIGHT; i++) to->eights[i][g] = codes[i];
}

/* Walks through a stretch, and meanwhile loads the next: a walk is one long chain of look-ups that wait for each other,
 * between which there is time. */
INSIDE void walk_stretch(walker *w, stretch *now, int near_end, const sap__walk_lane *lanes, uint32_t next,
                         const __m512i places[2], stretch *to) {
  const __m512i ends = _mm512_loadu_si512(now->ends), bytes = _mm512_set1_epi16(0xff);
  for (int half = 0; half < EIGHT; half += ROWS / EIGHT) {
    counts c = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
    for (int i = half; i < half + ROWS / EIGHT; i++) {
      turn(now->eights[i]);
      walk_rows(w, now->eights[i], near_end, ends, EIGHT * i, &c);
      load_eight(lanes, next, near_end, i, places, to);
    }
    add_sums(&w->kept, _mm512_and_si512(c.kept, bytes), _mm512_srli_epi16(c.kept, 8));
    add_sums(&w->sum, c.even, c.odd);
  }
}

WIDE static void store_sums(const sums *s, uint32_t out[LANES]) {
  uint32_t even[LANES / 2], odd[LANES / 2];
  for (int i = 0; i < 2; i++) {
    _mm512_storeu_si512(even + 16 * i, s->even[i]);
    _mm512_storeu_si512(odd + 16 * i, s->odd[i]);
  }
  for (int i = 0; i < LANES / 2; i++) {
    out[2 * i] = even[i];
    out[2 * i + 1] = odd[i];
  }
}

WIDE void sap__walk(unsigned k, sap__walk_lane lanes[SAP__WALK_LANES]) {
  tables t;
  walker w = {.state = _mm512_setzero_si512()};
  uint32_t longest = 0, shortest = UINT32_MAX, kept[LANES], rests[LANES];
  uint8_t before[LANES];
  stretch stretches[2];
  fill_tables(k, &t);
  for (int i = 0; i < 2; i++) {
    w.next[i] = _mm512_loadu_si512(t.next + 64 * i);
    w.rests[i] = _mm512_loadu_si512(t.rests + 64 * i);
  }
  for (int i = 0; i < LANES; i++) {
    longest = lanes[i].bytes > longest ? lanes[i].bytes : longest;
    shortest = lanes[i].bytes < shortest ? lanes[i].bytes : shortest;
  }
  __m512i places[2];
  find_places(places);
  for (int g = 0; g < EIGHT; g++) load_eight(lanes, 0, 1, g, places, &stretches[0]);
  memset(stretches[1].ends, UINT8_MAX, LANES);
  uint32_t from = 0, now = 0;
  for (; from + 2 * LANES < shortest; from += LANES, now ^= 1) /* nothing ends in this stretch or the next */
    walk_stretch(&w, &stretches[now], 0, lanes, from + LANES, places, &stretches[now ^ 1]);
  for (; from < longest; from += LANES, now ^= 1)
    walk_stretch(&w, &stretches[now], 1, lanes, from + LANES, places, &stretches[now ^ 1]);
  store_sums(&w.kept, kept);
  store_sums(&w.sum, rests);
  _mm512_storeu_si512(before, w.before);
  for (int i = 0; i < LANES; i++) {
    lanes[i].kept = kept[i];
    lanes[i].rests = rests[i];
    lanes[i].before = before[i] >> 4;
  }
}

#else

int sap__walk_possible(void) { return 0; }

void sap__walk(unsigned k, sap__walk_lane lanes[SAP__WALK_LANES]) {
  (void)k;
  (void)lanes;
}

#endif
