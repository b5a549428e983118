/* The template of Winograd's passes. The includer defines
 *
 *   LANES_BF16   1: elements are bf16, 0: float; and includes lanes.h
 *   SIDE         of the squares of the result, 2 or 4
 *   VECTORS      registers of output channels, whose sums for ROWS squares stay in registers, too
 *
 * and for bf16, of which a word of 32 bits holds PER_WORD = 2, three functions of LANES:
 *
 *   pairs(low, high)   both rounded, each lane a word
 *   put(to, x)         x rounded, LANES elements
 *   dot(sum, a, b)     sum + a.low · b.low + a.high · b.high
 *
 * Bound by dot: POINTS · squares · inputs / PER_WORD · outputs / LANES of them a pass. The transforms of a square and
 * LANES channels are some 60 operations (SIDE 2) or 200 (SIDE 4): an eighth of what the products of 64 channels are,
 * and less of more.
 */
#include "engine/onednn/winograd.h"
#include "engine/onednn/winograd_sides.h"

#define UNROLL _Pragma("GCC unroll 16")

enum {
  POINTS = EDGE * EDGE,
  OUTPUTS = VECTORS * LANES,
  INPUTS = SAP__WINOGRAD_INPUTS,
  ROWS = SAP__WINOGRAD_ROWS,
  INPUT_ROWS = 4, /* the same for gradients, where rows are input channels */
  PER_WORD = LANES_BF16 ? 2 : 1,
  TAPS = 9,
};

#if LANES_BF16
typedef uint32_t word;
typedef lanes_u words;
#else
typedef float word;
typedef lanes_f words;
LANES_INLINE void put(float *to, lanes_f x) { lanes_write(to, x); }
LANES_INLINE lanes_f dot(lanes_f sum, lanes_f a, lanes_f b) { return sum + a * b; }
#endif

/* A number of each of PER_WORD squares or inputs, as words. */
LANES_INLINE void put_words(elem *to, lanes_f x[PER_WORD][POINTS], int point) {
#if LANES_BF16
  const lanes_u both = pairs(x[0][point], x[1][point]);
  memcpy(to, &both, sizeof both);
#else
  lanes_write(to, x[0][point]);
#endif
}

/* ---- products ---- */

/* A product's operands: `steps` words of rows of a times vectors of b, into c. Strides in elements. */
typedef struct operands {
  const elem *a, *b;
  float *c;
  int64_t a_row, a_step, b_step, c_row, steps;
  int adds; /* 1: to what is in c */
} operands;

/* A chain of sums rounds the more the longer it is; chains of this many steps are then added. Of floats they are as
 * short as costs next to nothing, 2 %. */
enum { CHAIN = LANES_BF16 ? 128 : 32 };

/* Inlined with constant sizes, so that the sums stay in registers. */
LANES_INLINE void product(const operands *o, int rows, int vectors) {
  const elem *a = o->a, *b = o->b;
  for (int64_t first = 0; first < o->steps; first += CHAIN) {
    lanes_f sum[ROWS][VECTORS];
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < vectors; v++) sum[r][v] = lanes_all(0);
    for (int64_t k = first; k < o->steps && k < first + CHAIN; k++, a += o->a_step, b += o->b_step) {
      words column[VECTORS];
      UNROLL for (int v = 0; v < vectors; v++) memcpy(&column[v], b + v * PER_WORD * LANES, sizeof column[v]);
      UNROLL for (int r = 0; r < rows; r++) {
        word number;
        memcpy(&number, a + r * o->a_row, sizeof number);
        const words row = (words){0} + number;
        UNROLL for (int v = 0; v < vectors; v++) sum[r][v] = dot(sum[r][v], row, column[v]);
      }
    }
    UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < vectors; v++) {
      float *c = o->c + r * o->c_row + v * LANES;
      lanes_write(c, first > 0 || o->adds ? lanes_read(c) + sum[r][v] : sum[r][v]);
    }
  }
}

