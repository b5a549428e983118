/* A schedule: the stages that compute a range of a program's layers in one layout, and the memory that their values
 * share.
 *
 * A unit is what the stages work on at a time: one picture, or as many pictures as a vector has lanes. A team of
 * threads takes a unit through all stages; each thread of it does its part of every stage.
 *
 *   picture   a value is (channels, height × width), rows without gaps, a channel padded to whole vectors. What a
 *             convolution reads is expanded first: a copy of the picture for every distance of its taps that would
 *             break the alignment, so that every read is one aligned vector and no lane is wasted on borders.
 *   lanes     a value is (channels, height, width, lanes) inside a border of zeros as wide as its readers need.
 *   dense     a value is (pictures, channels / block, height, width, block) without gaps, the block being the lanes, or
 * 1 where the channels are not whole blocks; an engine's convolutions compute it, pruned weights and all.
 */
#ifndef SAP_RUNTIME_SCHEDULE_H
#define SAP_RUNTIME_SCHEDULE_H

#include "base/barrier.h"
#include "engine/engine.h"
#include "runtime/kernels/pass.h"
#include "runtime/program.h"
#include "runtime/strips.h"

typedef enum sap__layout { SAP__LAYOUT_PICTURE, SAP__LAYOUT_LANES, SAP__LAYOUT_DENSE, SAP__LAYOUTS } sap__layout;

/* Memory of a value, or of its copies. Buffers of one key hold their zeros at the same places, so that they can lie
 * at the same place one after the other and are cleared once, when the session is made. */
typedef struct sap__buffer {
  int64_t key[6];
  int64_t floats;
  int first, last; /* stages that use it */
  int64_t at;      /* floats from the beginning of a unit's memory */
  int copies;      /* one a thread, or a share of the picture, one after the other; 1: all use the same */
} sap__buffer;

/* Vectors [first, last) of every channel of a value that a thread fetches from the copy of another. */
typedef struct sap__fetch {
  int owner, first, last;
} sap__fetch;

/* A place in a buffer: `offset` is its first pixel. */
typedef struct sap__operand {
  int buffer; /* −1: none */
  int64_t offset;
} sap__operand;

typedef enum sap__stage_kind {
  SAP__STAGE_INPUT,  /* from the caller's pictures */
  SAP__STAGE_OUTPUT, /* back to them */
  SAP__STAGE_TILES,
  SAP__STAGE_DENSE,
  SAP__STAGE_GATHER,
  SAP__STAGE_EXPAND,
  SAP__STAGE_AFFINE,
  SAP__STAGE_ADD,
  SAP__STAGE_SIGMOID,
  SAP__STAGE_POOL,
  SAP__STAGE_MEAN
} sap__stage_kind;

/* Where a tile lies in an operand: floats from one output row, and from one vector of a row, to the next. If the
 * operand is a ring, its buffer's first row holds the value's row −top, and `row` is floats between the buffer's. */
typedef struct sap__pace {
  int64_t row, column;
  int ring, top; /* rows of the buffer, 0: no ring */
} sap__pace;

typedef struct sap__tiles {
  sap__conv_job job;
  const sap__tile *tile;
  int rows, columns; /* of the output: pixels in lanes; 1 and vectors in picture */
  int stride;        /* vectors of x between neighbouring columns */
  int apart;         /* picture: 1: threads share out the columns; 0: the outputs */
  sap__pace x, residual, y, twin;
  int strips;        /* 1: computed a few rows at a time */
  int x_step, x_pad; /* x is a ring: output row r reads it from row r · x_step − x_pad of the value on */
  size_t weights;    /* x is a ring: weights of one copy; copy k is for windows that begin in row k of the buffer */
} sap__tiles;

/* A convolution by an engine: for a team of one thread whole; else each thread computes its share of the outputs. */
typedef struct sap__dense {
  const sap__fixed_convs *engine;
  sap__fixed_conv **whole; /* (teams) */
  sap__fixed_conv **parts; /* (threads); NULL: one thread does all */
  int64_t pixels;          /* of the output */
} sap__dense;

typedef struct sap__stage {
  sap__stage_kind kind;
  int layer;    /* of the program; −1: input and output */
  int channels; /* shared out among the threads of a team; GATHER: groups, TILES: rows of weights, DENSE: outputs; in
                 * the dense layout else: blocks of channels of all pictures */
  int blocked;  /* dense layout: x is in blocks */
  int *bounds;  /* (threads + 1) where each thread's share begins, TILES: in every block; NULL: equal shares */
  sap__operand x, residual, y, twin;
  union {
    sap__tiles tiles;
    sap__gather_job gather;
    sap__expand_job expand;
    struct {
      sap__grid grid;
      const float *scale, *shift;
      int relu;
      int end; /* INPUT, OUTPUT: which of the schedule's */
    } map;     /* INPUT, OUTPUT, AFFINE, ADD, SIGMOID, MEAN */
    sap__window_job window;
    sap__dense dense;
  } of;
  sap__weight_rows rows;     /* TILES */
  sap__gather_rows gathered; /* GATHER */
  int32_t *sources;          /* EXPAND: owned tables of of.expand */
  uint8_t *places;
  uint16_t *bits;
  sap__run *runs;  /* the first is the whole */
  int *run_bounds; /* (threads + 1) of the runs that each thread makes for itself alone; NULL: for all to read */
  sap__fetch *fetches;
  int *fetch_bounds; /* (threads + 1) of what each thread fetches before; NULL: nothing */
} sap__stage;

/* Groups of layers that may be computed in strips. */
enum { SAP__STRIPS_MAX = 16 };

