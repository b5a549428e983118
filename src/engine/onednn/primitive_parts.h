/* What the kinds of convolutions behind primitive.h share. Only primitive.c and primitive_<kind>.c include it. */
#ifndef SAP_ENGINE_ONEDNN_PRIMITIVE_PARTS_H
#define SAP_ENGINE_ONEDNN_PRIMITIVE_PARTS_H

#include "engine/onednn/compat.h"
#include "engine/onednn/primitive.h"
#include "engine/onednn/winograd.h"

enum { SAP__PRIMITIVE_OPERANDS = 4, SAP__PRIMITIVE_ARGUMENTS = SAP__PRIMITIVE_OPERANDS + 1 };

struct sap__primitive {
  void (*run)(const sap__primitive *p, const sap__conv_operands *operands, void *scratch); /* of a convolution */
  const char *name;
  size_t scratch, weight_bytes;

  /* Of oneDNN's and of a product. */
  dnnl_engine_t engine;
  dnnl_stream_t stream;
  dnnl_primitive_desc_t desc;
  dnnl_primitive_t primitive;
  /* (x, w, bias, y) of a convolution, (from, to) of a copy, and last the scratchpad */
  dnnl_exec_arg_t arguments[SAP__PRIMITIVE_ARGUMENTS];
  int argument_count;
  dnnl_query_t weight_query; /* where desc keeps the weights' descriptor */
  dnnl_dims_t weights;       /* (groups,) O, I, kernel */
  int weight_rank;

  /* Of a product: what is laid out as rows, and the format of its weights, (kernel, I, O). */
  int is_product;
  sap__conv_problem problem;
  sap__dnnl_desc product_weights;

  /* Of our own Winograd's way and the copies of its weights; else NULL. */
  const sap__winograd_kernels *kernels;
  sap__winograd winograd;
};

/* ---- primitive.c ---- */

sap__dnnl_desc_view sap__primitive_query(const sap__primitive *p, dnnl_query_t what);
/* Adds the next argument, which oneDNN calls `argument`. */
dnnl_status_t sap__primitive_add(sap__primitive *p, int argument, sap__dnnl_desc_view desc);
/* Where that argument lies from now on. */
void sap__primitive_place(const sap__primitive *p, int index, void *data);
/* Makes the primitive of p->desc, for one thread, and its scratchpad's argument, the last. */
dnnl_status_t sap__primitive_finish(sap__primitive *p);
void sap__primitive_execute(const sap__primitive *p);

dnnl_data_type_t sap__primitive_type(const sap__format *f);
/* (groups,) O/groups, I/groups, kernel: oneDNN has an axis for the groups where there are some. */
int sap__primitive_weight_dims(const sap__conv_problem *problem, int64_t *dims);

/* ---- primitive_product.c ---- */

/* The descriptor of the matrix product that gives the gradients of the weights; dnnl_unimplemented if it cannot. */
dnnl_status_t sap__product_describe(sap__primitive *p, const_dnnl_primitive_attr_t attr,
                                    const sap__conv_problem *problem);
/* Its arguments, what runs it, and in front of its scratchpad the rows. */
dnnl_status_t sap__product_finish(sap__primitive *p, const sap__conv_problem *problem);

/* ---- primitive_winograd.c ---- */

/* A pass by our own Winograd's way; *out stays NULL where it cannot be done so. */
sap_status sap__winograd_conv(const sap__conv_problem *problem, sap__conv_pass pass, sap__primitive **out,
                              sap_error *err);
/* The copy of its weights, in or out. */
sap_status sap__winograd_copy_of(const sap__primitive *p, sap__primitive **copy, sap_error *err);
void sap__winograd_copy(const sap__primitive *copy, const void *from, void *to);

#endif
