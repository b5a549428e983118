#include "runtime/expand.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/threads.h"

/* Bytes beyond which aligned planes leave the cache, and unaligned reads of shared ones cost less; and how many such
 * reads cost less than a vector more to make. */
enum { PLANES_MAX = 3 << 19, READS_A_VECTOR = 8 };

static int floor_mod(int a, int b) { return (a % b + b) % b; }

/* Distance of place k of a kernel from the pixel that an output pixel's window is centred at. */
static void tap_of(const sap__conv2d *conv, int k, int *dy, int *dx) {
  *dy = (int)(k / conv->kernel[1] * conv->dilation[0] - conv->pad[0]);
  *dx = (int)(k % conv->kernel[1] * conv->dilation[1] - conv->pad[1]);
}

/* The plane of a tap; NULL if there is none yet. */
static sap__plane *plane_of(const sap__expansion *e, int dy, int dx) {
  for (int i = 0; i < e->plane_count; i++) {
    sap__plane *plane = &e->planes[i];
    if (plane->dx != dx) continue;
    if (floor_mod(plane->first - dy, e->stride[0] * e->period) == 0) return plane;
  }
  return NULL;
}

/* The fewest rows that are whole vectors. */
static int aligned_rows(int width, int lanes) {
  int rows = 1;
  while (rows * width % lanes != 0) rows++;
  return rows;
}

static int64_t plane_rows(const sap__expansion *e, const sap__plane *plane) {
  return (plane->last - plane->first) / e->stride[0] + e->height;
}

static int64_t plane_vectors(const sap__expansion *e, const sap__plane *plane, int lanes) {
  return (plane_rows(e, plane) * e->width + lanes - 1) / lanes;
}

static int add_taps(sap__expansion *e, const sap__conv2d *conv) {
  for (int k = 0; k < conv->kernel[0] * conv->kernel[1]; k++) {
    int dy, dx;
    tap_of(conv, k, &dy, &dx);
    sap__plane *plane = plane_of(e, dy, dx);
    if (!plane) {
      if (!sap__grow(&e->planes, (size_t)e->plane_count, sizeof *e->planes)) return 0;
      plane = &e->planes[e->plane_count++];
      *plane = (sap__plane){dx, dy, dy, 0};
    }
    if (dy < plane->first) plane->first = dy;
    if (dy > plane->last) plane->last = dy;
  }
  return 1;
}

int sap__expansion_fits(const sap__expansion *e, const sap__program *program, const sap__layer *layer) {
  const sap__picture *y = &program->values[layer->output];
  return layer->kind == SAP__LAYER_CONV && layer->conv.stride[0] == e->stride[0] &&
         layer->conv.stride[1] == e->stride[1] && y->height == e->height && y->width == e->width;
}

/* Collects the taps of all convolutions that can share the expansion, and lays the planes out. */
static int collect(sap__expansion *e, const sap__program *program, int value, int lanes) {
  sap__free(e->planes);
  e->planes = NULL;
  e->plane_count = 0;
  e->channel = 0;
  for (int i = 0; i < program->layer_count; i++)
    if (program->layers[i].input == value && sap__expansion_fits(e, program, &program->layers[i]) &&
        !add_taps(e, &program->layers[i].conv))
      return 0;
  for (int i = 0; i < e->plane_count; i++) {
    e->planes[i].offset = e->channel;
    e->channel += plane_vectors(e, &e->planes[i], lanes) * lanes;
  }
  return 1;
}

/* Where place k of a kernel begins, in floats from the beginning of a channel. */
static int32_t tap_at(const sap__expansion *e, const sap__conv2d *conv, int k) {
  int dy, dx;
  tap_of(conv, k, &dy, &dx);
  const sap__plane *plane = plane_of(e, dy, dx);
  return (int32_t)(plane->offset + (dy - plane->first) / e->stride[0] * e->width);
}

/* Vectors that all convolutions read unaligned. */
static double unaligned_reads(const sap__expansion *e, const sap__program *program, int value, int lanes) {
  double reads = 0;
  for (int i = 0; i < program->layer_count; i++) {
    const sap__layer *layer = &program->layers[i];
    if (layer->input != value || !sap__expansion_fits(e, program, layer)) continue;
    int places = (int)(layer->conv.kernel[0] * layer->conv.kernel[1]), unaligned = 0;
    for (int k = 0; k < places; k++) unaligned += tap_at(e, &layer->conv, k) % lanes != 0;
    reads += (double)layer->weights->count * unaligned / places * ((e->height * e->width + lanes - 1) / lanes);
  }
  return reads;
}