/* By the number of vectors, which is VECTORS but in a last, narrow panel. */
LANES_INLINE void product_of_rows(const operands *o, int rows, int64_t vectors) {
  if (vectors == VECTORS)
    product(o, rows, VECTORS);
  else if (VECTORS > 3 && vectors == 3)
    product(o, rows, VECTORS > 3 ? 3 : 1);
  else if (VECTORS > 2 && vectors == 2)
    product(o, rows, VECTORS > 2 ? 2 : 1);
  else
    product(o, rows, 1);
}

/* ---- transforms of squares ---- */

/* The lines of a picture that a row of squares reads; outside they are zeros, in steps of 0. */
typedef struct lines {
  const elem *line[EDGE];
  int64_t step[EDGE];
  int64_t width;
} lines;

static const elem zeros[LANES];

/* Where a channel's first pixel is in a picture. */
LANES_INLINE int64_t channel(const sap__winograd_pixels *p, int64_t c) {
  return c / p->block * p->plane + c % p->block;
}

LANES_INLINE void take_lines(lines *l, const sap__winograd_pixels *p, const elem *group, int64_t first, int count) {
  l->width = p->width;
  for (int r = 0; r < count; r++) {
    const int inside = first + r >= 0 && first + r < p->height;
    l->line[r] = inside ? group + (first + r) * p->width * p->pixel : zeros;
    l->step[r] = inside ? p->pixel : 0;
  }
}

LANES_INLINE void read_column(const lines *l, int64_t column, int count, lanes_f *d) {
  if (column < 0 || column >= l->width)
    for (int r = 0; r < count; r++) d[r] = lanes_all(0);
  else
    UNROLL for (int r = 0; r < count; r++) d[r] = ELEM_LANES(l->line[r] + column * l->step[r]);
}

/* Bᵀ of a column of pixels. */
LANES_INLINE void input_column(const lines *l, int64_t column, lanes_f t[EDGE]) {
  lanes_f d[EDGE];
  read_column(l, column, EDGE, d);
  spread_input(d, t);
}

/* Bᵀ d B of the next square to the right, whose first two columns are the last two of the one before: t keeps the
 * columns. */
LANES_INLINE void next_square(const lines *l, int64_t column, lanes_f t[EDGE][EDGE], lanes_f square[POINTS]) {
  UNROLL for (int r = 0; r < EDGE; r++) t[0][r] = t[SIDE][r], t[1][r] = t[SIDE + 1][r];
  UNROLL for (int c = 2; c < EDGE; c++) input_column(l, column + c, t[c]);
  UNROLL for (int r = 0; r < EDGE; r++) {
    lanes_f d[EDGE];
    UNROLL for (int c = 0; c < EDGE; c++) d[c] = t[c][r];
    spread_input(d, square + EDGE * r);
  }
}

/* A dy Aᵀ of a square of SIDE x SIDE pixels, which are added to the bias. */
LANES_INLINE void gradient_square(const lines *l, int64_t column, lanes_f square[POINTS], lanes_f *bias) {
  lanes_f t[SIDE][EDGE];
  UNROLL for (int c = 0; c < SIDE; c++) {
    lanes_f d[SIDE];
    read_column(l, column + c, SIDE, d);
    UNROLL for (int r = 0; r < SIDE; r++) *bias += d[r];
    spread_output(d, t[c]);
  }
  UNROLL for (int r = 0; r < EDGE; r++) {
    lanes_f d[SIDE];
    UNROLL for (int c = 0; c < SIDE; c++) d[c] = t[c][r];
    spread_output(d, square + EDGE * r);
  }
}

/* ---- walking over squares ---- */

/* Squares of one row of one picture. */
typedef struct run {
  int64_t picture, row, column, count;
} run;

/* The squares from `square` to `end` that are in the same row. */
LANES_INLINE run run_at(const sap__winograd *w, int64_t square, int64_t end) {
  const int64_t column = square % w->wide, row = square / w->wide;
  return (run){row / w->high, row % w->high, column, smaller(w->wide - column, end - square)};
}

