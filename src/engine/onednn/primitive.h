/* Convolutions and copies of their weights as the rest of the folder sees them, each made for one thread, with their
 * formats named: oneDNN's, of which both generations look alike, over compat.h, and our own.
 */
#ifndef SAP_ENGINE_ONEDNN_PRIMITIVE_H
#define SAP_ENGINE_ONEDNN_PRIMITIVE_H

#include "engine/format.h"

typedef enum sap__conv_pass { SAP__CONV_FORWARD, SAP__CONV_BACKWARD_DATA, SAP__CONV_BACKWARD_WEIGHTS } sap__conv_pass;
enum { SAP__CONV_PASSES = 3 };

/* Ways to compute a pass. A product is for the gradients of the weights in channels-last: the windows of all pictures,
 * row by row, times dy, as one matrix product. oneDNN's own way is slow where pictures are small. Winograd's way is
 * oneDNN's; squares are our own (winograd.h). */
typedef enum sap__conv_kind {
  SAP__CONV_DIRECT,
  SAP__CONV_WINOGRAD,
  SAP__CONV_PRODUCT,
  SAP__CONV_SQUARES,
  SAP__CONV_KINDS
} sap__conv_kind;

/* One convolution of `count` pictures. */
typedef struct sap__conv_problem {
  const sap__conv2d *conv;
  sap__format x, y;
  int64_t count;
  int adds; /* forward: y is added to */
} sap__conv_problem;

typedef struct sap__primitive sap__primitive;

/* Where the operands of a convolution lie. x and dx, w and dw, y and dy, bias and its gradient share a place. */
typedef struct sap__conv_operands {
  void *x, *w, *bias, *y;
} sap__conv_operands;

/* The `nth` implementation of a pass that there is of a kind, for x and y in the problem's formats and weights in its
 * own; NULL when there are no more, or it is a slow reference one. problem->conv outlives it.
 * SAP_ERROR_MEMORY is the only error. */
sap_status sap__primitive_conv(const sap__conv_problem *problem, sap__conv_pass pass, sap__conv_kind kind, int nth,
                               sap__primitive **primitive, sap_error *err);
void sap__primitive_free(sap__primitive *primitive);

/* 1 if oneDNN multiplies bf16 with the processor's matrix units (AMX). */
int sap__primitive_has_matrix_units(void);

/* What the implementation is called; lives as long as the primitive. */
const char *sap__primitive_name(const sap__primitive *primitive);

/* Bytes it needs while it runs, and of weights in its format. */
size_t sap__primitive_scratch(const sap__primitive *primitive);
size_t sap__primitive_weight_bytes(const sap__primitive *primitive);

/* 1 if the two want their weights in the same format. */
int sap__primitive_same_weights(const sap__primitive *a, const sap__primitive *b);

/* Runs it on the calling thread. */
void sap__primitive_run(const sap__primitive *primitive, const sap__conv_operands *operands, void *scratch);

/* Copies weights (O, I/groups, kernel) of floats, as the arenas have them, into a primitive's format and back. */
sap_status sap__primitive_weights_in(const sap__primitive *primitive, sap__primitive **copy, sap_error *err);
sap_status sap__primitive_weights_out(const sap__primitive *primitive, sap__primitive **copy, sap_error *err);

/* Runs a copy on the calling thread. */
void sap__primitive_copy(const sap__primitive *copy, const void *from, void *to, void *scratch);

#endif
