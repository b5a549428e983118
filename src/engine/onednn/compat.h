/* What differs between oneDNN 2.6 and 3.x, and the few calls that the rest of the folder makes.
 *
 * 2.6 describes an operation in a struct and iterates over its implementations; 3.x makes primitive descriptors
 * directly and moves each to its next implementation. Memory descriptors are structs in 2.6 and handles in 3.x.
 */
#ifndef SAP_ENGINE_ONEDNN_COMPAT_H
#define SAP_ENGINE_ONEDNN_COMPAT_H

#include <assert.h>
#include <dnnl.h>
#ifdef _OPENMP
#include <omp.h>
#endif

/* oneDNN divides work among the threads of its caller's settings. Between these two, that is one thread: the plan
 * shares out the work, and sums must not depend on threads. Inside a parallel region running keeps to one thread by
 * itself; a region of one thread is not one, and making a primitive looks at the settings anyway. */
typedef struct sap__dnnl_alone {
  int threads;
} sap__dnnl_alone;

static inline sap__dnnl_alone sap__dnnl_alone_begin(void) {
#ifdef _OPENMP
  int threads = omp_get_max_threads();
  if (threads > 1) omp_set_num_threads(1);
  return (sap__dnnl_alone){threads};
#else
  return (sap__dnnl_alone){1};
#endif
}

static inline void sap__dnnl_alone_end(sap__dnnl_alone alone) {
#ifdef _OPENMP
  if (alone.threads > 1) omp_set_num_threads(alone.threads);
#else
  (void)alone;
#endif
}

/* C (m,n) = alpha · op(A) · op(B) + beta · C, row-major; op transposes where its letter is 'T'.
 * Both generations have the call, with the same meaning; it fails on senseless lengths alone.
 * Runs on the calling thread. */
