/* Taking a unit through the stages of a schedule. Nothing here allocates. */
#include <string.h>

#include "base/threads.h"
#include "runtime/schedule.h"

/* The first float of an operand; NULL if the stage has none. */
static float *place(const sap__schedule *schedule, const sap__unit *unit, const sap__operand *operand) {
  if (operand->buffer < 0) return NULL;
  const sap__buffer *buffer = &schedule->buffers[operand->buffer];
  return unit->memory + buffer->at + (buffer->copies > 1 ? unit->share * buffer->floats : 0) + operand->offset;
}

static float *move(float *from, const sap__pace *pace, int row, int column) {
  if (!from) return NULL;
  if (pace->ring) row = (row + pace->top) % pace->ring;
  return from + row * pace->row + column * pace->column;
}

/* One tile, block by block of the input's channels. */
static void run_tile(const sap__tiles *tiles, const sap__weight_rows *rows, const sap__weight *weights, sap__tile_at at,
                     int first, int last) {
  sap__conv_job job = tiles->job;
  job.weights = weights;
  for (int b = 0; b < rows->blocks; b++) {
    job.rows = rows->rows + (ptrdiff_t)b * rows->count;
    job.resume = b > 0;
    job.suspend = b + 1 < rows->blocks;
    tiles->tile->run(&job, at, first, last);
  }
}

/* Rows of an output, and columns. */
typedef struct area {
  int top, bottom, left, right;
} area;

/* An area of the output, tile by tile, rows [first, last) of weights for each: what a tile reads stays near. The last
 * tile of a row or column lies over the one before it, where the tiles do not come out even. */
static void run_tiles(const sap__schedule *schedule, const sap__stage *stage, const sap__unit *unit, area a, int first,
                      int last) {
  const sap__tiles *t = &stage->of.tiles;
  float *x = place(schedule, unit, &stage->x), *residual = place(schedule, unit, &stage->residual);
  float *y = place(schedule, unit, &stage->y), *twin = place(schedule, unit, &stage->twin);
  for (int r = a.top; r < a.bottom; r += t->tile->rows) {
    int row = r + t->tile->rows <= a.bottom ? r : a.bottom - t->tile->rows;
    int window = t->x.ring ? (row * t->x_step - t->x_pad + t->x.top) % t->x.ring : row;
    const sap__weight *weights = stage->rows.weights + (t->x.ring ? (size_t)window * t->weights : 0);
    for (int c = a.left; c < a.right; c += t->tile->columns) {
      int column = c + t->tile->columns <= a.right ? c : a.right - t->tile->columns;
      sap__tile_at at = {.x = x + (t->x.ring ? 0 : row * t->x.row) + column * t->x.column,
                         .residual = move(residual, &t->residual, row, column),
                         .y = move(y, &t->y, row, column),
                         .twin = move(twin, &t->twin, row, column)};
      run_tile(t, &stage->rows, weights, at, first, last);
    }
  }
}

/* The caller's pictures into the layout, and back, where it does not mix channels. */
static void run_end(const sap__schedule *schedule, const sap__stage *stage, const sap__unit *unit, int first,
                    int last) {
  const sap__grid *grid = &stage->of.map.grid;
  int in = stage->kind == SAP__STAGE_INPUT, lanes = schedule->layout == SAP__LAYOUT_LANES;
  const float *x = in ? unit->x[stage->of.map.end] : place(schedule, unit, &stage->x);
  float *y = in ? place(schedule, unit, &stage->y) : unit->y[stage->of.map.end];
  int64_t channel = in ? grid->x.channel : grid->y.channel;
  if (lanes)
    (in ? schedule->pass->interleave : schedule->pass->separate)(grid, channel * stage->channels, unit->count, x, y,
                                                                 first, last);
  for (int c = first; !lanes && c < last; c++)
    memcpy(y + c * grid->y.channel, x + c * grid->x.channel, (size_t)channel * sizeof(float));
}

