#include "engine/onednn/winograd.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "sap_config.h"
#include "sapwood/cpu.h"

/* Squares in work at a time in the first two passes, whose sums for a panel, 4 KiB a square, shall stay in the second
 * cache; and bytes of the transformed squares of the third: with fewer, adding to the sums again and again would take
 * as long as the products, so they are at least a quarter of the sums. */
enum { BLOCK = 24, GRADIENT_BYTES = 1 << 20 };

static int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

static sap__winograd_pixels pixels_of(const sap__format *f) {
  const int64_t pixels = sap__format_pixels(f), lanes = SAP__WINOGRAD_LANES;
  return (sap__winograd_pixels){.channels = f->channels,
                                .height = f->height,
                                .width = f->width,
                                .picture = f->channels * pixels,
                                .group = f->last ? lanes : lanes * pixels,
                                .pixel = f->last ? f->channels : lanes};
}

static int may_read(const sap__format *f) {
  return f->bytes == 2 && f->channels % SAP__WINOGRAD_LANES == 0 && (f->last || f->block == SAP__WINOGRAD_LANES);
}

static int is_plain(const sap__conv2d *c) {
  for (int i = 0; i < 2; i++)
    if (c->kernel[i] != 3 || c->stride[i] != 1 || c->dilation[i] != 1 || c->pad[i] > 2) return 0;
  return c->groups == 1;
}

int sap__winograd_plan(sap__winograd *w, const sap__conv_problem *problem, sap__conv_pass pass) {
  const sap__conv2d *c = problem->conv;
  const int turned = pass == SAP__CONV_BACKWARD_DATA, gradients = pass == SAP__CONV_BACKWARD_WEIGHTS;
  if (problem->adds || !is_plain(c) || !may_read(&problem->x) || !may_read(&problem->y)) return 0;
  *w = (sap__winograd){.pass = pass,
                       .from = pixels_of(turned ? &problem->y : &problem->x),
                       .to = pixels_of(turned ? &problem->x : &problem->y),
                       .count = problem->count,
                       .has_bias = c->bias && !turned};
  for (int i = 0; i < 2; i++) w->pad[i] = turned ? 2 - c->pad[i] : c->pad[i];
  w->high = (w->to.height + 1) / 2;
  w->wide = round_up((w->to.width + 1) / 2, 1 + gradients);
  w->squares = w->count * w->high * w->wide;
  const int64_t in = w->from.channels, out = w->to.channels, points = SAP__WINOGRAD_POINTS;
  if (gradients) {
    const int64_t quarter = points * in * out, bytes = quarter > GRADIENT_BYTES ? quarter : GRADIENT_BYTES;
    const int64_t block = bytes / (2 * points * (in + out)) / 2 * 2;
    w->block = block < w->squares ? block : w->squares;
    const int64_t sums = w->block < w->squares ? in * out : SAP__WINOGRAD_INPUTS * SAP__WINOGRAD_OUTPUTS;
    w->weight_bytes = (size_t)(9 * in * out) * sizeof(float);
    w->scratch_bytes =
        (size_t)(points * w->block * (in + out)) * sizeof(uint16_t) + (size_t)(points * sums) * sizeof(float);
  } else {
    const int64_t all = round_up(w->squares, SAP__WINOGRAD_ROWS);
    w->block = all < BLOCK ? all : BLOCK;
    w->weight_bytes = (size_t)(points * in * out) * sizeof(uint16_t);
    w->scratch_bytes = (size_t)(points * w->block * SAP__WINOGRAD_OUTPUTS) * sizeof(float) +
                       (size_t)(points * w->block * in) * sizeof(uint16_t);
  }
  return 1;
}

int sap__winograd_same_weights(const sap__winograd *a, const sap__winograd *b) {
  return a->pass == b->pass && a->from.channels == b->from.channels && a->to.channels == b->to.channels;
}

#if SAP_HAVE_AVX512BF16
extern const sap__winograd_kernels sap__winograd_avx512bf16;

/* By hand: not every compiler knows the name for __builtin_cpu_supports. */
static int multiplies_bf16(void) {
  unsigned a, b, c, d;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) && a & 1u << 5;
}

const sap__winograd_kernels *sap__winograd_active(void) {
  return sap_cpu_active() == SAP_CPU_AVX512 && multiplies_bf16() ? &sap__winograd_avx512bf16 : 0;
}
#else
const sap__winograd_kernels *sap__winograd_active(void) { return 0; }
#endif
