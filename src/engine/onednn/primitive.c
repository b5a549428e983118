#include "engine/onednn/primitive.h"

#include <assert.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "engine/onednn/primitive_parts.h"

void sap__primitive_free(sap__primitive *p) {
  if (!p) return;
  for (int i = 0; i < SAP__PRIMITIVE_ARGUMENTS; i++)
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

sap__dnnl_desc_view sap__primitive_query(const sap__primitive *p, dnnl_query_t what) {
  return dnnl_primitive_desc_query_md(p->desc, what, 0);
}

static sap__dnnl_desc_view weights_of(const sap__primitive *p) {
  return p->is_product ? sap__dnnl_view(&p->product_weights) : sap__primitive_query(p, p->weight_query);
}

int sap__primitive_same_weights(const sap__primitive *a, const sap__primitive *b) {
  if (a->kernels || b->kernels)
    return a->kernels == b->kernels && sap__winograd_same_weights(&a->winograd, &b->winograd);
  return dnnl_memory_desc_equal(weights_of(a), weights_of(b));
}

dnnl_status_t sap__primitive_add(sap__primitive *p, int argument, sap__dnnl_desc_view desc) {
  p->arguments[p->argument_count].arg = argument;
  return dnnl_memory_create(&p->arguments[p->argument_count++].memory, desc, p->engine, DNNL_MEMORY_NONE);
}

void sap__primitive_place(const sap__primitive *p, int argument, void *data) {
  dnnl_status_t status = dnnl_memory_set_data_handle(p->arguments[argument].memory, data);
  assert(status == dnnl_success);
  (void)status;
}

void sap__primitive_execute(const sap__primitive *p) {
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

dnnl_status_t sap__primitive_finish(sap__primitive *p) {
  dnnl_status_t status = dnnl_primitive_create(&p->primitive, p->desc);
  if (!status) status = sap__primitive_add(p, DNNL_ARG_SCRATCHPAD, sap__primitive_query(p, dnnl_query_scratchpad_md));
  p->scratch = dnnl_memory_desc_get_size(sap__primitive_query(p, dnnl_query_scratchpad_md));
  if (!status) status = dnnl_primitive_desc_query(p->desc, dnnl_query_impl_info_str, 0, &p->name);
  return status;
}

int sap__primitive_has_matrix_units(void) {
  const dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();
  return (isa & dnnl_cpu_isa_avx512_core_amx) == dnnl_cpu_isa_avx512_core_amx; /* a set has the bits of those below */
}

/* ---- convolutions ---- */

dnnl_data_type_t sap__primitive_type(const sap__format *f) { return f->bytes == 2 ? dnnl_bf16 : dnnl_f32; }

static dnnl_format_tag_t tag_of(const sap__format *f) {
  return f->last ? dnnl_nhwc : f->block == 16 ? dnnl_nChw16c : f->block == 8 ? dnnl_nChw8c : dnnl_nchw;
}

static dnnl_status_t describe_value(sap__dnnl_desc *desc, const sap__format *f, int64_t count) {
  dnnl_dims_t dims = {count, f->channels, f->height, f->width};
  return sap__dnnl_desc_new(desc, 4, dims, sap__primitive_type(f), tag_of(f));
}

int sap__primitive_weight_dims(const sap__conv_problem *problem, int64_t *dims) {
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
  int rank = sap__primitive_weight_dims(problem, dims);
  /* Gradients of weights are sums over many pictures: floats, whatever the activations are. */
  dnnl_data_type_t weights = pass == SAP__CONV_BACKWARD_WEIGHTS ? dnnl_f32 : sap__primitive_type(&problem->x);
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
  p->weight_bytes = dnnl_memory_desc_get_size(sap__primitive_query(p, p->weight_query));
  dnnl_status_t status =
      sap__primitive_add(p, backward ? DNNL_ARG_DIFF_SRC : DNNL_ARG_SRC,
                         sap__primitive_query(p, backward ? dnnl_query_diff_src_md : dnnl_query_src_md));
  if (!status)
    status = sap__primitive_add(p, weights ? DNNL_ARG_DIFF_WEIGHTS : DNNL_ARG_WEIGHTS,
                                sap__primitive_query(p, p->weight_query));
  if (!status)
    status = sap__primitive_add(
        p, pass == SAP__CONV_FORWARD ? DNNL_ARG_DST : DNNL_ARG_DIFF_DST,
        sap__primitive_query(p, pass == SAP__CONV_FORWARD ? dnnl_query_dst_md : dnnl_query_diff_dst_md));
  if (!status && problem->conv->bias && !backward)
    status = sap__primitive_add(p, weights ? DNNL_ARG_DIFF_BIAS : DNNL_ARG_BIAS,
                                dnnl_primitive_desc_query_md(p->desc, p->weight_query, 1));
  return status;
}

static void run_conv(const sap__primitive *p, const sap__conv_operands *operands, void *scratch) {
  sap__primitive_place(p, 0, operands->x);
  sap__primitive_place(p, 1, operands->w);
  sap__primitive_place(p, 2, operands->y);
  if (p->argument_count == SAP__PRIMITIVE_ARGUMENTS) sap__primitive_place(p, 3, operands->bias);
  sap__primitive_place(p, p->argument_count - 1, scratch);
  sap__primitive_execute(p);
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
  if (kind == SAP__CONV_SQUARES) return nth > 0 ? SAP_OK : sap__winograd_conv(problem, pass, out, err);
  if (product && (pass != SAP__CONV_BACKWARD_WEIGHTS || nth > 0)) return SAP_OK;
  sap__dnnl_alone alone = sap__dnnl_alone_begin();
  dnnl_status_t status = begin(&p, &attr);
  if (!status && problem->adds) status = sap__dnnl_attr_add(attr);
  if (!status)
    status = product ? sap__product_describe(p, attr, problem) : describe_pass(p, attr, problem, pass, kind, nth);
  if (!status) {
    p->weight_rank = sap__primitive_weight_dims(problem, p->weights);
    p->run = run_conv;
    status = product ? dnnl_success : add_operands(p, problem, pass);
  }
  if (!status) status = product ? sap__product_finish(p, problem) : sap__primitive_finish(p);
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
  p->run(p, operands, scratch);
}

/* ---- copies of weights ---- */

static sap_status copy_between(const sap__primitive *p, int out_of, sap__primitive **result, sap_error *err) {
  static const dnnl_format_tag_t plain[] = {dnnl_oihw, dnnl_goihw};
  if (p->kernels) return sap__winograd_copy_of(p, result, err);
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
      if (!status) status = sap__primitive_add(copy, DNNL_ARG_FROM, out_of ? own : ours);
      if (!status) status = sap__primitive_add(copy, DNNL_ARG_TO, out_of ? ours : own);
      sap__dnnl_desc_free(&arena);
    }
  }
  if (!status) status = sap__primitive_finish(copy);
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
    sap__winograd_copy(copy, from, to);
    return;
  }
  sap__primitive_place(copy, 0, (void *)from); /* oneDNN only reads it */
  sap__primitive_place(copy, 1, to);
  sap__primitive_place(copy, 2, scratch);
  sap__primitive_execute(copy);
}