/* In the dense layout: of the pictures that there are, each block is as many channels side by side as lanes. */
static void run_blocks(const sap__schedule *schedule, const sap__stage *stage, const sap__unit *unit, int first,
                       int last) {
  const sap__grid *grid = &stage->of.map.grid;
  int in = stage->kind == SAP__STAGE_INPUT, all = stage->channels / schedule->pictures * unit->count;
  const float *x = in ? unit->x[stage->of.map.end] : place(schedule, unit, &stage->x);
  float *y = in ? place(schedule, unit, &stage->y) : unit->y[stage->of.map.end];
  if (last > all) last = all;
  if (stage->blocked)
    (in ? schedule->pass->interleave : schedule->pass->separate)(grid, grid->length, schedule->lanes, x, y, first,
                                                                 last);
  else if (first < last)
    memcpy(y + first * grid->y.channel, x + first * grid->x.channel,
           (size_t)(last - first) * (size_t)grid->length * sizeof(float));
}

/* An affine in the dense layout: channels begin anew with each picture. */
static void run_affine_blocks(const sap__schedule *schedule, const sap__stage *stage, const float *x, float *y,
                              int first, int last) {
  const sap__grid *grid = &stage->of.map.grid;
  int blocks = stage->channels / schedule->pictures;
  for (int n = first / blocks; n * blocks < last; n++) {
    int begin = n * blocks, from = first > begin ? first - begin : 0,
        to = last - begin < blocks ? last - begin : blocks;
    (stage->blocked ? schedule->pass->affine_blocks : schedule->pass->affine)(
        grid, stage->of.map.scale, stage->of.map.shift, stage->of.map.relu, x + begin * grid->x.channel,
        y + begin * grid->y.channel, from, to);
  }
}

/* All threads of a team come here, each for its share of the outputs; without parts the first does all. */
static void run_dense(const sap__stage *stage, const sap__unit *unit, const float *x, float *y, int rank, int size) {
  const sap__dense *d = &stage->of.dense;
  if (size > 1 && d->parts) {
    if (d->parts[rank]) d->engine->run(d->parts[rank], x, y + stage->bounds[rank] * d->pixels);
  } else if (rank == 0) {
    d->engine->run(d->whole[unit->team], x, y);
  }
}

static void run_map(const sap__schedule *schedule, const sap__stage *stage, const sap__unit *unit, int first,
                    int last) {
  const sap__pass_kernels *pass = schedule->pass;
  const sap__grid *grid = &stage->of.map.grid;
  const float *x = place(schedule, unit, &stage->x), *residual = place(schedule, unit, &stage->residual);
  float *y = place(schedule, unit, &stage->y);
  int relu = stage->of.map.relu, lanes = schedule->layout == SAP__LAYOUT_LANES || stage->blocked;
  if (stage->kind == SAP__STAGE_AFFINE && stage->of.map.scale && schedule->layout == SAP__LAYOUT_DENSE)
    run_affine_blocks(schedule, stage, x, y, first, last);
  else if (stage->kind == SAP__STAGE_AFFINE)
    pass->affine(grid, stage->of.map.scale, stage->of.map.shift, relu, x, y, first, last);
  else if (stage->kind == SAP__STAGE_ADD)
    pass->add(grid, relu, x, residual, y, first, last);
  else if (stage->kind == SAP__STAGE_SIGMOID)
    pass->sigmoid(grid, x, y, first, last);
  else
    (lanes ? pass->mean_lanes : pass->mean_picture)(grid, x, y, first, last);
}

/* Whether threads share out the pixels of a stage, not its channels. */
static int is_apart(const sap__stage *stage) {
  return stage->kind == SAP__STAGE_TILES ? stage->of.tiles.apart : stage->run_bounds != NULL;
}

/* A part of [0, count). */
typedef struct part {
  int first, last;
} part;

