#include "engine/onednn/primitive.h"

#include <assert.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "engine/onednn/compat.h"
#include "engine/onednn/winograd.h"

enum { OPERANDS = 4, ARGUMENTS = OPERANDS + 1 };

struct sap__primitive {
  dnnl_engine_t engine;
  dnnl_stream_t stream;
  dnnl_primitive_desc_t desc;
  dnnl_primitive_t primitive;
  /* (x, w, bias, y) of a convolution, (from, to) of a copy, and last the scratchpad */
  dnnl_exec_arg_t arguments[ARGUMENTS];
  int argument_count;
  const char *name;
  size_t scratch, weight_bytes;
  dnnl_query_t weight_query; /* where desc keeps the weights' descriptor */
  dnnl_dims_t weights;       /* (groups,) O, I, kernel */
  int weight_rank;
  /* Of a product: what is laid out as rows, and the format of its weights, (kernel, I, O). */
  int is_product;
  sap__conv_problem problem;
  sap__dnnl_desc product_weights;
  /* Of Winograd's way for bf16 and the copies of its weights, which are not oneDNN's; else NULL. */
  const sap__winograd_kernels *kernels;
  sap__winograd winograd;
};

void sap__primitive_free(sap__primitive *p) {
  if (!p) return;
  for (int i = 0; i < ARGUMENTS; i++)
    if (p->arguments[i].memory) dnnl_memory_destroy(p->arguments[i].memory);
  if (p->is_product) sap__dnnl_desc_free(&p->product_weights);
  if (p->primitive) dnnl_primitive_destroy(p->primitive);
  if (p->desc) dnnl_primitive_desc_destroy(p->desc);
  if (p->stream) dnnl_stream_destroy(p->stream);
  if (p->engine) dnnl_engine_destroy(p->engine);
  sap__free(p);
}

const char *sap__primitive_name(const sap__primitive *p) { return p->name; }
size_t sap__primitive_scratch(const sap__primitive *p) { return p->scratch; }
size_t sap__primitive_weight_bytes(const sap__primitive *p) { return p->weight_bytes; }

static sap__dnnl_desc_view query(const sap__primitive *p, dnnl_query_t what) {
  return dnnl_primitive_desc_query_md(p->desc, what, 0);
}

static sap__dnnl_desc_view weights_of(const sap__primitive *p) {
  return p->is_product ? sap__dnnl_view(&p->product_weights) : query(p, p->weight_query);
}

int sap__primitive_same_weights(const sap__primitive *a, const sap__primitive *b) {
  if (a->kernels || b->kernels)
    return a->kernels == b->kernels && sap__winograd_same_weights(&a->winograd, &b->winograd);
  return dnnl_memory_desc_equal(weights_of(a), weights_of(b));
}

static dnnl_status_t add_argument(sap__primitive *p, int argument, sap__dnnl_desc_view desc) {
  p->arguments[p->argument_count].arg = argument;
  return dnnl_memory_create(&p->arguments[p->argument_count++].memory, desc, p->engine, DNNL_MEMORY_NONE);
}

static void set_argument(const sap__primitive *p, int argument, void *data) {
  dnnl_status_t status = dnnl_memory_set_data_handle(p->arguments[argument].memory, data);
  assert(status == dnnl_success);
  (void)status;
}

static void run(const sap__primitive *p) {
  sap__dnnl_alone alone = sap__dnnl_alone_begin();
  dnnl_status_t status = dnnl_primitive_execute(p->primitive, p->stream, p->argument_count, p->arguments);
  if (!status) status = dnnl_stream_wait(p->stream);
  sap__dnnl_alone_end(alone);
  assert(status == dnnl_success);
  (void)status;
}

/* An empty primitive with an engine, a stream and an attribute that asks for our scratchpad. */
static dnnl_status_t begin(sap__primitive **out, dnnl_primitive_attr_t *attr) {
  sap__primitive *p = sap__calloc(1, sizeof *p);
  if (!p) return dnnl_out_of_memory;
  *out = p;
  dnnl_status_t status = dnnl_engine_create(&p->engine, dnnl_cpu, 0);
  if (!status) status = dnnl_stream_create(&p->stream, p->engine, dnnl_stream_default_flags);
  if (!status) status = dnnl_primitive_attr_create(attr);
  if (!status) status = dnnl_primitive_attr_set_scratchpad_mode(*attr, dnnl_scratchpad_mode_user);
  return status;
}

