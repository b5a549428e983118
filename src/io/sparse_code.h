/* The sparse code: which weights are kept, in few bytes. docs/sparse-format.md has its rules.
 *
 * The weights of a tensor are taken row-major in blocks of 65,536, each coded for itself. The kept weights of a block
 * follow one another at gaps, the numbers of pruned weights between them (before the first: from the block's start),
 * and a gap g is written in a Rice code: g >> k times a 0, a 1, and the k lowest bits of g; bits fill bytes from the
 * lowest on. Each block has its own k. For k = 0 the code is the mask, cut off behind the last kept weight: so one
 * rule serves from one weight in two to one in many thousands. A block that keeps all or none of its weights has no
 * code at all.
 *
 * Masks here are those of sapwood/mask.h: bit i is weight i of the block, bits past the last are 0.
 */
#ifndef SAP_IO_SPARSE_CODE_H
#define SAP_IO_SPARSE_CODE_H

#include <stddef.h>
#include <stdint.h>

enum {
  SAP__SPARSE_BLOCK = 65536,                    /* weights; the last block of a tensor may have fewer */
  SAP__SPARSE_WORDS = SAP__SPARSE_BLOCK / 64,   /* of a block's mask */
  SAP__SPARSE_CODE_MAX = SAP__SPARSE_BLOCK / 8, /* bytes: k = 0 never takes more */
  SAP__SPARSE_K_MAX = 15,
  SAP__SPARSE_RECORD = 8 /* bytes of a block's record in a file */
};

/* What has to be known of a block to decode it. */
typedef struct sap__sparse_block {
  uint32_t kept;  /* weights: 0 … length */
  uint32_t bytes; /* of the code; 0 exactly if kept is 0 or the length */
  uint32_t k;     /* 0 … SAP__SPARSE_K_MAX */
} sap__sparse_block;

/* Blocks of a tensor of `count` weights, and the weights of its block `i`. */
static inline uint64_t sap__sparse_blocks(uint64_t count) {
  return count / SAP__SPARSE_BLOCK + (count % SAP__SPARSE_BLOCK != 0);
}
static inline uint32_t sap__sparse_length(uint64_t count, uint64_t i) {
  const uint64_t left = count - i * SAP__SPARSE_BLOCK;
  return left < SAP__SPARSE_BLOCK ? (uint32_t)left : SAP__SPARSE_BLOCK;
}

/* The shortest code of a block, `length` weights (at least 1) under the mask. Reads the mask twice. */
sap__sparse_block sap__sparse_measure(const uint64_t *mask, uint32_t length);

/* Writes the block.bytes bytes of the code that was measured. */
void sap__sparse_encode(const uint64_t *mask, sap__sparse_block block, uint8_t *code);

/* Makes the mask, all of its (length + 63) / 64 words, from the block.bytes bytes of code; the kept positions are its
 * set bits. `block` has passed sap__sparse_record_read for this length; the code is not trusted. NULL, or what is wrong
 * with it, as a phrase for an error text. Cost: about 2 ns a kept weight. */
const char *sap__sparse_decode(sap__sparse_block block, const uint8_t *code, uint32_t length, uint64_t *mask);

/* The same as a list of the block.kept kept positions, to each of which `first` is added; and without telling anybody
 * where they are. Neither reads a byte of the code twice for one decision, so that code which changes meanwhile makes
 * other positions, but none outside the block. */
const char *sap__sparse_list(sap__sparse_block block, const uint8_t *code, uint32_t length, uint32_t first,
                             uint32_t *positions);
const char *sap__sparse_check(sap__sparse_block block, const uint8_t *code, uint32_t length);

/* The record of a block, and back: NULL, or what is wrong with it for a block of that length. */
void sap__sparse_record_write(sap__sparse_block block, uint8_t record[SAP__SPARSE_RECORD]);
const char *sap__sparse_record_read(const uint8_t record[SAP__SPARSE_RECORD], uint32_t length,
                                    sap__sparse_block *block);

#endif
