/* Walking through 64 Rice codes side by side, to check them: what decoding them one after the other would find out. */
#ifndef SAP_IO_SPARSE_WALK_H
#define SAP_IO_SPARSE_WALK_H

#include <stdint.h>

enum { SAP__WALK_LANES = 64, SAP__WALK_K_MAX = 7 };

/* One code. */
typedef struct sap__walk_lane {
  const uint8_t *code;
  uint32_t bytes; /* 0: nothing to do */
  uint32_t kept;  /* found: gaps in it, the last perhaps cut off */
  uint32_t rests; /* found: the sum of their k lowest bits */
  uint8_t before; /* found: of those bits how many are still to come where the last byte begins */
} sap__walk_lane;

/* 1 if this machine can. */
int sap__walk_possible(void);

/* All lanes have the same k, 1 … SAP__WALK_K_MAX. Where it is possible: about 0.1 ns a byte. */
void sap__walk(unsigned k, sap__walk_lane lanes[SAP__WALK_LANES]);

#endif
