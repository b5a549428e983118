/* The path of F64, and of other types where they are taken as one vector with it: exact, in plain loops. */
#ifndef SAP_INDEX_WIDE_H
#define SAP_INDEX_WIDE_H

#include "index/span.h"

/* 1 if one of the layers is F64: then keys are those of doubles. */
int sap__wide_needed(const sap_layer *layers, size_t count);

/* Adds a span of at most SAP__BLOCK weights of F64; 0 if a kept weight is not finite. */
int sap__wide_add_block(sap_norms *norms, const sap__span *span);

/* As the kernel `compare`, with wide keys, for any prunable type. */
void sap__wide_compare(const sap__span *span, uint64_t low, uint64_t high, uint64_t *below, uint64_t *inside);

/* The c smallest kept weights; c is at least 1 and does not exceed them. */
sap_selection sap__wide_select_span(const sap__span *span, uint64_t c);
sap_status sap__wide_select(const sap_layer *layers, size_t count, uint64_t c, sap_selection *selection,
                            sap_error *err);

/* The Gini index of at least one layer of F64. */
sap_status sap__wide_gini(const sap_layer *layers, size_t count, double *gini, sap_error *err);

#endif