/* Lays the planes out for any distance of rows to share them, if that is cheaper; `e` is for aligned reads. */
static int narrow(sap__expansion *e, const sap__program *program, int value, int lanes) {
  const int period = e->period;
  const double channels = program->values[value].channels, aligned = channels * (double)e->channel;
  e->period = 1;
  if (!collect(e, program, value, lanes)) return 0;
  const double saved = (aligned - channels * (double)e->channel) / lanes;
  if (aligned * sizeof(float) > PLANES_MAX) return 1;
  if (unaligned_reads(e, program, value, lanes) <= READS_A_VECTOR * saved) return 1;
  e->period = period;
  return collect(e, program, value, lanes);
}

sap_status sap__expansion_new(const sap__program *program, const sap__layer *layer, int lanes, sap__expansion *out,
                              sap_error *err) {
  const sap__picture *y = &program->values[layer->output];
  sap__expansion e = {.stride = {(int)layer->conv.stride[0], (int)layer->conv.stride[1]},
                      .height = y->height,
                      .width = y->width,
                      .period = aligned_rows(y->width, lanes)};
  int complete = collect(&e, program, layer->input, lanes);
  if (complete && e.period > 1) complete = narrow(&e, program, layer->input, lanes);
  if (!complete) {
    sap__expansion_free(&e);
    return sap__fail_memory(err, sizeof(sap__plane));
  }
  *out = e;
  return SAP_OK;
}

void sap__expansion_free(sap__expansion *expansion) {
  sap__free(expansion->planes);
  expansion->planes = NULL;
}

void sap__expansion_taps(const sap__expansion *e, const sap__layer *layer, int32_t *taps) {
  for (int k = 0; k < layer->conv.kernel[0] * layer->conv.kernel[1]; k++) taps[k] = tap_at(e, &layer->conv, k);
}

/* What fills the tables of one plane. */
typedef struct filler {
  const sap__expansion *e;
  const sap__picture *x;
  const sap__plane *plane;
  int lanes;
} filler;

/* The input's float for place p of the plane; −1: outside of the picture. */
static int64_t source_of(const filler *f, int64_t p) {
  int64_t row = p / f->e->width, column = p % f->e->width;
  int64_t y = f->plane->first + row * f->e->stride[0], x = f->plane->dx + column * f->e->stride[1];
  if (row >= plane_rows(f->e, f->plane) || y < 0 || y >= f->x->height || x < 0 || x >= f->x->width) return -1;
  return y * f->x->width + x;
}

/* Where a run of places, of which the first is p, would begin in the input if all were inside: found from any that
 * is. Neighbours lie `stage` floats apart. 0 if none is inside. */
static int32_t run_of(const filler *f, int64_t p, int count, int stage) {
  for (int k = 0; k < count; k++) {
    int64_t source = source_of(f, p + k);
    if (source >= 0) return (int32_t)(source - (int64_t)k * stage);
  }
  return 0;
}

static uint16_t bits_of(const filler *f, int64_t p) {
  unsigned bits = 0;
  for (int k = 0; k < f->lanes; k++) bits |= (unsigned)(source_of(f, p + k) >= 0) << k;
  return (uint16_t)bits;
}

static void fill(const filler *f, sap__expand_way way, int64_t vector, int64_t p, int32_t *sources) {
  int lanes = f->lanes;
  if (way == SAP__EXPAND_SHIFT) {
    sources[vector] = run_of(f, p, lanes, 1);
  } else if (way == SAP__EXPAND_EVENS) {
    sources[2 * vector] = run_of(f, p, lanes / 2, 2);
    sources[2 * vector + 1] = run_of(f, p + lanes / 2, lanes / 2, 2);
  } else {
    for (int k = 0; k < lanes; k++) {
      int64_t source = source_of(f, p + k);
      sources[vector * lanes + k] = (int32_t)(source < 0 ? 0 : source);
    }
  }
}

/* Marks the vectors that columns [first, last) of a convolution's tiles read. */
static int mark(const sap__expansion *e, const sap__layer *layer, int lanes, int first, int last, char *marks) {
  int places = (int)(layer->conv.kernel[0] * layer->conv.kernel[1]), vectors = (int)(e->channel / lanes);
  int32_t *taps = sap__calloc((size_t)places, sizeof *taps);
  if (!taps) return 0;
  sap__expansion_taps(e, layer, taps);
  for (int k = 0; k < places; k++)
    for (int v = taps[k] / lanes + first; v < vectors && v * lanes < taps[k] + last * lanes; v++) marks[v] = 1;
  sap__free(taps);
  return 1;
}

