/* Exact selection of the c kept weights of smallest magnitude, without sorting.
 *
 * A float's magnitude read as an integer, its key, is ordered as the magnitude is. A pass over the weights
 * counts the keys of an interval, bin by bin, and what lies below; the next looks into the bin that holds
 * the c-th smallest key, until that key is known and how many of the weights equal to it are to be taken.
 * The first interval comes from a sample of the weights: it decides how fast the answer is, never which. Ties go by
 * position (layer order, then flat index), so the choice is unique: it depends neither on threads, nor on the
 * instruction set, nor on a sort.
 */
#ifndef SAPWOOD_SELECT_H
#define SAPWOOD_SELECT_H

#include <stddef.h>
#include <stdint.h>

#include "sapwood/layer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The set "the c smallest": every kept weight whose key is below `key`, and the first `ties` kept
 * weights, by position, whose key equals it. Keys are the bits of |w| widened to float, or to double where one of
 * the layers is F64. */
typedef struct sap_selection {
  uint64_t count;      /* c */
  uint64_t key;        /* the c-th smallest key; 0 when c = 0 */
  uint64_t ties;       /* 1 … ties_total; 0 when c = 0 */
  uint64_t ties_total; /* kept weights whose key equals `key` */
  int wide;            /* 1: the key is a double's */
} sap_selection;

/* Finds the c smallest kept weights of `count` layers taken as one vector. Two reads of the weights,
 * one for F16 and BF16 (a third in some 100 000 calls, when the sample misleads); scratch memory of 512 KiB
 * and 256 KiB a thread. Weights must be finite (measure first).
 * Errors: SAP_ERROR_ARGUMENT if c exceeds the kept weights; SAP_ERROR_MEMORY. */
SAP_API sap_status sap_select_smallest(const sap_layer *layers, size_t count, uint64_t c, sap_selection *selection,
                                       sap_error *err) SAP_WARN_UNUSED;

/* Clears the mask bits of the selected weights: exactly selection->count of them. One read of the
 * weights, one read and write of the masks. Every layer has a mask. Pass the same layers as above. */
SAP_API void sap_select_clear(const sap_layer *layers, size_t count, const sap_selection *selection);

/* How many of the selected weights each layer holds, into taken[count]; masks are not changed and need not be there.
 * One read of the weights. Pass the same layers as above. Errors: SAP_ERROR_MEMORY. */
SAP_API sap_status sap_select_counts(const sap_layer *layers, size_t count, const sap_selection *selection,
                                     uint64_t *taken, sap_error *err) SAP_WARN_UNUSED;

#ifdef __cplusplus
}
#endif
#endif