/* Makes the primitive of p->desc, for one thread, and its scratchpad's argument, the last. */
static dnnl_status_t finish(sap__primitive *p) {
  dnnl_status_t status = dnnl_primitive_create(&p->primitive, p->desc);
  if (!status) status = add_argument(p, DNNL_ARG_SCRATCHPAD, query(p, dnnl_query_scratchpad_md));
  p->scratch = dnnl_memory_desc_get_size(query(p, dnnl_query_scratchpad_md));
  if (!status) status = dnnl_primitive_desc_query(p->desc, dnnl_query_impl_info_str, 0, &p->name);
  return status;
}

int sap__primitive_has_matrix_units(void) {
  const dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();
  return (isa & dnnl_cpu_isa_avx512_core_amx) == dnnl_cpu_isa_avx512_core_amx; /* a set has the bits of those below */
}

/* ---- convolutions ---- */

static dnnl_data_type_t type_of(const sap__format *f) { return f->bytes == 2 ? dnnl_bf16 : dnnl_f32; }

static dnnl_format_tag_t tag_of(const sap__format *f) {
  return f->last ? dnnl_nhwc : f->block == 16 ? dnnl_nChw16c : f->block == 8 ? dnnl_nChw8c : dnnl_nchw;
}

static dnnl_status_t describe_value(sap__dnnl_desc *desc, const sap__format *f, int64_t count) {
  dnnl_dims_t dims = {count, f->channels, f->height, f->width};
  return sap__dnnl_desc_new(desc, 4, dims, type_of(f), tag_of(f));
}

/* (groups,) O/groups, I/groups, kernel: oneDNN has an axis for the groups where there are some. */
static int weight_dims(const sap__conv_problem *problem, int64_t *dims) {
  const sap__conv2d *c = problem->conv;
  int rank = 0;
  if (c->groups > 1) dims[rank++] = c->groups;
  dims[rank++] = c->out_channels / c->groups;
  dims[rank++] = problem->x.channels / c->groups;
  dims[rank++] = c->kernel[0];
  dims[rank++] = c->kernel[1];
  return rank;
}

static const dnnl_prop_kind_t kinds[] = {dnnl_forward_training, dnnl_backward_data, dnnl_backward_weights};

static dnnl_status_t describe(sap__dnnl_conv *d, const sap__conv_problem *problem, sap__conv_pass pass,
                              sap__conv_kind kind) {
  const sap__conv2d *c = problem->conv;
  *d = (sap__dnnl_conv){.pass = kinds[pass],
                        .algorithm = kind == SAP__CONV_WINOGRAD ? dnnl_convolution_winograd : dnnl_convolution_direct,
                        .has_bias = c->bias && pass != SAP__CONV_BACKWARD_DATA};
  const int64_t out[] = {problem->y.height, problem->y.width}, in[] = {problem->x.height, problem->x.width};
  for (int i = 0; i < 2; i++) {
    d->stride[i] = c->stride[i];
    d->dilation[i] = c->dilation[i] - 1;
    d->before[i] = c->pad[i];
    /* What the windows reach, which may be less than the padding: oneDNN wants the lengths to fit exactly. */
    d->after[i] = (out[i] - 1) * c->stride[i] + (c->kernel[i] - 1) * c->dilation[i] + 1 - in[i] - c->pad[i];
  }
  dnnl_dims_t dims, channels = {c->out_channels};
  int rank = weight_dims(problem, dims);
  /* Gradients of weights are sums over many pictures: floats, whatever the activations are. */
  dnnl_data_type_t weights = pass == SAP__CONV_BACKWARD_WEIGHTS ? dnnl_f32 : type_of(&problem->x);
  dnnl_status_t status = describe_value(&d->x, &problem->x, problem->count);
  if (!status) status = describe_value(&d->y, &problem->y, problem->count);
  if (!status) status = sap__dnnl_desc_new(&d->w, rank, dims, weights, dnnl_format_tag_any);
  if (!status && d->has_bias) status = sap__dnnl_desc_new(&d->bias, 1, channels, dnnl_f32, dnnl_x);
  return status;
}

static void describe_end(sap__dnnl_conv *d) {
  sap__dnnl_desc_free(&d->x);
  sap__dnnl_desc_free(&d->w);
  if (d->has_bias) sap__dnnl_desc_free(&d->bias);
  sap__dnnl_desc_free(&d->y);
}