/* Appends the marked vectors to the stage's runs; 0 without memory. */
static int append_runs(const char *marks, int vectors, sap__stage *stage, int *count) {
  for (int v = 0; v < vectors; v++) {
    if (!marks[v]) continue;
    if (v == 0 || !marks[v - 1]) {
      if (!sap__grow(&stage->runs, (size_t)*count, sizeof *stage->runs)) return 0;
      stage->runs[(*count)++].first = v;
    }
    stage->runs[*count - 1].last = v + 1;
  }
  return 1;
}

sap_status sap__expansion_shares(const sap__expansion *e, const sap__program *program, const sap__layer *layer,
                                 int lanes, int threads, int apart, sap__stage *stage, sap_error *err) {
  int vectors = (int)(e->channel / lanes), columns = (e->height * e->width + lanes - 1) / lanes, count = 1;
  char *marks = sap__alloc((size_t)vectors, 1);
  stage->run_bounds = sap__calloc((size_t)threads + 1, sizeof *stage->run_bounds);
  int complete = marks && stage->run_bounds;
  for (int t = 0; complete && t < threads; t++) {
    stage->run_bounds[t] = count;
    memset(marks, 0, (size_t)vectors);
    int first = apart ? (int)sap__part((unsigned)columns, (unsigned)t, (unsigned)threads) : 0;
    int last = apart ? (int)sap__part((unsigned)columns, (unsigned)t + 1, (unsigned)threads) : columns;
    for (int i = 0; complete && i < program->layer_count; i++)
      if (program->layers[i].input == layer->input && sap__expansion_fits(e, program, &program->layers[i]))
        complete = mark(e, &program->layers[i], lanes, first, last, marks);
    complete = complete && append_runs(marks, vectors, stage, &count);
  }
  if (complete) stage->run_bounds[threads] = count;
  stage->of.expand.runs = stage->runs;
  sap__free(marks);
  return complete ? SAP_OK : sap__fail_memory(err, (size_t)vectors);
}

/* Marks the vectors of the input that a plane's vectors of a run are made from. */
static void mark_sources(const filler *f, const sap__run *run, char *marks) {
  int begin = (int)(f->plane->offset / f->lanes), end = begin + (int)plane_vectors(f->e, f->plane, f->lanes);
  int first = run->first > begin ? run->first : begin, last = run->last < end ? run->last : end;
  for (int64_t p = (int64_t)(first - begin) * f->lanes; p < (int64_t)(last - begin) * f->lanes; p++) {
    int64_t source = source_of(f, p);
    if (source >= 0) marks[source / f->lanes] = 1;
  }
}

/* Appends what is marked of `owner`'s columns to the stage's fetches; 0 without memory. */
static int append_fetches(const char *marks, int owner, int first, int last, sap__stage *stage, int *count) {
  for (int v = first; v < last; v++) {
    if (!marks[v]) continue;
    if (v == first || !marks[v - 1]) {
      if (!sap__grow(&stage->fetches, (size_t)*count, sizeof *stage->fetches)) return 0;
      stage->fetches[(*count)++] = (sap__fetch){owner, v, v};
    }
    stage->fetches[*count - 1].last = v + 1;
  }
  return 1;
}

sap_status sap__expansion_fetches(const sap__expansion *e, const sap__program *program, const sap__layer *layer,
                                  int lanes, int threads, sap__stage *stage, sap_error *err) {
  const sap__picture *x = &program->values[layer->input];
  int vectors = (x->height * x->width + lanes - 1) / lanes, count = 0;
  char *marks = sap__alloc((size_t)vectors, 1);
  stage->fetch_bounds = sap__calloc((size_t)threads + 1, sizeof *stage->fetch_bounds);
  int complete = marks && stage->fetch_bounds;
  for (int t = 0; complete && t < threads; t++) {
    memset(marks, 0, (size_t)vectors);
    for (int r = stage->run_bounds[t]; r < stage->run_bounds[t + 1]; r++)
      for (int i = 0; i < e->plane_count; i++) {
        const filler f = {e, x, &e->planes[i], lanes};
        mark_sources(&f, &stage->runs[r], marks);
      }
    for (int owner = 0; complete && owner < threads; owner++) {
      int first = (int)sap__part((unsigned)vectors, (unsigned)owner, (unsigned)threads);
      int last = (int)sap__part((unsigned)vectors, (unsigned)owner + 1, (unsigned)threads);
      complete = owner == t || append_fetches(marks, owner, first, last, stage, &count);
    }
    if (complete) stage->fetch_bounds[t + 1] = count;
  }
  sap__free(marks);
  return complete ? SAP_OK : sap__fail_memory(err, (size_t)vectors);
}

