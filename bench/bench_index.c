/* The norms of one long vector, against a plain read of it. */
#define _GNU_SOURCE
#include "bench.h"

static const struct index_case {
  const char *name;
  double p, q;
  sap_dtype dtype;
  int masked;
} cases[] = {
    {"f32 0.5,1", 0.5, 1, SAP_F32, 0},        {"f32 1,2", 1, 2, SAP_F32, 0},
    {"f32 0.5,1 masked", 0.5, 1, SAP_F32, 1}, {"f32 1,2 masked", 1, 2, SAP_F32, 1},
    {"bf16 0.5,1", 0.5, 1, SAP_BF16, 0},      {"f16 0.5,1", 0.5, 1, SAP_F16, 0},
    {"f32 0.3,1.7", 0.3, 1.7, SAP_F32, 0},    {"f32 0.1,1", 0.1, 1, SAP_F32, 0},
};

/* bfloat16, cut off; float16 of numbers that are normal there. */
static void narrow(const float *w, uint16_t *half, uint64_t n, sap_dtype dtype) {
  for (uint64_t i = 0; i < n; i++) {
    uint32_t bits;
    memcpy(&bits, &w[i], sizeof bits);
    uint32_t magnitude = bits & 0x7fffffff;
    if (dtype == SAP_BF16)
      half[i] = (uint16_t)(bits >> 16);
    else
      half[i] = (uint16_t)((bits >> 16 & 0x8000) | (magnitude < 0x38800000 ? 0 : (magnitude - 0x38000000) >> 13));
  }
}

static double reference(const void *w, sap_dtype dtype, uint64_t n, const uint64_t *mask, double p) {
  double sum = 0;
  for (uint64_t i = 0; i < n; i++) {
    float x;
    sap_dtype_to_f32(dtype, (const char *)w + i * sap_dtype_bits(dtype) / 8, &x, 1);
    if (!mask || sap_mask_get(mask, i)) sum += pow(fabs((double)x), p);
  }
  return sum;
}

static double sum_of(double sum, double p, int exponent) { return sum * exp2(p * exponent); }

static void run_case(const bench_options *o, const struct index_case *c, const void *w, const uint64_t *mask) {
  static bench_times times, read;
  double bytes = (double)o->elements * sap_dtype_bits(c->dtype) / 8;
  times.count = read.count = 0;
  uint64_t checked = o->elements < 1000000 ? o->elements : 1000000;
  sap_norms norms = sap_norms_empty(c->p, c->q);
  if (sap_norms_add(&norms, w, c->dtype, checked, mask, 0, NULL)) exit(1);
  double p = reference(w, c->dtype, checked, mask, c->p), q = reference(w, c->dtype, checked, mask, c->q);
  bench_check(fabs(sum_of(norms.sum_p, c->p, norms.exponent) / p - 1) < 1e-9 &&
                  fabs(sum_of(norms.sum_q, c->q, norms.exponent) / q - 1) < 1e-9,
              c->name);
  for (int round = 0; round < o->rounds; round++) {
    double start = bench_now();
    bench_sink = bench_read(w, (size_t)bytes);
    double middle = bench_now();
    norms = sap_norms_empty(c->p, c->q);
    if (sap_norms_add(&norms, w, c->dtype, o->elements, mask, 0, NULL)) exit(1);
    bench_add(&read, middle - start);
    bench_add(&times, bench_now() - middle);
  }
  bench_report(o, c->name, &times, bytes, &read, bytes);
}

int main(int count, char **arguments) {
  bench_options o = bench_parse(count, arguments, 100000000, 11);
  float *w = bench_memory(o.elements * sizeof *w);
  uint16_t *half = bench_memory(o.elements * sizeof *half);
  uint64_t *mask = bench_memory(sap_mask_words(o.elements) * sizeof *mask);
  bench_fill(w, o.elements);
  for (uint64_t i = 0; i < sap_mask_words(o.elements); i++) mask[i] = bench_random();
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    if (o.only && strcmp(o.only, cases[i].name)) continue;
    if (cases[i].dtype != SAP_F32) narrow(w, half, o.elements, cases[i].dtype);
    run_case(&o, &cases[i], cases[i].dtype == SAP_F32 ? (const void *)w : half, cases[i].masked ? mask : NULL);
  }
  free(w);
  free(half);
  free(mask);
  return 0;
}
