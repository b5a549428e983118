#include "engine/onednn/winograd.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "base/kernels.h"
#include "sap_config.h"

/* Squares in work at a time in the first two passes, whose sums for a panel shall stay in the second cache; and bytes
 * of the transformed squares of the third: with fewer, adding to the sums again and again would take as long as the
 * products, so they are at least half of the sums. */
enum { BLOCK = 24, GRADIENT_BYTES = 1 << 20 };

static sap__winograd_pixels pixels_of(const sap__format *f) {
  const int64_t pixels = sap__format_pixels(f);
  return (sap__winograd_pixels){.channels = f->channels,
                                .height = f->height,
                                .width = f->width,
                                .block = f->block,
                                .picture = f->channels * pixels,
                                .plane = f->block * pixels,
                                .pixel = f->block};
}

static int may_read(const sap__format *f, const sap__winograd_kernels *k) {
  return f->bytes == k->bytes && f->channels % k->lanes == 0 && f->block % k->lanes == 0;
}

static int is_plain(const sap__conv2d *c) {
  for (int i = 0; i < 2; i++)
    if (c->kernel[i] != 3 || c->stride[i] != 1 || c->dilation[i] != 1 || c->pad[i] > 2) return 0;
  return c->groups == 1;
}

static int64_t pieces_of(int64_t n, int64_t length) { return (n + length - 1) / length; }

/* Memory of the first two passes: sums of a block and panel, and the block's transformed inputs. */
static void size_pass(sap__winograd *w, const sap__winograd_kernels *k, int64_t points) {
  const int64_t in = w->from.channels, bytes = k->bytes, floats = sizeof(float);
  const int64_t all = pieces_of(w->squares, SAP__WINOGRAD_ROWS) * SAP__WINOGRAD_ROWS;
  w->block = all < BLOCK ? all : BLOCK;
  w->weight_bytes = (size_t)(points * pieces_of(w->to.channels, k->outputs) *
                             sap__winograd_weights_apart(in * k->outputs, bytes) * bytes);
  w->scratch_bytes = (size_t)(points * (w->block * k->outputs * floats + w->block * in * bytes));
}

/* Of the third: a block's transformed inputs and gradients, and the sums; all of them unless one block is all. */
static void size_gradients(sap__winograd *w, const sap__winograd_kernels *k, int64_t points) {
  const int64_t in = w->from.channels, out = w->to.channels, bytes = k->bytes, floats = sizeof(float);
  const int64_t half = points * in * out * floats / 2, enough = half > GRADIENT_BYTES ? half : GRADIENT_BYTES;
  const int64_t pairs = enough / (2 * points * (in + out) * bytes), block = pairs > 0 ? 2 * pairs : 2;
  w->block = block < w->squares ? block : w->squares;
  const int64_t kept = w->block < w->squares ? pieces_of(in, SAP__WINOGRAD_INPUTS) * pieces_of(out, k->outputs) : 1;
  w->weight_bytes = (size_t)(9 * in * out * floats);
  w->scratch_bytes =
      (size_t)(points * (w->block * (in + out) * bytes + kept * SAP__WINOGRAD_INPUTS * k->outputs * floats));
}

int sap__winograd_plan(sap__winograd *w, const sap__winograd_kernels *kernels, const sap__conv_problem *problem,
                       sap__conv_pass pass) {
  const sap__conv2d *c = problem->conv;
  const int turned = pass == SAP__CONV_BACKWARD_DATA, gradients = pass == SAP__CONV_BACKWARD_WEIGHTS;
  if (problem->adds || !is_plain(c) || !may_read(&problem->x, kernels) || !may_read(&problem->y, kernels)) return 0;
  *w = (sap__winograd){.pass = pass,
                       .from = pixels_of(turned ? &problem->y : &problem->x),
                       .to = pixels_of(turned ? &problem->x : &problem->y),
                       .has_bias = c->bias && !turned};
  for (int i = 0; i < 2; i++) w->pad[i] = turned ? 2 - c->pad[i] : c->pad[i];
  const int64_t side = kernels->side, per_word = (int64_t)sizeof(float) / kernels->bytes;
  w->high = pieces_of(w->to.height, side);
  w->wide = pieces_of(w->to.width, side);
  if (gradients) w->wide = pieces_of(w->wide, per_word) * per_word;
  w->squares = problem->count * w->high * w->wide;
  (gradients ? size_gradients : size_pass)(w, kernels, (side + 2) * (side + 2));
  return 1;
}

int sap__winograd_same_weights(const sap__winograd *a, const sap__winograd *b) {
  return a->pass == b->pass && a->from.channels == b->from.channels && a->to.channels == b->to.channels;
}

/* ---- which kernels ---- */

SAP__KERNELS_DECLARE(const sap__winograd_kernels, sap__winograd_f32);

#if SAP_HAVE_AVX512BF16
extern const sap__winograd_kernels sap__winograd_bf16_avx512bf16;

/* By hand: not every compiler knows the name for __builtin_cpu_supports. */
static int multiplies_bf16(void) {
  unsigned a, b, c, d;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) && a & 1u << 5;
}

static const sap__winograd_kernels *active_bf16(void) {
  return sap_cpu_active() == SAP_CPU_AVX512 && multiplies_bf16() ? &sap__winograd_bf16_avx512bf16 : NULL;
}
#else
static const sap__winograd_kernels *active_bf16(void) { return NULL; }
#endif

const sap__winograd_kernels *sap__winograd_active(int bytes) {
  return bytes == 2 ? active_bf16() : SAP__KERNELS_ACTIVE(sap__winograd_f32);
}