/* The descriptor of a pass. The backward ones want a forward one beside them. */
static dnnl_status_t describe_pass(sap__primitive *p, const_dnnl_primitive_attr_t attr,
                                   const sap__conv_problem *problem, sap__conv_pass pass, sap__conv_kind kind,
                                   int nth) {
  sap__dnnl_conv conv, forward;
  dnnl_primitive_desc_t hint = NULL;
  dnnl_status_t status = dnnl_success;
  if (pass != SAP__CONV_FORWARD) {
    status = describe(&forward, problem, SAP__CONV_FORWARD, SAP__CONV_DIRECT);
    if (!status) status = sap__dnnl_conv_desc(&hint, &forward, p->engine, NULL, NULL, 0);
    describe_end(&forward);
  }
  if (!status) {
    status = describe(&conv, problem, pass, kind);
    if (!status) status = sap__dnnl_conv_desc(&p->desc, &conv, p->engine, attr, hint, nth);
    describe_end(&conv);
  }
  if (hint) dnnl_primitive_desc_destroy(hint);
  return status;
}

static dnnl_status_t add_operands(sap__primitive *p, const sap__conv_problem *problem, sap__conv_pass pass) {
  const int backward = pass == SAP__CONV_BACKWARD_DATA, weights = pass == SAP__CONV_BACKWARD_WEIGHTS;
  p->weight_query = weights ? dnnl_query_diff_weights_md : dnnl_query_weights_md;
  p->weight_bytes = dnnl_memory_desc_get_size(query(p, p->weight_query));
  dnnl_status_t status = add_argument(p, backward ? DNNL_ARG_DIFF_SRC : DNNL_ARG_SRC,
                                      query(p, backward ? dnnl_query_diff_src_md : dnnl_query_src_md));
  if (!status) status = add_argument(p, weights ? DNNL_ARG_DIFF_WEIGHTS : DNNL_ARG_WEIGHTS, query(p, p->weight_query));
  if (!status)
    status = add_argument(p, pass == SAP__CONV_FORWARD ? DNNL_ARG_DST : DNNL_ARG_DIFF_DST,
                          query(p, pass == SAP__CONV_FORWARD ? dnnl_query_dst_md : dnnl_query_diff_dst_md));
  if (!status && problem->conv->bias && !backward)
    status = add_argument(p, weights ? DNNL_ARG_DIFF_BIAS : DNNL_ARG_BIAS,
                          dnnl_primitive_desc_query_md(p->desc, p->weight_query, 1));
  return status;
}

/* ---- products ---- */

/* The rows of all windows are kept below this, so that they do not drive everything else from the caches. */
enum { LARGEST_ROWS = 1 << 26 };

static int64_t row_length(const sap__conv_problem *p) {
  return p->conv->kernel[0] * p->conv->kernel[1] * p->x.channels;
}
static int64_t row_count(const sap__conv_problem *p) { return p->count * sap__format_pixels(&p->y); }
static size_t rows_bytes(const sap__conv_problem *p) {
  size_t bytes = (size_t)(row_count(p) * row_length(p)) * (size_t)p->x.bytes;
  return (bytes + SAP_ALIGNMENT - 1) / SAP_ALIGNMENT * SAP_ALIGNMENT;
}

/* dW (kernel · I, O) = rowsᵀ · dy, of rows (pixels of y, kernel · I) and dy (pixels of y, O). */
static dnnl_status_t describe_product(sap__primitive *p, const_dnnl_primitive_attr_t attr,
                                      const sap__conv_problem *problem) {
  if (problem->conv->groups > 1 || !problem->x.last || !problem->y.last || rows_bytes(problem) > LARGEST_ROWS)
    return dnnl_unimplemented;
  const int64_t length = row_length(problem), count = row_count(problem), outputs = problem->y.channels;
  dnnl_dims_t a = {length, count}, b = {count, outputs}, c = {length, outputs}, weights;
  weight_dims(problem, weights);
  p->problem = *problem;
  dnnl_status_t status = sap__dnnl_desc_new(&p->product_weights, 4, weights, dnnl_f32, dnnl_hwio);
  p->is_product = !status;
  sap__dnnl_desc rows, dy, dw;
  if (!status) status = sap__dnnl_desc_new(&rows, 2, a, type_of(&problem->x), dnnl_ba);
  if (status) return status;
  status = sap__dnnl_desc_new(&dy, 2, b, type_of(&problem->y), dnnl_ab);
  if (!status) {
    status = sap__dnnl_desc_new(&dw, 2, c, dnnl_f32, dnnl_ab);
    if (!status) {
      status = sap__dnnl_product_desc(&p->desc, p->engine, &rows, &dy, &dw, attr);
      sap__dnnl_desc_free(&dw);
    }
    sap__dnnl_desc_free(&dy);
  }
  sap__dnnl_desc_free(&rows);
  return status;
}

