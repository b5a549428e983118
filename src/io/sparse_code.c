#include "io/sparse_code.h"

#include <string.h>

#include "sapwood/mask.h"

enum { CANDIDATES = 4 }; /* values of k that are tried */
enum { WINDOW = 57 };    /* bits of a word from any bit of its first byte on */

/* The gaps before the kept weights of a mask, one after the other. */
typedef struct gaps {
  const uint64_t *mask;
  uint64_t rest; /* of the word at hand */
  uint32_t word;
  uint32_t next; /* the position behind the last kept weight */
} gaps;

static gaps gaps_of(const uint64_t *mask) { return (gaps){mask, mask[0], 0, 0}; }

/* There is another one. */
static inline uint32_t gap_next(gaps *g) {
  while (!g->rest) g->rest = g->mask[++g->word];
  const uint32_t at = 64 * g->word + (uint32_t)__builtin_ctzll(g->rest), gap = at - g->next;
  g->rest &= g->rest - 1;
  g->next = at + 1;
  return gap;
}

static uint32_t last_kept(const uint64_t *mask, uint32_t length) {
  uint32_t word = (length - 1) / 64;
  while (!mask[word]) word--;
  return 64 * word + 63 - (uint32_t)__builtin_clzll(mask[word]);
}

static uint32_t log2_floor(uint32_t x) { return x ? 31 - (uint32_t)__builtin_clz(x) : 0; }

/* ---- encoding ---- */

/* Gaps that fall off geometrically, as those of independent weights do, have their best k at the logarithm of the mean
 * gap or one beside it; clustered ones a little lower. */
sap__sparse_block sap__sparse_measure(const uint64_t *mask, uint32_t length) {
  sap__sparse_block block = {.kept = (uint32_t)sap_mask_count(mask, length)};
  if (!block.kept || block.kept == length) return block;
  const uint32_t end = last_kept(mask, length) + 1;
  block.bytes = (end + 7) / 8;
  if (2 * block.kept >= end) return block; /* any other k takes two bits for each */
  const uint32_t middle = log2_floor((end - block.kept) / block.kept);
  const uint32_t lowest = middle < 2 ? 0 : middle - 2;
  uint32_t zeros[CANDIDATES] = {0};
  gaps g = gaps_of(mask);
  for (uint32_t i = 0; i < block.kept; i++) {
    const uint32_t gap = gap_next(&g) >> lowest;
    for (int j = 0; j < CANDIDATES; j++) zeros[j] += gap >> j;
  }
  uint64_t least = UINT64_MAX;
  for (uint32_t j = 0; j < CANDIDATES && lowest + j <= SAP__SPARSE_K_MAX; j++) {
    const uint64_t bits = (uint64_t)block.kept * (lowest + j + 1) + zeros[j];
    if (bits >= least) continue;
    least = bits;
    block.k = lowest + j;
  }
  block.bytes = (uint32_t)((least + 7) / 8);
  return block;
}

/* Bits on their way into bytes. */
typedef struct bit_writer {
  uint8_t *next;
  uint64_t bits;
  uint32_t count; /* below 8 between calls */
} bit_writer;

/* The `count` lowest bits of `bits`, at most 56 and the others 0. */
static inline void put_bits(bit_writer *w, uint64_t bits, uint32_t count) {
  w->bits |= bits << w->count;
  for (w->count += count; w->count >= 8; w->count -= 8) {
    *w->next++ = (uint8_t)w->bits;
    w->bits >>= 8;
  }
}

/* Copies mask bits as bytes, on a machine of any byte order. */
static void words_to_bytes(const uint64_t *words, uint32_t count, uint8_t *bytes) {
  for (uint32_t i = 0; i < count; i++) bytes[i] = (uint8_t)(words[i / 8] >> 8 * (i % 8));
}

void sap__sparse_encode(const uint64_t *mask, sap__sparse_block block, uint8_t *code) {
  if (!block.bytes) return;
  if (!block.k) {
    words_to_bytes(mask, block.bytes, code);
    return;
  }
  bit_writer w = {.next = code};
  gaps g = gaps_of(mask);
  for (uint32_t i = 0; i < block.kept; i++) {
    const uint32_t gap = gap_next(&g);
    uint32_t zeros = gap >> block.k;
    for (; zeros > 32; zeros -= 32) put_bits(&w, 0, 32);
    put_bits(&w, (uint64_t)1 << zeros | (uint64_t)(gap & ((1u << block.k) - 1)) << (zeros + 1), zeros + 1 + block.k);
  }
  if (w.count) *w.next = (uint8_t)w.bits;
}

/* ---- decoding ---- */

static inline uint64_t read_word(const uint8_t *b) {
  return (uint64_t)b[0] | (uint64_t)b[1] << 8 | (uint64_t)b[2] << 16 | (uint64_t)b[3] << 24 | (uint64_t)b[4] << 32 |
         (uint64_t)b[5] << 40 | (uint64_t)b[6] << 48 | (uint64_t)b[7] << 56;
}

/* The word at a byte of the code, zeros behind its end. */
static inline uint64_t code_word(const uint8_t *code, uint32_t bytes, uint32_t byte) {
  if (byte + 8 <= bytes) return read_word(code + byte);
  uint8_t last[8] = {0};
  if (byte < bytes) memcpy(last, code + byte, bytes - byte);
  return read_word(last);
}

/* The code from bit `at` on: WINDOW bits at least. */
static inline uint64_t window(const uint8_t *code, uint32_t bytes, uint32_t at) {
  return code_word(code, bytes, at / 8) >> at % 8;
}

