/* The template of Winograd's passes. The includer defines three functions of sixteen lanes:
 *
 *   pairs(low, high)   both rounded to bf16, each lane a pair
 *   put(to, x)         x rounded to bf16, sixteen elements
 *   dot(sum, a, b)     sum + a.low · b.low + a.high · b.high
 *
 * Bound by dot: POINTS · squares · inputs / 2 · outputs / LANES of them a pass. A transform costs about 60 operations a
 * square and LANES channels, an eighth of what the products of 64 channels do and less with more.
 */
#include "engine/onednn/winograd.h"

#define LANES_BF16 1
#include "engine/onednn/lanes.h"

#define UNROLL _Pragma("GCC unroll 16")

enum {
  POINTS = SAP__WINOGRAD_POINTS,
  OUTPUTS = SAP__WINOGRAD_OUTPUTS,
  INPUTS = SAP__WINOGRAD_INPUTS,
  ROWS = SAP__WINOGRAD_ROWS,
  INPUT_ROWS = 4, /* the same for gradients, where rows are input channels */
  VECTORS = OUTPUTS / LANES,
  TAPS = 9,
};

LANES_INLINE int64_t at_most(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- products ---- */

/* A product's operands: `steps` pairs of rows of a times vectors of b, into c. Strides in elements. */
typedef struct operands {
  const uint16_t *a, *b;
  float *c;
  int64_t a_row, a_step, b_step, c_row, steps;
  int adds; /* 1: to what is in c */
} operands;

/* Inlined with constant sizes, so that the sums stay in registers. */
LANES_INLINE void product(const operands *o, int rows, int vectors) {
  lanes_f sum[ROWS][VECTORS];
  UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < vectors; v++) sum[r][v] =
      o->adds ? lanes_read(o->c + r * o->c_row + v * LANES) : lanes_all(0);
  const uint16_t *a = o->a, *b = o->b;
  for (int64_t k = 0; k < o->steps; k++, a += o->a_step, b += o->b_step) {
    lanes_u column[VECTORS];
    UNROLL for (int v = 0; v < vectors; v++) memcpy(&column[v], b + v * 2 * LANES, sizeof column[v]);
    UNROLL for (int r = 0; r < rows; r++) {
      uint32_t pair;
      memcpy(&pair, a + r * o->a_row, sizeof pair);
      const lanes_u row = (lanes_u){0} + pair;
      UNROLL for (int v = 0; v < vectors; v++) sum[r][v] = dot(sum[r][v], row, column[v]);
    }
  }
  UNROLL for (int r = 0; r < rows; r++) UNROLL for (int v = 0; v < vectors; v++)
      lanes_write(o->c + r * o->c_row + v * LANES, sum[r][v]);
}

/* By the number of vectors, which is OUTPUTS / LANES but in a last, narrow panel. */
LANES_INLINE void product_of_rows(const operands *o, int rows, int64_t vectors) {
  if (vectors == 4)
    product(o, rows, 4);
  else if (vectors == 3)
    product(o, rows, 3);
  else if (vectors == 2)
    product(o, rows, 2);
  else
    product(o, rows, 1);
}

/* ---- transforms of squares ---- */

/* The lines of a picture that a row of squares reads; outside they are zeros, in steps of 0. */
typedef struct lines {
  const uint16_t *line[4];
  int64_t step[4];
  int64_t width;
} lines;

static const uint16_t zeros[LANES];

LANES_INLINE void take_lines(lines *l, const sap__winograd_pixels *p, const uint16_t *group, int64_t first, int count) {
  l->width = p->width;
  for (int r = 0; r < count; r++) {
    const int inside = first + r >= 0 && first + r < p->height;
    l->line[r] = inside ? group + (first + r) * p->width * p->pixel : zeros;
    l->step[r] = inside ? p->pixel : 0;
  }
}

/* Bᵀ of a column of four pixels. */
LANES_INLINE void read_column(const lines *l, int64_t column, lanes_f t[4]) {
  if (column < 0 || column >= l->width) {
    for (int r = 0; r < 4; r++) t[r] = lanes_all(0);
    return;
  }
  lanes_f d[4];
  UNROLL for (int r = 0; r < 4; r++) d[r] = bf16_lanes(l->line[r] + column * l->step[r]);
  t[0] = d[0] - d[2];
  t[1] = d[1] + d[2];
  t[2] = d[2] - d[1];
  t[3] = d[1] - d[3];
}

