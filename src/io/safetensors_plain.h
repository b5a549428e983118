/* The header of a safetensors file in the plain form that the reference library and we write: no white space but behind
 * it, the keys of a tensor in the usual order, and the tensors in that of their data. About a third of the time that
 * any other form takes. */
#ifndef SAP_IO_SAFETENSORS_PLAIN_H
#define SAP_IO_SAFETENSORS_PLAIN_H

#include "io/json_scan.h"
#include "sapwood/safetensors.h"

typedef struct sap__plain_header {
  sap_tensor *tensors; /* from base/memory.h, as are the metadata; names, keys and values are in the text */
  size_t count, room;
  sap_metadata *metadata;
  size_t metadata_count;
} sap__plain_header;

/* Reads a header of `size` bytes with SAP__JSON_PADDING NULs behind them, which it writes into; `data` and `data_size`
 * are what follows it in the file. All is checked but that no two tensors have one name. 1: it is of that form and
 * right. 0: it is not, and there is nothing to free. −1: without memory. */
int sap__plain_header_read(char *text, size_t size, const char *data, uint64_t data_size, int lenient,
                           sap__plain_header *header);

#endif