static const char ends_early[] = "its code ends before its last kept weight";
static const char too_far[] = "its code leads past its last weight";
static const char rest_set[] = "its code is longer than its kept weights need";
static const char other_count[] = "its code keeps another number of weights than its record says";

/* Where the kept weights of a block are told: a mask, a list of positions plus `first`, or (both NULL) nowhere. */
typedef struct taker {
  uint64_t *mask;
  uint32_t *positions, first;
} taker;

/* The code for k = 0: the mask up to the last kept weight. */
static const char *decode_mask(sap__sparse_block block, const uint8_t *code, uint32_t length, taker to) {
  const uint32_t last = block.bytes - 1;
  uint32_t kept = 0;
  if (!code[last]) return rest_set;
  for (uint32_t done = 0; done < block.bytes; done += 8) {
    uint64_t word = code_word(code, block.bytes, done);
    if (length - 8 * done < 64 && word >> (length - 8 * done)) return too_far;
    const uint32_t more = (uint32_t)__builtin_popcountll(word);
    if (more > block.kept - kept) return other_count;
    if (to.mask) to.mask[done / 8] = word;
    for (; to.positions && word; word &= word - 1)
      *to.positions++ = to.first + 8 * done + (uint32_t)__builtin_ctzll(word);
    kept += more;
  }
  return kept == block.kept ? NULL : other_count;
}

static const char *decode_gaps(sap__sparse_block block, const uint8_t *code, uint32_t length, taker to) {
  const uint32_t bits = 8 * block.bytes, low = (1u << block.k) - 1;
  uint32_t at = 0, next = 0; /* bit of the code, position behind the last kept weight */
  uint64_t ahead = 0;        /* the code from `at` on, of which `left` bits are to be trusted */
  uint32_t left = 0;
  for (uint32_t i = 0; i < block.kept; i++) {
    uint32_t zeros = 0;
    if (!ahead || (uint32_t)__builtin_ctzll(ahead) + 1 + block.k > left) {
      for (;; zeros += 32, at += 32) {
        if (at >= bits) return ends_early;
        ahead = window(code, block.bytes, at);
        if (ahead & 0xffffffff) break;
      }
      left = WINDOW; /* room for 32 bits of zeros and the 1, and for any k */
    }
    const uint32_t run = (uint32_t)__builtin_ctzll(ahead), used = run + 1 + block.k;
    const uint32_t rest = (uint32_t)(ahead >> run >> 1) & low;
    ahead >>= used;
    left -= used;
    at += used;
    if (at > bits) return ends_early;
    zeros += run;
    if (zeros > (uint32_t)SAP__SPARSE_BLOCK >> block.k) return too_far;
    const uint32_t position = next + (zeros << block.k | rest);
    if (position >= length) return too_far;
    if (to.mask) to.mask[position / 64] |= (uint64_t)1 << position % 64;
    if (to.positions) to.positions[i] = to.first + position;
    next = position + 1;
  }
  return (at + 7) / 8 == block.bytes && !window(code, block.bytes, at) ? NULL : rest_set;
}

static const char *decode(sap__sparse_block block, const uint8_t *code, uint32_t length, taker to) {
  return (block.k ? decode_gaps : decode_mask)(block, code, length, to);
}

const char *sap__sparse_decode(sap__sparse_block block, const uint8_t *code, uint32_t length, uint64_t *mask) {
  memset(mask, 0, sap_mask_words(length) * sizeof *mask);
  if (block.bytes) return decode(block, code, length, (taker){.mask = mask});
  if (block.kept) sap_mask_fill(mask, length);
  return NULL;
}

const char *sap__sparse_list(sap__sparse_block block, const uint8_t *code, uint32_t length, uint32_t first,
                             uint32_t *positions) {
  if (block.bytes) return decode(block, code, length, (taker){.positions = positions, .first = first});
  for (uint32_t i = 0; i < block.kept; i++) positions[i] = first + i;
  return NULL;
}

const char *sap__sparse_check(sap__sparse_block block, const uint8_t *code, uint32_t length) {
  return block.bytes ? decode(block, code, length, (taker){0}) : NULL;
}

/* ---- records ---- */

void sap__sparse_record_write(sap__sparse_block block, uint8_t record[SAP__SPARSE_RECORD]) {
  const uint64_t value = block.kept | (uint64_t)block.bytes << 32 | (uint64_t)block.k << 48;
  for (int i = 0; i < SAP__SPARSE_RECORD; i++) record[i] = (uint8_t)(value >> 8 * i);
}

const char *sap__sparse_record_read(const uint8_t record[SAP__SPARSE_RECORD], uint32_t length,
                                    sap__sparse_block *block) {
  const uint64_t value = read_word(record);
  const sap__sparse_block found = {(uint32_t)value, value >> 32 & 0xffff, (uint32_t)(value >> 48)};
  if (found.kept > length) return "it keeps more weights than it has";
  if (found.k > SAP__SPARSE_K_MAX) return "its parameter k is above 15";
  if (!found.kept || found.kept == length) {
    if (found.bytes || found.k) return "it keeps all or none of its weights, yet has a code";
  } else if (8 * (uint64_t)found.bytes < (uint64_t)found.kept * (found.k + 1)) {
    return "its code is too short for its kept weights";
  } else if (found.bytes > (length + 7) / 8) {
    return "its code is longer than its mask";
  }
  *block = found;
  return NULL;
}