/* Squares [first, end) of `from`, transformed: (point, block, inputs), or, where `words` are squares, (point, block /
 * PER_WORD, inputs, PER_WORD). */
LANES_INLINE void transform_inputs(const sap__winograd *w, const elem *from, int64_t first, int64_t end, int of_squares,
                                   elem *to) {
  const sap__winograd_pixels *p = &w->from;
  const int64_t inputs = p->channels, point = w->block * inputs;
  const int per = of_squares ? PER_WORD : 1;
  for (int64_t square = first; square < end;) {
    const run at = run_at(w, square, end);
    const int64_t column = SIDE * at.column - w->pad[1];
    for (int64_t g = 0; g < inputs / LANES; g++) {
      lines l;
      take_lines(&l, p, from + at.picture * p->picture + channel(p, g * LANES), SIDE * at.row - w->pad[0], EDGE);
      lanes_f t[EDGE][EDGE], s[PER_WORD][POINTS];
      input_column(&l, column, t[SIDE]);
      input_column(&l, column + 1, t[SIDE + 1]);
      elem *at_square = to + (square - first) * inputs + g * LANES * per;
      for (int64_t k = 0; k < at.count; k += per, at_square += inputs * per) {
        for (int i = 0; i < per; i++) next_square(&l, column + SIDE * (k + i), t, s[i]);
        for (int i = 0; i < POINTS; i++)
          if (of_squares)
            put_words(at_square + i * point, s, i);
          else
            put(at_square + i * point, s[0][i]);
      }
    }
    square += at.count;
  }
}

/* The same of dy, of whose squares the words are; its pixels are added to `bias`, (outputs). */
static void transform_gradients(const sap__winograd *w, const elem *dy, int64_t first, int64_t end, elem *to,
                                float *bias) {
  const sap__winograd_pixels *p = &w->to;
  const int64_t outputs = p->channels, point = w->block * outputs;
  for (int64_t square = first; square < end;) {
    const run at = run_at(w, square, end);
    for (int64_t g = 0; g < outputs / LANES; g++) {
      lines l;
      take_lines(&l, p, dy + at.picture * p->picture + channel(p, g * LANES), SIDE * at.row, SIDE);
      lanes_f s[PER_WORD][POINTS], sum = lanes_all(0);
      elem *at_word = to + (square - first) * outputs + g * LANES * PER_WORD;
      for (int64_t k = 0; k < at.count; k += PER_WORD, at_word += PER_WORD * outputs) {
        for (int i = 0; i < PER_WORD; i++) gradient_square(&l, SIDE * (at.column + k + i), s[i], &sum);
        for (int i = 0; i < POINTS; i++) put_words(at_word + i * point, s, i);
      }
      if (bias) lanes_write(bias + g * LANES, lanes_read(bias + g * LANES) + sum);
    }
    square += at.count;
  }
}

/* Aᵀ m A, plus the bias, of one square into those of its pixels that exist. m is (point, `point` apart). */
LANES_INLINE void write_square(const float *m, int64_t point, lanes_f bias, elem *to, int64_t line, int64_t pixel,
                               int64_t high, int64_t wide) {
  lanes_f t[EDGE][SIDE];
  UNROLL for (int c = 0; c < EDGE; c++) {
    lanes_f d[EDGE];
    UNROLL for (int r = 0; r < EDGE; r++) d[r] = lanes_read(m + (EDGE * r + c) * point);
    gather_output(d, t[c]);
  }
  UNROLL for (int r = 0; r < SIDE; r++) {
    if (r >= high) break;
    lanes_f d[EDGE], y[SIDE];
    UNROLL for (int c = 0; c < EDGE; c++) d[c] = t[c][r];
    gather_output(d, y);
    UNROLL for (int c = 0; c < SIDE; c++) if (c < wide) put(to + r * line + c * pixel, y[c] + bias);
  }
}