/* In the order of a convolution's operands: x's rows, w, y. */
static dnnl_status_t add_factors(sap__primitive *p, const sap__conv_problem *problem) {
  p->weight_bytes = (size_t)(row_length(problem) * problem->y.channels) * sizeof(float);
  dnnl_status_t status = add_argument(p, DNNL_ARG_SRC, query(p, dnnl_query_src_md));
  if (!status) status = add_argument(p, DNNL_ARG_DST, query(p, dnnl_query_dst_md));
  return status ? status : add_argument(p, DNNL_ARG_WEIGHTS, query(p, dnnl_query_weights_md));
}

/* The window of each pixel of y as a row (kernel, I); what lies outside of the picture is 0. */
static void lay_out_rows(const sap__conv_problem *p, const char *x, char *rows) {
  const sap__conv2d *c = p->conv;
  const size_t pixel = (size_t)p->x.channels * (size_t)p->x.bytes, line = pixel * (size_t)p->x.width;
  for (int64_t n = 0; n < p->count; n++, x += line * (size_t)p->x.height)
    for (int64_t row = 0; row < p->y.height; row++)
      for (int64_t column = 0; column < p->y.width; column++)
        for (int64_t i = 0; i < c->kernel[0] * c->kernel[1]; i++, rows += pixel) {
          const int64_t iy = row * c->stride[0] - c->pad[0] + i / c->kernel[1] * c->dilation[0];
          const int64_t ix = column * c->stride[1] - c->pad[1] + i % c->kernel[1] * c->dilation[1];
          if (iy >= 0 && iy < p->x.height && ix >= 0 && ix < p->x.width)
            memcpy(rows, x + (size_t)iy * line + (size_t)ix * pixel, pixel);
          else
            memset(rows, 0, pixel);
        }
}

/* The bias's gradient: the sums of dy over all pixels. */
static void sum_pixels(const sap__conv_problem *p, const void *dy, float *sums) {
  const sap__format row = {.bytes = p->y.bytes, .block = 1, .channels = 1, .height = 1, .width = p->y.channels};
  const int64_t count = row_count(p);
  for (int64_t c = 0; c < p->y.channels; c++) {
    double sum = 0;
    for (int64_t k = 0; k < count; k++)
      sum += sap__format_get(&row, (const char *)dy + (size_t)k * sap__format_bytes(&row), 0, c);
    sums[c] = (float)sum;
  }
}

static void run_product(const sap__primitive *p, const sap__conv_operands *operands, char *scratch) {
  lay_out_rows(&p->problem, operands->x, scratch);
  if (operands->bias) sum_pixels(&p->problem, operands->y, operands->bias);
  set_argument(p, 0, scratch);
  set_argument(p, 1, operands->w);
  set_argument(p, 2, operands->y);
  set_argument(p, p->argument_count - 1, scratch + rows_bytes(&p->problem));
  run(p);
}

/* ---- Winograd's way for bf16 ---- */

static sap_status new_winograd(const sap__winograd *plan, sap__primitive **out, sap_error *err) {
  sap__primitive *p = *out = sap__calloc(1, sizeof *p);
  if (!p) return sap__fail(err, SAP_ERROR_MEMORY, "no memory for a convolution");
  p->kernels = sap__winograd_active();
  p->winograd = *plan;
  p->name = "sap_wino_2x3:avx512_bf16";
  p->scratch = plan->scratch_bytes;
  p->weight_bytes = plan->weight_bytes;
  return SAP_OK;
}

static void run_winograd(const sap__primitive *p, const sap__conv_operands *o, void *scratch) {
  float *bias = p->winograd.has_bias ? o->bias : NULL;
  if (p->winograd.pass == SAP__CONV_FORWARD)
    p->kernels->run(&p->winograd, o->x, o->w, bias, o->y, scratch);
  else if (p->winograd.pass == SAP__CONV_BACKWARD_DATA)
    p->kernels->run(&p->winograd, o->y, o->w, bias, o->x, scratch);
  else
    p->kernels->gradients(&p->winograd, o->x, o->y, o->w, bias, scratch);
}

static void copy_winograd(const sap__primitive *copy, const void *from, void *to) {
  if (copy->winograd.pass == SAP__CONV_BACKWARD_WEIGHTS)
    copy->kernels->weights_out(&copy->winograd, from, to);
  else
    copy->kernels->weights_in(&copy->winograd, from, to);
}

/* ---- any of them ---- */

/* oneDNN's plain loops, for what nothing else can do. They are the last, and very slow. */
static int is_reference(const sap__primitive *p) { return !strncmp(p->name, "ref", 3); }