static inline void sap__dnnl_gemm(char transpose_a, char transpose_b, int64_t m, int64_t n, int64_t k, float alpha,
                                  const float *a, int64_t lda, const float *b, int64_t ldb, float beta, float *c,
                                  int64_t ldc) {
  sap__dnnl_alone alone = sap__dnnl_alone_begin();
  dnnl_status_t status = dnnl_sgemm(transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  assert(status == dnnl_success);
  (void)status;
  sap__dnnl_alone_end(alone);
}

/* A memory descriptor that we own, and a view of one that a primitive owns. */
#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t sap__dnnl_desc;
typedef const_dnnl_memory_desc_t sap__dnnl_desc_view;
static inline sap__dnnl_desc_view sap__dnnl_view(const sap__dnnl_desc *desc) { return *desc; }
static inline void sap__dnnl_desc_free(sap__dnnl_desc *desc) {
  if (*desc) dnnl_memory_desc_destroy(*desc);
}
static inline dnnl_status_t sap__dnnl_desc_new(sap__dnnl_desc *desc, int rank, const dnnl_dims_t dims,
                                               dnnl_data_type_t type, dnnl_format_tag_t tag) {
  return dnnl_memory_desc_create_with_tag(desc, rank, dims, type, tag);
}
#else
typedef dnnl_memory_desc_t sap__dnnl_desc;
typedef const dnnl_memory_desc_t *sap__dnnl_desc_view;
static inline sap__dnnl_desc_view sap__dnnl_view(const sap__dnnl_desc *desc) { return desc; }
static inline void sap__dnnl_desc_free(sap__dnnl_desc *desc) { (void)desc; }
static inline dnnl_status_t sap__dnnl_desc_new(sap__dnnl_desc *desc, int rank, const dnnl_dims_t dims,
                                               dnnl_data_type_t type, dnnl_format_tag_t tag) {
  return dnnl_memory_desc_init_by_tag(desc, rank, dims, type, tag);
}
#endif

/* C = A · B, as a primitive's descriptor. */
static inline dnnl_status_t sap__dnnl_product_desc(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                                   const sap__dnnl_desc *a, const sap__dnnl_desc *b,
                                                   const sap__dnnl_desc *c, const_dnnl_primitive_attr_t attr) {
#if DNNL_VERSION_MAJOR >= 3
  return dnnl_matmul_primitive_desc_create(out, engine, *a, *b, NULL, *c, attr);
#else
  dnnl_matmul_desc_t desc;
  dnnl_status_t status = dnnl_matmul_desc_init(&desc, a, b, NULL, c);
  return status ? status : dnnl_primitive_desc_create(out, &desc, attr, engine, NULL);
#endif
}

/* Lets a result be added to what is there. */
static inline dnnl_status_t sap__dnnl_attr_add(dnnl_primitive_attr_t attr) {
  dnnl_post_ops_t ops = NULL;
  dnnl_status_t status = dnnl_post_ops_create(&ops);
#if DNNL_VERSION_MAJOR >= 3
  if (!status) status = dnnl_post_ops_append_sum(ops, 1, 0, dnnl_data_type_undef);
#else
  if (!status) status = dnnl_post_ops_append_sum(ops, 1);
#endif
  if (!status) status = dnnl_primitive_attr_set_post_ops(attr, ops);
  if (ops) dnnl_post_ops_destroy(ops);
  return status;
}

/* A convolution, in oneDNN's words. bias is empty for none. */
typedef struct sap__dnnl_conv {
  dnnl_prop_kind_t pass; /* forward_training, backward_data or backward_weights */
  dnnl_alg_kind_t algorithm;
  sap__dnnl_desc x, w, bias, y;
  int has_bias;
  dnnl_dims_t stride, dilation, before, after; /* dilation 0: none */
} sap__dnnl_conv;

/* The `nth` implementation of a convolution; `hint` is a forward one for the backward passes, else NULL.
 * dnnl_unimplemented or another failure when there are no more. */
static inline dnnl_status_t sap__dnnl_conv_desc(dnnl_primitive_desc_t *out, const sap__dnnl_conv *c,
                                                dnnl_engine_t engine, const_dnnl_primitive_attr_t attr,
                                                const_dnnl_primitive_desc_t hint, int nth) {
  dnnl_status_t status;
  sap__dnnl_desc_view bias = c->has_bias ? sap__dnnl_view(&c->bias) : NULL;
  sap__dnnl_desc_view x = sap__dnnl_view(&c->x), w = sap__dnnl_view(&c->w), y = sap__dnnl_view(&c->y);
#if DNNL_VERSION_MAJOR >= 3
  dnnl_primitive_desc_t pd = NULL;
  if (c->pass == dnnl_backward_data)
    status = dnnl_convolution_backward_data_primitive_desc_create(&pd, engine, c->algorithm, x, w, y, c->stride,
                                                                  c->dilation, c->before, c->after, hint, attr);
  else if (c->pass == dnnl_backward_weights)
    status = dnnl_convolution_backward_weights_primitive_desc_create(
        &pd, engine, c->algorithm, x, w, bias, y, c->stride, c->dilation, c->before, c->after, hint, attr);
  else
    status = dnnl_convolution_forward_primitive_desc_create(&pd, engine, c->pass, c->algorithm, x, w, bias, y,
                                                            c->stride, c->dilation, c->before, c->after, attr);
  for (int i = 0; !status && i < nth; i++) status = dnnl_primitive_desc_next_impl(pd);
  if (status && pd) dnnl_primitive_desc_destroy(pd);
  if (!status) *out = pd;
#else
  dnnl_convolution_desc_t desc;
  if (c->pass == dnnl_backward_data)
    status = dnnl_dilated_convolution_backward_data_desc_init(&desc, c->algorithm, x, w, y, c->stride, c->dilation,
                                                              c->before, c->after);
  else if (c->pass == dnnl_backward_weights)
    status = dnnl_dilated_convolution_backward_weights_desc_init(&desc, c->algorithm, x, w, bias, y, c->stride,
                                                                 c->dilation, c->before, c->after);
  else
    status = dnnl_dilated_convolution_forward_desc_init(&desc, c->pass, c->algorithm, x, w, bias, y, c->stride,
                                                        c->dilation, c->before, c->after);
  if (status) return status;
  dnnl_primitive_desc_iterator_t iterator;
  status = dnnl_primitive_desc_iterator_create(&iterator, &desc, attr, engine, hint);
  if (status) return status;
  for (int i = 0; !status && i < nth; i++) status = dnnl_primitive_desc_iterator_next(iterator);
  if (!status && !(*out = dnnl_primitive_desc_iterator_fetch(iterator))) status = dnnl_unimplemented;
  dnnl_primitive_desc_iterator_destroy(iterator);
#endif
  return status;
}

#endif
