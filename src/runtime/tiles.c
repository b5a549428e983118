/* Which tile computes a layer: the fixed rule, and the order in which tuning tries them. */
#include <stdlib.h>

#include "runtime/schedule.h"

typedef struct bid {
  const sap__tile *tile;
  double cost;
} bid;

/* Cycles that one weight takes over the whole output: two vectors are read a cycle; a weight itself costs two reads;
 * and a sum waits four cycles for the one before it. Input that many tiles share is read again from farther away, the
 * more of it a tile needs. */
static double cost_of(const sap__tiles *tiles, const sap__tile *tile) {
  double vectors = tile->rows * tile->columns;
  double reads = (vectors + 2) / 2, wait = 4.0 / tile->chains;
  double count = (double)((tiles->rows + tile->rows - 1) / tile->rows) *
                 (double)((tiles->columns + tile->columns - 1) / tile->columns);
  double one = reads > wait ? reads : wait;
  return count * (one + (vectors > 8 && tiles->rows * tiles->columns > 16 ? 0.08 * vectors : 0));
}

static int by_cost(const void *a, const void *b) {
  const bid *x = a, *y = b;
  if (x->cost != y->cost) return x->cost < y->cost ? -1 : 1;
  return x->tile < y->tile ? -1 : x->tile > y->tile;
}

int sap__tiles_choose(const sap__schedule *schedule, const sap__tiles *tiles, const sap__tile *out[SAP__TILE_COUNT]) {
  bid bids[SAP__TILE_COUNT];
  int count = 0;
  for (int i = 0; i < SAP__TILE_COUNT; i++) {
    const sap__tile *tile = &schedule->conv->tiles[i];
    int single = tile->columns == 1;               /* no neighbouring column, so any distance between them */
    if (tiles->strips && tile->rows > 1) continue; /* the next row may lie at the other end of the ring */
    if (tile->rows > tiles->rows || tile->columns > tiles->columns) continue;
    if (tile->rows * tile->columns > schedule->conv->accumulators && !single) continue;
    if (!single && tile->stride != tiles->stride) continue;
    bids[count++] = (bid){tile, cost_of(tiles, tile)};
  }
  qsort(bids, (size_t)count, sizeof *bids, by_cost);
  for (int i = 0; i < count; i++) out[i] = bids[i].tile;
  return count;
}
