/* Expansions: the copies of a picture that make every read of a convolution one aligned vector.
 *
 * A tap of the kernel reads, for all output pixels in order, the input at distance (dy, dx), every `stride` pixels.
 * A plane holds those floats one after the other. Taps whose rows differ by whole strides can share a plane, as the
 * one's begins a number of rows later, which keeps the alignment if these rows are whole vectors; else each has its
 * own.
 */
#ifndef SAP_RUNTIME_EXPAND_H
#define SAP_RUNTIME_EXPAND_H

#include "runtime/schedule.h"

typedef struct sap__plane {
  int dx;          /* column of the input that output column 0 reads */
  int first, last; /* rows of the input that output row 0 reads, over the taps of this plane */
  int64_t offset;  /* of the plane in a channel's planes */
} sap__plane;

typedef struct sap__expansion {
  int stride[2], height, width; /* of the output */
  int period;                   /* rows of the output by which taps that share a plane may differ, and multiples */
  sap__plane *planes;
  int plane_count;
  int64_t channel; /* floats of all planes: between channels */
} sap__expansion;

/* The planes for all convolutions that read the same value at the same strides for the same output size. */
sap_status sap__expansion_new(const sap__program *program, const sap__layer *layer, int lanes,
                              sap__expansion *expansion, sap_error *err) SAP_WARN_UNUSED;
void sap__expansion_free(sap__expansion *expansion);

/* 1 if the layer, which reads the expanded value, was among those convolutions. */
int sap__expansion_fits(const sap__expansion *expansion, const sap__program *program, const sap__layer *layer);

/* Where each tap of the layer's kernel begins, in floats from the beginning of a channel. */
void sap__expansion_taps(const sap__expansion *expansion, const sap__layer *layer, int32_t *taps);

/* The runs of vectors that each thread needs: for a share of the output's columns, or, if not apart, for all. */
sap_status sap__expansion_shares(const sap__expansion *expansion, const sap__program *program, const sap__layer *layer,
                                 int lanes, int threads, int apart, sap__stage *stage, sap_error *err) SAP_WARN_UNUSED;

/* What each thread must fetch of the input to make its runs, if a thread's copy of it has but a share of the columns.
 */
sap_status sap__expansion_fetches(const sap__expansion *expansion, const sap__program *program, const sap__layer *layer,
                                  int lanes, int threads, sap__stage *stage, sap_error *err) SAP_WARN_UNUSED;

/* Fills the stage's job: how every vector of the planes is made from the layer's input. window: of the kernels. */
sap_status sap__expansion_tables(const sap__expansion *expansion, const sap__program *program, const sap__layer *layer,
                                 int lanes, int window, sap__stage *stage, sap_error *err) SAP_WARN_UNUSED;

#endif