/* Bᵀ d B of four transformed columns. */
LANES_INLINE void cross_columns(lanes_f t[4][4], lanes_f square[POINTS]) {
  UNROLL for (int r = 0; r < 4; r++) {
    square[4 * r] = t[0][r] - t[2][r];
    square[4 * r + 1] = t[1][r] + t[2][r];
    square[4 * r + 2] = t[2][r] - t[1][r];
    square[4 * r + 3] = t[1][r] - t[3][r];
  }
}

/* The next square to the right; two of its columns are the last one's. */
LANES_INLINE void next_square(const lines *l, int64_t column, lanes_f t[4][4], lanes_f square[POINTS]) {
  UNROLL for (int r = 0; r < 4; r++) t[0][r] = t[2][r], t[1][r] = t[3][r];
  read_column(l, column + 2, t[2]);
  read_column(l, column + 3, t[3]);
  cross_columns(t, square);
}

/* A dy Aᵀ of a square of 2 x 2 pixels. */
LANES_INLINE void gradient_square(const lines *l, int64_t column, lanes_f square[POINTS], lanes_f *bias) {
  lanes_f t[2][4];
  UNROLL for (int c = 0; c < 2; c++) {
    const int inside = column + c < l->width;
    lanes_f d[2];
    UNROLL for (int r = 0; r < 2; r++) d[r] =
        inside ? bf16_lanes(l->line[r] + (column + c) * l->step[r]) : lanes_all(0);
    *bias += d[0] + d[1];
    t[c][0] = d[0];
    t[c][1] = d[0] + d[1];
    t[c][2] = d[0] - d[1];
    t[c][3] = -d[1];
  }
  UNROLL for (int r = 0; r < 4; r++) {
    square[4 * r] = t[0][r];
    square[4 * r + 1] = t[0][r] + t[1][r];
    square[4 * r + 2] = t[0][r] - t[1][r];
    square[4 * r + 3] = -t[1][r];
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
  return (run){row / w->high, row % w->high, column, at_most(w->wide - column, end - square)};
}

/* Squares [first, end) of `from`, transformed: (point, block, inputs), or in pairs of squares (point, block / 2,
 * inputs, 2). */
LANES_INLINE void transform_inputs(const sap__winograd *w, const uint16_t *from, int64_t first, int64_t end, int paired,
                                   uint16_t *to) {
  const sap__winograd_pixels *p = &w->from;
  const int64_t inputs = p->channels, point = w->block * inputs;
  for (int64_t square = first; square < end;) {
    const run at = run_at(w, square, end);
    const int64_t column = 2 * at.column - w->pad[1];
    for (int64_t g = 0; g < inputs / LANES; g++) {
      lines l;
      take_lines(&l, p, from + at.picture * p->picture + g * p->group, 2 * at.row - w->pad[0], 4);
      lanes_f t[4][4], s[POINTS], even[POINTS];
      read_column(&l, column, t[2]);
      read_column(&l, column + 1, t[3]);
      uint16_t *at_square = to + (square - first) * inputs + g * LANES * (1 + paired);
      for (int64_t k = 0; k < at.count; k += 1 + paired) {
        next_square(&l, column + 2 * k, t, paired ? even : s);
        if (paired) next_square(&l, column + 2 * k + 2, t, s);
        for (int i = 0; i < POINTS; i++)
          if (paired) {
            const lanes_u both = pairs(even[i], s[i]);
            memcpy(at_square + i * point, &both, sizeof both);
          } else {
            put(at_square + i * point, s[i]);
          }
        at_square += inputs * (1 + paired);
      }
    }
    square += at.count;
  }
}

/* The same of dy, always in pairs; its pixels are added to `bias`, (outputs). */
static void transform_gradients(const sap__winograd *w, const uint16_t *dy, int64_t first, int64_t end, uint16_t *to,
                                float *bias) {
  const sap__winograd_pixels *p = &w->to;
  const int64_t outputs = p->channels, point = w->block * outputs;
  for (int64_t square = first; square < end;) {
    const run at = run_at(w, square, end);
    for (int64_t g = 0; g < outputs / LANES; g++) {
      lines l;
      take_lines(&l, p, dy + at.picture * p->picture + g * p->group, 2 * at.row, 2);
      lanes_f even[POINTS], odd[POINTS], sum = lanes_all(0);
      uint16_t *at_pair = to + (square - first) * outputs + g * LANES * 2;
      for (int64_t k = 0; k < at.count; k += 2, at_pair += 2 * outputs) {
        gradient_square(&l, 2 * (at.column + k), even, &sum);
        gradient_square(&l, 2 * (at.column + k) + 2, odd, &sum);
        UNROLL for (int i = 0; i < POINTS; i++) {
          const lanes_u both = pairs(even[i], odd[i]);
          memcpy(at_pair + i * point, &both, sizeof both);
        }
      }
      if (bias) lanes_write(bias + g * LANES, lanes_read(bias + g * LANES) + sum);
    }
    square += at.count;
  }
}

/* Aᵀ m A, plus the bias, of one square into those of its 2 x 2 pixels that exist. m is (point, `point` apart). */
LANES_INLINE void write_square(const float *m, int64_t point, lanes_f bias, uint16_t *to, int64_t line, int64_t pixel,
                               int64_t high, int64_t wide) {
  lanes_f t[4][2];
  UNROLL for (int c = 0; c < 4; c++) {
    lanes_f d[4];
    UNROLL for (int r = 0; r < 4; r++) d[r] = lanes_read(m + (4 * r + c) * point);
    t[c][0] = d[0] + d[1] + d[2];
    t[c][1] = d[1] - d[2] - d[3];
  }
  UNROLL for (int r = 0; r < 2; r++) {
    if (r >= high) break;
    put(to + r * line, t[0][r] + t[1][r] + t[2][r] + bias);
    if (wide > 1) put(to + r * line + pixel, t[1][r] - t[2][r] - t[3][r] + bias);
  }
}

/* Squares [first, end) of a panel of `vectors` times LANES outputs from `panel` on, from the products m (point, block,
 * vectors · LANES). */
static void transform_outputs(const sap__winograd *w, const float *m, const float *bias, int64_t first, int64_t end,
                              int64_t panel, int64_t vectors, uint16_t *to) {
  const sap__winograd_pixels *p = &w->to;
  const int64_t row = vectors * LANES, point = w->block * row, line = p->width * p->pixel;
  for (int64_t square = first; square < end;) {
    const run at = run_at(w, square, end);
    for (int64_t v = 0; v < vectors; v++) {
      const lanes_f b = bias ? lanes_read(bias + panel + v * LANES) : lanes_all(0);
      uint16_t *out =
          to + at.picture * p->picture + (panel / LANES + v) * p->group + 2 * at.row * line + 2 * at.column * p->pixel;
      for (int64_t k = 0; k < at.count; k++)
        write_square(m + (square - first + k) * row + v * LANES, point, b, out + 2 * k * p->pixel, line, p->pixel,
                     p->height - 2 * at.row, p->width - 2 * (at.column + k));
    }
    square += at.count;
  }
}

/* ---- the passes ---- */

/* All points of a panel: m from the transformed inputs and the panel's weights. */
static void multiply_panel(const sap__winograd *w, const uint16_t *inputs, const uint16_t *weights, int64_t squares,
                           int64_t vectors, float *m) {
  const int64_t in = w->from.channels, row = vectors * LANES;
  operands o = {.a_row = in, .a_step = 2, .b_step = 2 * row, .c_row = row, .steps = in / 2};
  for (int64_t i = 0; i < POINTS; i++)
    for (int64_t s = 0; s < squares; s += ROWS) {
      o.a = inputs + (i * w->block + s) * in;
      o.b = weights + i * in * row;
      o.c = m + (i * w->block + s) * row;
      product_of_rows(&o, ROWS, vectors);
    }
}

static void run_pass(const sap__winograd *w, const uint16_t *from, const uint16_t *weights, const float *bias,
                     uint16_t *to, void *scratch) {
  const int64_t in = w->from.channels, out = w->to.channels;
  float *m = scratch;
  uint16_t *inputs = (uint16_t *)(m + POINTS * w->block * OUTPUTS);
  for (int64_t first = 0; first < w->squares; first += w->block) {
    const int64_t end = at_most(first + w->block, w->squares);
    transform_inputs(w, from, first, end, 0, inputs);
    for (int64_t panel = 0; panel < out; panel += OUTPUTS) {
      const int64_t vectors = at_most(OUTPUTS, out - panel) / LANES;
      multiply_panel(w, inputs, weights + POINTS * in * panel, end - first, vectors, m);
      transform_outputs(w, m, bias, first, end, panel, vectors, to);
    }
  }
}

/* Gᵀ m G of `count` inputs: (input, 3 x 3, outputs of the panel) from m (point, `rows` inputs, outputs of the panel).
 */
static void gradients_back(const float *m, int64_t rows, int64_t count, int64_t vectors, float *own) {
  const int64_t row = vectors * LANES;
  for (int64_t k = 0; k < count * vectors; k++) {
    const float *from = m + k * LANES;
    float *to = own + k / vectors * TAPS * row + k % vectors * LANES;
    lanes_f t[4][3];
    UNROLL for (int c = 0; c < 4; c++) {
      lanes_f d[4];
      UNROLL for (int r = 0; r < 4; r++) d[r] = lanes_read(from + (4 * r + c) * rows * row);
      const lanes_f sum = 0.5f * (d[1] + d[2]);
      t[c][0] = d[0] + sum;
      t[c][1] = 0.5f * (d[1] - d[2]);
      t[c][2] = sum + d[3];
    }
    UNROLL for (int r = 0; r < 3; r++) {
      const lanes_f sum = 0.5f * (t[1][r] + t[2][r]);
      lanes_write(to + (3 * r) * row, t[0][r] + sum);
      lanes_write(to + (3 * r + 1) * row, 0.5f * (t[1][r] - t[2][r]));
      lanes_write(to + (3 * r + 2) * row, sum + t[3][r]);
    }
  }
}

/* m (point, `rows` inputs, outputs of the panel) from the pairs of `squares` squares. */
static void multiply_gradients(const sap__winograd *w, const uint16_t *inputs, const uint16_t *gradients,
                               int64_t squares, int64_t rows, int64_t vectors, int adds, float *m) {
  const int64_t in = w->from.channels, out = w->to.channels, row = vectors * LANES;
  operands o = {.a_row = 2, .a_step = 2 * in, .b_step = 2 * out, .c_row = row, .steps = squares / 2, .adds = adds};
  for (int64_t i = 0; i < POINTS; i++)
    for (int64_t k = 0; k < rows; k += INPUT_ROWS) {
      o.a = inputs + i * w->block * in + 2 * k;
      o.b = gradients + i * w->block * out;
      o.c = m + (i * rows + k) * row;
      product_of_rows(&o, INPUT_ROWS, vectors);
    }
}

static void run_gradients(const sap__winograd *w, const uint16_t *x, const uint16_t *dy, float *own, float *bias,
                          void *scratch) {
  const int64_t in = w->from.channels, out = w->to.channels;
  uint16_t *inputs = scratch, *gradients = inputs + POINTS * w->block * in;
  float *m = (float *)(gradients + POINTS * w->block * out);
  if (bias) memset(bias, 0, (size_t)out * sizeof *bias);
  for (int64_t first = 0; first < w->squares; first += w->block) {
    const int64_t end = at_most(first + w->block, w->squares);
    transform_inputs(w, x, first, end, 1, inputs);
    transform_gradients(w, dy, first, end, gradients, bias);
    for (int64_t panel = 0; panel < out; panel += OUTPUTS) {
      const int64_t vectors = at_most(OUTPUTS, out - panel) / LANES;
      for (int64_t k = 0; k < in; k += INPUTS) {
        const int64_t rows = at_most(INPUTS, in - k);
        /* Sums of one block alone need not be kept. */
        float *sums = w->block < w->squares ? m + POINTS * (panel * in + k * vectors * LANES) : m;
        multiply_gradients(w, inputs + 2 * k, gradients + 2 * panel, end - first, rows, vectors, first > 0, sums);
        if (end == w->squares)
          gradients_back(sums, rows, rows, vectors, own + TAPS * (panel * in + k * vectors * LANES));
      }
    }
  }
}

/* ---- copies of weights ---- */

/* Sixteen vectors as the columns of a matrix become its rows: four perfect shuffles. */
LANES_INLINE void transpose(lanes_f x[LANES]) {
  for (int stage = 0; stage < 4; stage++) {
    lanes_f y[LANES];
    UNROLL for (int i = 0; i < LANES / 2; i++) {
      y[2 * i] =
          __builtin_shufflevector(x[i], x[i + LANES / 2], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      y[2 * i + 1] =
          __builtin_shufflevector(x[i], x[i + LANES / 2], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    }
    UNROLL for (int i = 0; i < LANES; i++) x[i] = y[i];
  }
}

/* G g Gᵀ. */
LANES_INLINE void transform_weights(const lanes_f *g, lanes_f u[POINTS]) {
  lanes_f t[4][3];
  UNROLL for (int c = 0; c < 3; c++) {
    const lanes_f sum = 0.5f * (g[c] + g[6 + c]);
    t[0][c] = g[c];
    t[1][c] = sum + 0.5f * g[3 + c];
    t[2][c] = sum - 0.5f * g[3 + c];
    t[3][c] = g[6 + c];
  }
  UNROLL for (int r = 0; r < 4; r++) {
    const lanes_f sum = 0.5f * (t[r][0] + t[r][2]);
    u[4 * r] = t[r][0];
    u[4 * r + 1] = sum + 0.5f * t[r][1];
    u[4 * r + 2] = sum - 0.5f * t[r][1];
    u[4 * r + 3] = t[r][2];
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
    float rows[LANES * TAPS + LANES] = {0}; /* the last row is read beyond its end */
    lanes_f x[LANES];
    memcpy(rows, weights + i * outputs * TAPS, LANES * TAPS * sizeof *rows);
    for (int o = 0; o < LANES; o++) x[o] = lanes_read(rows + o * TAPS);
    transpose(x);
    for (int t = 0; t < TAPS; t++) taps[i * TAPS + t] = x[TAPS - 1 - t];
  }
}

static void weights_in(const sap__winograd *w, const float *weights, uint16_t *own) {
  const int64_t in = w->from.channels, out = w->to.channels;
  const int turned = w->pass == SAP__CONV_BACKWARD_DATA;
  for (int64_t o = 0; o < out; o += LANES) {
    const int64_t panel = o / OUTPUTS * OUTPUTS, row = at_most(OUTPUTS, out - panel);
    for (int64_t i = 0; i < in; i += LANES) {
      lanes_f taps[LANES * TAPS], even[POINTS], odd[POINTS];
      if (turned)
        gather_turned(weights + (i * out + o) * TAPS, out, taps);
      else
        gather_forward(weights + (o * in + i) * TAPS, in, taps);
      for (int k = 0; k < LANES; k += 2) {
        transform_weights(taps + k * TAPS, even);
        transform_weights(taps + (k + 1) * TAPS, odd);
        uint16_t *to = own + POINTS * in * panel + (i + k) * row + 2 * (o - panel);
        for (int point = 0; point < POINTS; point++) {
          const lanes_u both = pairs(even[point], odd[point]);
          memcpy(to + point * in * row, &both, sizeof both);
        }
      }
    }
  }
}

static void weights_out(const sap__winograd *w, const float *own, float *weights) {
  const int64_t in = w->from.channels, out = w->to.channels;
  for (int64_t o = 0; o < out; o += LANES) {
    const int64_t panel = o / OUTPUTS * OUTPUTS, row = at_most(OUTPUTS, out - panel);
    const float *from = own + TAPS * in * panel + o - panel;
    for (int64_t e = 0; e < in * TAPS; e += LANES) { /* numbers of an output, whatever tap of whatever input */
      lanes_f x[LANES];
      for (int k = 0; k < LANES; k++) x[k] = lanes_read(from + (e + k) * row);
      transpose(x);
      for (int k = 0; k < LANES; k++) lanes_write(weights + (o + k) * in * TAPS + e, x[k]);
    }
  }
}