/* The first float of the input that lanes [first, last) of the vector at place p read; 0 if none does. */
static int32_t window_of(const filler *f, int64_t p, int first, int last) {
  int64_t least = INT64_MAX;
  for (int k = first; k < last; k++) {
    int64_t source = source_of(f, p + k);
    if (source >= 0 && source < least) least = source;
  }
  return least == INT64_MAX ? 0 : (int32_t)least;
}

/* Half a vector from a window each. */
static void fill_windows(const filler *f, int window, int64_t vector, int64_t p, int32_t *sources, uint8_t *places) {
  const int half = f->lanes / 2;
  for (int part = 0; part < 2; part++) {
    const int32_t base = window_of(f, p, part * half, (part + 1) * half);
    sources[2 * vector + part] = base;
    for (int k = 0; k < f->lanes; k++) {
      const int64_t source = k / half == part ? source_of(f, p + k) : -1;
      places[(2 * vector + part) * f->lanes + k] = (uint8_t)(source < 0 ? window : source - base);
    }
  }
}

/* Whether the halves of all vectors fit into windows. */
static int windows_fit(const sap__expansion *e, const sap__picture *x, int lanes, int window) {
  for (int i = 0; i < e->plane_count; i++) {
    const filler f = {e, x, &e->planes[i], lanes};
    for (int64_t p = 0; p < plane_vectors(e, f.plane, lanes) * lanes; p++) {
      const int64_t half = p / (lanes / 2) * (lanes / 2);
      if (source_of(&f, p) - window_of(&f, half, 0, lanes / 2) >= window) return 0;
    }
  }
  return 1;
}

static sap__expand_way way_of(const sap__expansion *e, const sap__picture *x, int lanes, int window) {
  const int pixels = x->height * x->width;
  if (pixels > 1 && pixels <= lanes) return SAP__EXPAND_GATHER; /* a channel is one vector: it stays in a register */
  if (e->stride[0] == 1 && e->stride[1] == 1 && e->width == x->width) return SAP__EXPAND_SHIFT; /* rows follow */
  if (e->stride[1] == 2 && e->width % (lanes / 2) == 0) return SAP__EXPAND_EVENS;
  return window > 0 && windows_fit(e, x, lanes, window) ? SAP__EXPAND_WINDOWS : SAP__EXPAND_GATHER;
}

sap_status sap__expansion_tables(const sap__expansion *e, const sap__program *program, const sap__layer *layer,
                                 int lanes, int window, sap__stage *stage, sap_error *err) {
  const sap__picture *x = &program->values[layer->input];
  sap__expand_job *job = &stage->of.expand;
  job->way = way_of(e, x, lanes, window);
  size_t vectors = (size_t)(e->channel / lanes);
  job->to = e->channel;
  stage->sources = sap__calloc(vectors * (size_t)lanes, sizeof *stage->sources);
  stage->places = sap__calloc(vectors * (size_t)lanes, 2 * sizeof *stage->places);
  stage->bits = sap__calloc(vectors, sizeof *stage->bits);
  stage->runs = sap__calloc(1, sizeof *stage->runs);
  job->sources = stage->sources;
  job->places = stage->places;
  job->bits = stage->bits;
  job->runs = stage->runs;
  job->run_count = 1;
  if (!stage->sources || !stage->places || !stage->bits || !stage->runs)
    return sap__fail_memory(err, (size_t)e->channel * sizeof *stage->sources);
  stage->runs[0].last = (int)vectors;
  for (int i = 0; i < e->plane_count; i++) {
    filler f = {e, x, &e->planes[i], lanes};
    for (int64_t v = 0; v < plane_vectors(e, f.plane, lanes); v++) {
      int64_t vector = f.plane->offset / lanes + v;
      stage->bits[vector] = bits_of(&f, v * lanes);
      if (job->way == SAP__EXPAND_WINDOWS)
        fill_windows(&f, window, vector, v * lanes, stage->sources, stage->places);
      else
        fill(&f, job->way, vector, v * lanes, stage->sources);
    }
  }
  return SAP_OK;
}