static part part_of(int count, int rank, int size) {
  return (part){(int)sap__part((unsigned)count, (unsigned)rank, (unsigned)size),
                (int)sap__part((unsigned)count, (unsigned)rank + 1, (unsigned)size)};
}

/* A thread's channels. */
static part take_channels(const sap__stage *stage, int rank, int size) {
  if (size == 1 || is_apart(stage)) return (part){0, stage->channels};
  if (stage->bounds) return (part){stage->bounds[rank], stage->bounds[rank + 1]};
  return part_of(stage->channels, rank, size);
}

/* Copies of the columns that other threads have computed what this one reads beside its own. */
static void fetch(const sap__schedule *schedule, const sap__stage *stage, const sap__unit *unit, int rank) {
  float *own = place(schedule, unit, &stage->x);
  const int64_t channel = stage->of.expand.from;
  for (int i = stage->fetch_bounds[rank]; i < stage->fetch_bounds[rank + 1]; i++) {
    const sap__fetch *f = &stage->fetches[i];
    sap__unit owner = *unit;
    owner.share = f->owner;
    const float *from = place(schedule, &owner, &stage->x);
    const size_t first = (size_t)f->first * (size_t)schedule->lanes,
                 floats = (size_t)(f->last - f->first) * (size_t)schedule->lanes;
    for (int c = 0; c < stage->channels; c++)
      memcpy(own + c * channel + first, from + c * channel + first, floats * sizeof *own);
  }
}

/* The whole expansion of some channels, or of all that part which a thread needs. */
static void run_expand(const sap__schedule *schedule, const sap__stage *stage, const sap__unit *unit, int rank,
                       int size) {
  sap__expand_job job = stage->of.expand;
  part channels = take_channels(stage, rank, size);
  if (size > 1 && stage->fetch_bounds) fetch(schedule, stage, unit, rank);
  if (size > 1 && stage->run_bounds) {
    job.runs = stage->runs + stage->run_bounds[rank];
    job.run_count = stage->run_bounds[rank + 1] - stage->run_bounds[rank];
  }
  schedule->pass->expand(&job, place(schedule, unit, &stage->x), place(schedule, unit, &stage->y), channels.first,
                         channels.last);
}

/* from, to: rows of the output of TILES; the other kinds always run as a whole. */
static void run_stage(const sap__schedule *schedule, const sap__stage *stage, const sap__unit *unit, int from, int to,
                      int rank, int size) {
  part channels = take_channels(stage, rank, size), columns = {0, 0};
  int first = channels.first, last = channels.last;
  if (stage->kind == SAP__STAGE_TILES)
    columns =
        size > 1 && is_apart(stage) ? part_of(stage->of.tiles.columns, rank, size) : (part){0, stage->of.tiles.columns};
  const sap__pass_kernels *pass = schedule->pass;
  const float *x = place(schedule, unit, &stage->x);
  float *y = place(schedule, unit, &stage->y);
  switch (stage->kind) {
    case SAP__STAGE_INPUT:
    case SAP__STAGE_OUTPUT:
      (schedule->layout == SAP__LAYOUT_DENSE ? run_blocks : run_end)(schedule, stage, unit, first, last);
      break;
    case SAP__STAGE_DENSE: run_dense(stage, unit, x, y, rank, size); break;
    case SAP__STAGE_TILES:
      run_tiles(schedule, stage, unit, (area){from, to, columns.first, columns.last}, first, last);
      break;
    case SAP__STAGE_GATHER:
      schedule->conv->gather(&stage->of.gather, &stage->gathered, x, place(schedule, unit, &stage->residual), y, first,
                             last);
      break;
    case SAP__STAGE_EXPAND: run_expand(schedule, stage, unit, rank, size); break;
    case SAP__STAGE_POOL:
      (schedule->layout == SAP__LAYOUT_LANES || stage->blocked ? pass->pool_lanes : pass->pool_picture)(
          &stage->of.window, x, y, first, last);
      break;
    default: run_map(schedule, stage, unit, first, last);
  }
}