/* Squares [first, end) of a panel of `vectors` times LANES outputs from `panel` on, from the products m (point, block,
 * vectors · LANES). */
static void transform_outputs(const sap__winograd *w, const float *m, const float *bias, int64_t first, int64_t end,
                              int64_t panel, int64_t vectors, elem *to) {
  const sap__winograd_pixels *p = &w->to;
  const int64_t row = vectors * LANES, point = w->block * row;
  const int64_t line = p->width * p->pixel;
  for (int64_t square = first; square < end;) {
    const run at = run_at(w, square, end);
    for (int64_t v = 0; v < vectors; v++) {
      const lanes_f b = bias ? lanes_read(bias + panel + v * LANES) : lanes_all(0);
      elem *out = to + at.picture * p->picture + channel(p, panel + v * LANES) + SIDE * at.row * line +
                  SIDE * at.column * p->pixel;
      for (int64_t k = 0; k < at.count; k++)
        write_square(m + (square - first + k) * row + v * LANES, point, b, out + SIDE * k * p->pixel, line, p->pixel,
                     p->height - SIDE * at.row, p->width - SIDE * (at.column + k));
    }
    square += at.count;
  }
}

/* ---- the passes ---- */

/* Where the weights of a panel begin. */
LANES_INLINE int64_t panel_start(const sap__winograd *w, int64_t panel) {
  return POINTS * (panel / OUTPUTS) * sap__winograd_weights_apart(w->from.channels * OUTPUTS, sizeof(elem));
}

/* All points of a panel: m from the transformed inputs and the panel's weights. */
static void multiply_panel(const sap__winograd *w, const elem *inputs, const elem *weights, int64_t squares,
                           int64_t vectors, float *m) {
  const int64_t in = w->from.channels, row = vectors * LANES;
  const int64_t b_point = sap__winograd_weights_apart(in * row, sizeof(elem));
  operands o = {.a_row = in, .a_step = PER_WORD, .b_step = PER_WORD * row, .c_row = row, .steps = in / PER_WORD};
  for (int64_t i = 0; i < POINTS; i++)
    for (int64_t s = 0; s < squares; s += ROWS) {
      o.a = inputs + (i * w->block + s) * in;
      o.b = weights + i * b_point;
      o.c = m + (i * w->block + s) * row;
      product_of_rows(&o, ROWS, vectors);
    }
}

static void run_pass(const sap__winograd *w, const void *from, const void *weights, const float *bias, void *to,
                     void *scratch) {
  const int64_t out = w->to.channels;
  float *m = scratch;
  elem *inputs = (elem *)(m + POINTS * w->block * OUTPUTS);
  for (int64_t first = 0; first < w->squares; first += w->block) {
    const int64_t end = smaller(first + w->block, w->squares);
    transform_inputs(w, from, first, end, 0, inputs);
    for (int64_t panel = 0; panel < out; panel += OUTPUTS) {
      const int64_t vectors = smaller(OUTPUTS, out - panel) / LANES;
      multiply_panel(w, inputs, (const elem *)weights + panel_start(w, panel), end - first, vectors, m);
      transform_outputs(w, m, bias, first, end, panel, vectors, to);
    }
  }
}

/* Gᵀ m G: (input, 3 x 3, outputs of the panel) from m (point, `rows` inputs, outputs of the panel). */
static void gradients_back(const float *m, int64_t rows, int64_t vectors, float *own) {
  const int64_t row = vectors * LANES, point = rows * row;
  for (int64_t k = 0; k < rows * vectors; k++) {
    const float *from = m + k * LANES;
    float *to = own + k / vectors * TAPS * row + k % vectors * LANES;
    lanes_f t[EDGE][3];
    UNROLL for (int c = 0; c < EDGE; c++) {
      lanes_f d[EDGE];
      UNROLL for (int r = 0; r < EDGE; r++) d[r] = lanes_read(from + (EDGE * r + c) * point);
      gather_taps(d, t[c]);
    }
    UNROLL for (int r = 0; r < 3; r++) {
      lanes_f d[EDGE], g[3];
      UNROLL for (int c = 0; c < EDGE; c++) d[c] = t[c][r];
      gather_taps(d, g);
      UNROLL for (int c = 0; c < 3; c++) lanes_write(to + (3 * r + c) * row, g[c]);
    }
  }
}

