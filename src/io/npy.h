/* The header of a .npy file: magic, version, and a Python dict literal with descr, fortran_order and shape.
 *
 * Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html, versions 1.0 to 3.0.
 */
#ifndef SAP_IO_NPY_H
#define SAP_IO_NPY_H

#include "io/view.h"

enum { SAP__NPY_HEADER_MAX = 10000, SAP__NPY_HEAD_MAX = SAP__NPY_HEADER_MAX + 12 };

/* Reads the header in the first `size` bytes of a file, of which SAP__NPY_HEAD_MAX are enough. Fills the tensor's
 * dtype, rank, shape, count and bytes, the view (its offset is that of the data in the file), and checks that `total`,
 * the file's bytes, is what they take; lenient 1: or more. Errors, which name the checkpoint and the tensor:
 * SAP_ERROR_FORMAT, SAP_ERROR_UNSUPPORTED for elements that are no numbers of sap_dtype. */
sap_status sap__npy_parse(const uint8_t *bytes, size_t size, uint64_t total, const sap_checkpoint *checkpoint,
                          sap_tensor *tensor, sap__view *view, sap_error *err) SAP_WARN_UNUSED;

/* The header for a row-major tensor, as NumPy writes it: its bytes, a multiple of 64. 0 if NumPy has no name for the
 * dtype. */
size_t sap__npy_header(const sap_tensor *tensor, char header[512]);

#endif
