/* Which tile computes a layer: the fixed rule, and the order in which tuning tries them. */
#include <stdlib.h>

#include "runtime/schedule.h"

/* Bytes of a block's input of which most stays in a first cache beside the sums; weights of an output in a block below
 * which taking up its sums again costs more than is saved; and vectors of the tiles that blocks are made for. */
enum { BLOCK_BYTES = 60 << 10, BLOCK_WEIGHTS = 8, USUAL_VECTORS = 8 };

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

/* Whether a tile fits into every thread's share, and sums in the order of the tile that one thread would take. */
static int keeps_sums(const sap__tile *tile, const sap__tile *whole, int share) {
  return tile->columns <= share && tile->chains == whole->chains;
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
  int kept = 0;
  for (int i = 0; i < count; i++)
    if (!tiles->apart || keeps_sums(bids[i].tile, bids[0].tile, tiles->columns / schedule->threads))
      out[kept++] = bids[i].tile;
  return kept;
}

/* Vector i of those that a tile of rows of so many columns reads of one channel, tap by tap. */
static int64_t read_at(const sap__tiles *tiles, const int32_t *taps, int lanes, int vectors, int columns, int i) {
  int k = i % vectors;
  return (taps[i / vectors] + k / columns * tiles->x.row + k % columns * tiles->x.column) / lanes;
}

/* Different vectors of one channel that a tile of usual size reads. */
static int vectors_read(const sap__tiles *tiles, const int32_t *taps, int places, int lanes) {
  int columns = tiles->columns < USUAL_VECTORS ? tiles->columns : USUAL_VECTORS;
  int rows = tiles->rows < USUAL_VECTORS / columns ? tiles->rows : USUAL_VECTORS / columns;
  int vectors = rows * columns, different = 0;
  for (int i = 0; i < places * vectors; i++) {
    int64_t at = read_at(tiles, taps, lanes, vectors, columns, i);
    int k = 0;
    while (k < i && read_at(tiles, taps, lanes, vectors, columns, k) != at) k++;
    different += k == i;
  }
  return different;
}

int sap__tiles_blocks(const sap__tiles *tiles, const int32_t *taps, int places, int lanes, int channels,
                      double weights) {
  if (tiles->rows * tiles->columns < USUAL_VECTORS / 2) return 1;
  double bytes = (double)vectors_read(tiles, taps, places, lanes) * lanes * sizeof(float);
  double blocks = bytes * channels / BLOCK_BYTES, most = weights / BLOCK_WEIGHTS;
  if (blocks > most) blocks = most;
  if (blocks > channels) blocks = channels;
  return blocks < 1.5 ? 1 : (int)(blocks + 0.5);
}