/* m (point, `rows` inputs, outputs of the panel) from `squares` squares. */
static void multiply_gradients(const sap__winograd *w, const elem *inputs, const elem *gradients, int64_t squares,
                               int64_t rows, int64_t vectors, int adds, float *m) {
  const int64_t in = w->from.channels, out = w->to.channels, row = vectors * LANES;
  operands o = {.a_row = PER_WORD,
                .a_step = PER_WORD * in,
                .b_step = PER_WORD * out,
                .c_row = row,
                .steps = squares / PER_WORD,
                .adds = adds};
  for (int64_t i = 0; i < POINTS; i++)
    for (int64_t k = 0; k < rows; k += INPUT_ROWS) {
      o.a = inputs + i * w->block * in + PER_WORD * k;
      o.b = gradients + i * w->block * out;
      o.c = m + (i * rows + k) * row;
      product_of_rows(&o, INPUT_ROWS, vectors);
    }
}

static void run_gradients(const sap__winograd *w, const void *x, const void *dy, float *own, float *bias,
                          void *scratch) {
  const int64_t in = w->from.channels, out = w->to.channels;
  elem *inputs = scratch, *gradients = inputs + POINTS * w->block * in;
  float *m = (float *)(gradients + POINTS * w->block * out);
  if (bias) memset(bias, 0, (size_t)out * sizeof *bias);
  for (int64_t first = 0; first < w->squares; first += w->block) {
    const int64_t end = smaller(first + w->block, w->squares);
    transform_inputs(w, x, first, end, 1, inputs);
    transform_gradients(w, dy, first, end, gradients, bias);
    float *sums = m; /* of the panel and the inputs in work; of one block alone they need not be kept */
    for (int64_t panel = 0; panel < out; panel += OUTPUTS) {
      const int64_t vectors = smaller(OUTPUTS, out - panel) / LANES;
      for (int64_t k = 0; k < in; k += INPUTS) {
        const int64_t rows = smaller(INPUTS, in - k);
        multiply_gradients(w, inputs + PER_WORD * k, gradients + PER_WORD * panel, end - first, rows, vectors,
                           first > 0, sums);
        if (end == w->squares) gradients_back(sums, rows, vectors, own + TAPS * (panel * in + k * vectors * LANES));
        if (w->block < w->squares) sums += POINTS * INPUTS * OUTPUTS;
      }
    }
  }
}

/* ---- copies of weights ---- */

/* Half of each of two vectors, number by number in turn. */
#if LANES == 16
#define LOW(a, b) __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define HIGH(a, b) __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#elif LANES == 8
#define LOW(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define HIGH(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#else
#define LOW(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define HIGH(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#endif

/* LANES vectors as the columns of a matrix become its rows: as many perfect shuffles as LANES is a power of 2. */
LANES_INLINE void transpose(lanes_f x[LANES]) {
  for (int length = 1; length < LANES; length *= 2) {
    lanes_f y[LANES];
    UNROLL for (int i = 0; i < LANES / 2; i++) {
      y[2 * i] = LOW(x[i], x[i + LANES / 2]);
      y[2 * i + 1] = HIGH(x[i], x[i + LANES / 2]);
    }
    UNROLL for (int i = 0; i < LANES; i++) x[i] = y[i];
  }
}