static void run_whole(const sap__schedule *schedule, const sap__stage *stage, const sap__unit *unit, int rank,
                      int size) {
  run_stage(schedule, stage, unit, 0, stage->kind == SAP__STAGE_TILES ? stage->of.tiles.rows : 0, rank, size);
}

void sap__stage_run(const sap__schedule *schedule, const sap__stage *stage, const sap__unit *unit, int rank, int size) {
  int s = (int)(stage - schedule->stages);
  const sap__strips *strips = sap__schedule_strips(schedule, s);
  if (!strips) run_whole(schedule, stage, unit, rank, size);
  sap__unit mine = *unit;
  for (int i = 0; strips && i < strips->count; i++) {
    const sap__step *step = &strips->steps[i];
    while (i >= strips->ends[mine.share]) mine.share++;
    if (step->layer == s) run_stage(schedule, stage, &mine, step->first, step->last, rank, size);
  }
}

/* Rows of a ring become a border; each thread clears its part of them. */
static void clear_rows(const sap__schedule *schedule, const sap__step *step, const sap__unit *unit, int rank,
                       int size) {
  const sap__operand whole = {step->value, 0};
  float *buffer = place(schedule, unit, &whole);
  size_t from = (size_t)sap__part((uint64_t)step->length, (unsigned)rank, (unsigned)size);
  size_t to = (size_t)sap__part((uint64_t)step->length, (unsigned)rank + 1, (unsigned)size);
  for (int row = step->first; row < step->last; row++) {
    float *start = buffer + row % step->ring * step->length;
    memset(start + from, 0, (to - from) * sizeof *start);
  }
}

/* All stages that run in strips, for one share of the picture. */
static void run_share(const sap__schedule *schedule, const sap__strips *strips, const sap__unit *unit,
                      sap__barrier *barrier, int rank, int size) {
  for (int i = unit->share > 0 ? strips->ends[unit->share - 1] : 0; i < strips->ends[unit->share]; i++) {
    const sap__step *step = &strips->steps[i];
    if (step->layer >= 0)
      run_stage(schedule, &schedule->stages[step->layer], unit, step->first, step->last, rank, size);
    else
      clear_rows(schedule, step, unit, rank, size);
    if (size > 1 && step->layer >= 0) sap__barrier_wait(barrier, size);
  }
}

/* Shares go to the threads; where there is only one, they share out the channels. */
static void run_strips(const sap__schedule *schedule, const sap__strips *strips, const sap__unit *unit,
                       sap__barrier *barrier, int rank, int size) {
  sap__unit mine = *unit;
  if (strips->shares == 1) {
    mine.share = 0;
    run_share(schedule, strips, &mine, barrier, rank, size);
    return;
  }
  for (mine.share = rank; mine.share < strips->shares; mine.share += size)
    run_share(schedule, strips, &mine, NULL, 0, 1);
  if (size > 1) sap__barrier_wait(barrier, size);
}

void sap__schedule_run(const sap__schedule *schedule, const sap__unit *whole, sap__barrier *barrier, int rank,
                       int size) {
  sap__unit mine = *whole;
  const sap__unit *unit = &mine;
  mine.share = rank;
  for (int s = 0; s < schedule->stage_count; s++) {
    const sap__stage *stage = &schedule->stages[s];
    const sap__strips *strips = sap__schedule_strips(schedule, s);
    if (strips) {
      if (s == strips->first_stage) run_strips(schedule, strips, unit, barrier, rank, size);
      continue;
    }
    run_whole(schedule, stage, unit, rank, size);
    int own = stage->run_bounds != NULL; /* only the thread that has made it reads it */
    if (size > 1 && !own) sap__barrier_wait(barrier, size);
  }
}