sap_status sap__primitive_conv(const sap__conv_problem *problem, sap__conv_pass pass, sap__conv_kind kind, int nth,
                               sap__primitive **out, sap_error *err) {
  sap__primitive *p = NULL;
  dnnl_primitive_attr_t attr = NULL;
  const int product = kind == SAP__CONV_PRODUCT;
  *out = NULL;
  if (kind == SAP__CONV_WINOGRAD_BF16) {
    sap__winograd plan;
    if (nth > 0 || !sap__winograd_active() || !sap__winograd_plan(&plan, problem, pass)) return SAP_OK;
    return new_winograd(&plan, out, err);
  }
  if (product && (pass != SAP__CONV_BACKWARD_WEIGHTS || nth > 0)) return SAP_OK;
  sap__dnnl_alone alone = sap__dnnl_alone_begin();
  dnnl_status_t status = begin(&p, &attr);
  if (!status && problem->adds) status = sap__dnnl_attr_add(attr);
  if (!status) status = product ? describe_product(p, attr, problem) : describe_pass(p, attr, problem, pass, kind, nth);
  if (!status) {
    p->weight_rank = weight_dims(problem, p->weights);
    status = product ? add_factors(p, problem) : add_operands(p, problem, pass);
  }
  if (!status) status = finish(p);
  if (!status && product) p->scratch += rows_bytes(problem);
  sap__dnnl_alone_end(alone);
  if (attr) dnnl_primitive_attr_destroy(attr);
  if (status || (is_reference(p) && nth > 0)) {
    sap__primitive_free(p);
    p = NULL;
  }
  if (status == dnnl_out_of_memory) return sap__fail(err, SAP_ERROR_MEMORY, "no memory for a convolution");
  *out = p;
  return SAP_OK;
}

void sap__primitive_run(const sap__primitive *p, const sap__conv_operands *operands, void *scratch) {
  if (p->kernels) {
    run_winograd(p, operands, scratch);
    return;
  }
  if (p->is_product) {
    run_product(p, operands, scratch);
    return;
  }
  set_argument(p, 0, operands->x);
  set_argument(p, 1, operands->w);
  set_argument(p, 2, operands->y);
  if (p->argument_count == ARGUMENTS) set_argument(p, 3, operands->bias);
  set_argument(p, p->argument_count - 1, scratch);
  run(p);
}

/* ---- copies of weights ---- */

static sap_status copy_between(const sap__primitive *p, int out_of, sap__primitive **result, sap_error *err) {
  static const dnnl_format_tag_t plain[] = {dnnl_oihw, dnnl_goihw};
  if (p->kernels) return new_winograd(&p->winograd, result, err);
  sap__primitive *copy = NULL;
  dnnl_primitive_attr_t attr = NULL;
  sap__dnnl_desc arena;
  sap__dnnl_alone alone = sap__dnnl_alone_begin();
  dnnl_status_t status = begin(&copy, &attr);
  if (!status) {
    status = sap__dnnl_desc_new(&arena, p->weight_rank, p->weights, dnnl_f32, plain[p->weight_rank - 4]);
    if (!status) {
      sap__dnnl_desc_view own = weights_of(p), ours = sap__dnnl_view(&arena);
      status = dnnl_reorder_primitive_desc_create(&copy->desc, out_of ? own : ours, copy->engine, out_of ? ours : own,
                                                  copy->engine, attr);
      if (!status) status = add_argument(copy, DNNL_ARG_FROM, out_of ? own : ours);
      if (!status) status = add_argument(copy, DNNL_ARG_TO, out_of ? ours : own);
      sap__dnnl_desc_free(&arena);
    }
  }
  if (!status) status = finish(copy);
  sap__dnnl_alone_end(alone);
  if (attr) dnnl_primitive_attr_destroy(attr);
  if (status) {
    sap__primitive_free(copy);
    return sap__fail(err, status == dnnl_out_of_memory ? SAP_ERROR_MEMORY : SAP_ERROR_UNSUPPORTED,
                     "oneDNN cannot copy the weights of this convolution (status %d)", (int)status);
  }
  *result = copy;
  return SAP_OK;
}

sap_status sap__primitive_weights_in(const sap__primitive *p, sap__primitive **copy, sap_error *err) {
  return copy_between(p, 0, copy, err);
}

sap_status sap__primitive_weights_out(const sap__primitive *p, sap__primitive **copy, sap_error *err) {
  return copy_between(p, 1, copy, err);
}

void sap__primitive_copy(const sap__primitive *copy, const void *from, void *to, void *scratch) {
  if (copy->kernels) {
    copy_winograd(copy, from, to);
    return;
  }
  set_argument(copy, 0, (void *)from); /* oneDNN only reads it */
  set_argument(copy, 1, to);
  set_argument(copy, 2, scratch);
  run(copy);
}