/* G g Gᵀ. */
LANES_INLINE void transform_weights(const lanes_f *g, lanes_f u[POINTS]) {
  lanes_f t[3][EDGE];
  UNROLL for (int c = 0; c < 3; c++) {
    const lanes_f d[3] = {g[c], g[3 + c], g[6 + c]};
    spread_taps(d, t[c]);
  }
  UNROLL for (int r = 0; r < EDGE; r++) {
    const lanes_f d[3] = {t[0][r], t[1][r], t[2][r]};
    spread_taps(d, u + EDGE * r);
  }
}

/* The nine taps of LANES outputs for each of LANES inputs of the pass: taps[input][tap], a lane an output. `weights`
 * are of the first of both, and lie (outputs, inputs, 3 x 3), or, turned, (inputs, outputs, 3 x 3) with the last tap
 * first. */
LANES_INLINE void gather_forward(const float *weights, int64_t inputs, lanes_f taps[LANES * TAPS]) {
  for (int chunk = 0; chunk < TAPS; chunk++) { /* of LANES numbers, whatever tap of whatever input */
    lanes_f *x = taps + chunk * LANES;
    for (int o = 0; o < LANES; o++) x[o] = lanes_read(weights + o * inputs * TAPS + chunk * LANES);
    transpose(x);
  }
}
LANES_INLINE void gather_turned(const float *weights, int64_t outputs, lanes_f taps[LANES * TAPS]) {
  for (int i = 0; i < LANES; i++) {
    float rows[LANES * TAPS + 2 * LANES] = {0}; /* the last row is read beyond its end */
    memcpy(rows, weights + i * outputs * TAPS, LANES * TAPS * sizeof *rows);
    for (int first = 0; first < TAPS; first += LANES) {
      lanes_f x[LANES];
      for (int o = 0; o < LANES; o++) x[o] = lanes_read(rows + o * TAPS + first);
      transpose(x);
      for (int t = 0; t < LANES && first + t < TAPS; t++) taps[i * TAPS + TAPS - 1 - first - t] = x[t];
    }
  }
}

static void weights_in(const sap__winograd *w, const float *weights, void *own) {
  const int64_t in = w->from.channels, out = w->to.channels;
  const int turned = w->pass == SAP__CONV_BACKWARD_DATA;
  for (int64_t o = 0; o < out; o += LANES) {
    const int64_t panel = o / OUTPUTS * OUTPUTS, row = smaller(OUTPUTS, out - panel);
    const int64_t apart = sap__winograd_weights_apart(in * row, sizeof(elem));
    for (int64_t i = 0; i < in; i += LANES) {
      lanes_f taps[LANES * TAPS], u[PER_WORD][POINTS];
      if (turned)
        gather_turned(weights + (i * out + o) * TAPS, out, taps);
      else
        gather_forward(weights + (o * in + i) * TAPS, in, taps);
      for (int k = 0; k < LANES; k += PER_WORD) {
        for (int n = 0; n < PER_WORD; n++) transform_weights(taps + (k + n) * TAPS, u[n]);
        elem *to = (elem *)own + panel_start(w, panel) + (i + k) * row + PER_WORD * (o - panel);
        for (int point = 0; point < POINTS; point++) put_words(to + point * apart, u, point);
      }
    }
  }
}

static void weights_out(const sap__winograd *w, const float *own, float *weights) {
  const int64_t in = w->from.channels, out = w->to.channels;
  for (int64_t o = 0; o < out; o += LANES) {
    const int64_t panel = o / OUTPUTS * OUTPUTS, row = smaller(OUTPUTS, out - panel);
    const float *from = own + TAPS * in * panel + o - panel;
    for (int64_t e = 0; e < in * TAPS; e += LANES) { /* numbers of an output, whatever tap of whatever input */
      lanes_f x[LANES];
      for (int k = 0; k < LANES; k++) x[k] = lanes_read(from + (e + k) * row);
      transpose(x);
      for (int k = 0; k < LANES; k++) lanes_write(weights + (o + k) * in * TAPS + e, x[k]);
    }
  }
}
