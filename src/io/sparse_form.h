/* A tensor in sparse form: the kept weights side by side, and an index, which says what shape the tensor has and where
 * the kept weights go. docs/sparse-format.md has the rules.
 *
 *   index:  a version, the rank, the shape; a record a block; the codes of the blocks (sparse_code.h)
 */
#ifndef SAP_IO_SPARSE_FORM_H
#define SAP_IO_SPARSE_FORM_H

#include "io/format.h"
#include "io/sparse_code.h"
#include "io/sparse_tensor.h"

/* ---- writing ---- */

/* What a tensor's sparse form takes. */
typedef struct sap__sparse_form {
  uint64_t kept, value_bytes, index_bytes;
  sap__sparse_block *blocks; /* freed with sap__free; NULL: not measured */
} sap__sparse_form;

/* Elements of whole bytes, at least one of them. */
int sap__sparse_possible(const sap_tensor *tensor);

/* Measures the form of a tensor whose data is readable. mask NULL: every element that is not all zero bits is kept, so
 * that -0 survives. mapped: the data lies in a mapped file, whose pages are given back. One read of the mask or the
 * data, on all threads. */
sap_status sap__sparse_measure_form(const sap_tensor *tensor, const uint64_t *mask, int mapped, sap__sparse_form *form,
                                    sap_error *err) SAP_WARN_UNUSED;

/* Sends the values, form->value_bytes, or the index, form->index_bytes, to the sink; arguments as they were when it was
 * measured. Memory: less than 1 MiB. */
sap_status sap__sparse_send_values(const sap_tensor *tensor, const uint64_t *mask, int mapped, sap__sink *sink,
                                   void *user, sap_error *err) SAP_WARN_UNUSED;
sap_status sap__sparse_send_index(const sap_tensor *tensor, const uint64_t *mask, int mapped,
                                  const sap__sparse_form *form, sap__sink *sink, void *user,
                                  sap_error *err) SAP_WARN_UNUSED;

#endif