typedef struct sap__schedule {
  const sap__program *program;
  sap__range layers;
  sap__ends inputs, outputs;
  sap__layout layout;
  int lanes, threads;
  int64_t cache;       /* floats */
  int pictures, teams; /* of a unit; units that may be computed at a time */
  const sap__conv_kernels *conv;
  const sap__pass_kernels *pass;
  sap__weight *weights; /* those of all tiles in one block: few pages */
  size_t weight_count;  /* of them used so far */
  sap__buffer *buffers;
  sap__stage *stages;
  int buffer_count, stage_count;
  int64_t floats;                      /* memory of a unit */
  sap__strips strips[SAP__STRIPS_MAX]; /* one group of layers after the other */
  int strips_count;
  int shares; /* of the picture, in each of them */
} sap__schedule;

/* The strips that compute a stage; NULL: none. */
static inline const sap__strips *sap__schedule_strips(const sap__schedule *schedule, int stage) {
  for (int i = 0; i < schedule->strips_count; i++) {
    const sap__strips *strips = &schedule->strips[i];
    if (stage >= strips->first_stage && stage < strips->last_stage) return strips;
  }
  return NULL;
}

/* Whether threads share out the columns of tiles, of so many. */
int sap__schedule_apart(const sap__schedule *schedule, int columns);

/* Floats of a value that stays in a near cache, with what else a layer needs. */
enum { SAP__SCHEDULE_CACHE = 1 << 19 };

/* How layers are to be computed: runs are of `batch` pictures by `threads` threads. */
typedef struct sap__manner {
  sap__layout layout;
  int batch, threads;
  int64_t cache;         /* floats: LANES computes larger values in strips */
  sap__choices *choices; /* of engines; NULL: nothing is tried */
} sap__manner;

/* A schedule for some of the layers. SAP_ERROR_MEMORY; SAP_ERROR_UNSUPPORTED: too many ends, or an engine that lacks
 * something. */
sap_status sap__schedule_new(const sap__program *program, sap__range layers, const sap__manner *manner,
                             sap__schedule **schedule, sap_error *err) SAP_WARN_UNUSED;
void sap__schedule_free(sap__schedule *schedule);

/* What a unit reads and writes: `count` pictures (picture: one) one after another, (count, channels, height, width) of
 * each of the schedule's inputs and outputs. */
typedef struct sap__unit {
  const float *x[SAP__ENDS_MAX];
  float *y[SAP__ENDS_MAX];
  int count;
  int team;      /* which of the schedule's */
  int share;     /* whose copies of buffers: the thread's, in strips its share's; 0 for one thread */
  float *memory; /* schedule->floats, zero before its first use */
} sap__unit;

/* Computes a unit as thread `rank` of a team of `size`; all its threads call it. size 1, or schedule->threads.
 * barrier: the team's own; unused for size 1. */
void sap__schedule_run(const sap__schedule *schedule, const sap__unit *unit, sap__barrier *barrier, int rank, int size);

/* One stage as one thread: what tuning measures. */
void sap__stage_run(const sap__schedule *schedule, const sap__stage *stage, const sap__unit *unit, int rank, int size);

/* ---- for the builders ---- */

/* Appends a zeroed stage or a buffer; NULL, −1 without memory. */
sap__stage *sap__schedule_stage(sap__schedule *schedule, sap__stage_kind kind, int layer);
int sap__schedule_buffer(sap__schedule *schedule, const int64_t key[6], int64_t floats);

sap_status sap__schedule_picture(sap__schedule *schedule, sap_error *err);
sap_status sap__schedule_lanes(sap__schedule *schedule, sap_error *err);
sap_status sap__schedule_dense(sap__schedule *schedule, sap__choices *choices, sap_error *err);
void sap__dense_free(sap__dense *dense, int teams, int threads);

/* The window of a pool, but for its strides. */
sap__window_job sap__window_of(const sap__program *program, const sap__layer *layer);

/* Tiles that may compute a layer, most promising first; returns how many, at most SAP__TILE_COUNT. The first is
 * the fixed rule's choice. */
int sap__tiles_choose(const sap__schedule *schedule, const sap__tiles *tiles, const sap__tile *out[SAP__TILE_COUNT]);

/* Into how many blocks of equal size the `channels` input channels of a group are best cut. taps: (places of the
 * kernel) floats; weights: of an output, on average. */
int sap__tiles_blocks(const sap__tiles *tiles, const int32_t *taps, int places, int lanes, int channels,
                      double weights);

/* ---- packing weights (pack.c) ---- */

/* Room for the weights of all convolutions; copies: (layers of the program) of each, NULL: one. */
sap_status sap__pack_room(sap__schedule *schedule, const int *copies, sap_error *err) SAP_WARN_UNUSED;
/* The rows of a stage of TILES, its channels and bounds. taps: (copies, places of the kernel) floats from where an
 * output pixel's window is said to begin to what that place reads; channel: floats between input channels. The rows are
 * those of the first copy, behind whose weights the others' lie. */
sap_status sap__pack_rows(sap__schedule *schedule, const sap__layer *layer, int64_t channel, const int32_t *taps,
                          int copies, sap__stage *stage, sap_error *err) SAP_WARN_UNUSED;
/* The same of GATHER. zero: place of a float that is always 0. */
sap_status sap__pack_gather(const sap__schedule *schedule, const sap__layer *layer, int64_t channel, int32_t zero,
                            sap__stage *stage, sap_error *err) SAP_WARN_UNUSED;
uint64_t sap__gather_bytes(const sap__gather_rows *rows, int lanes);

#endif
