/* Reading the pickles of PyTorch's state dicts, and refusing every other.
 *
 * A pickle is a program for a stack machine that can call any function of Python. This machine knows the instructions
 * that torch.save writes, builds the values as they are named, and calls nothing: the few functions that a state dict
 * needs stand for themselves, every other name is refused where it is met.
 *
 * Time and memory are linear in the pickle's size, whatever it holds: values are numbered and shared, not copied.
 */
#ifndef SAP_IO_PICKLE_H
#define SAP_IO_PICKLE_H

#include "sapwood/dtype.h"

typedef enum sap__pickle_kind {
  SAP__PICKLE_OTHER, /* None, a float, bytes, …: nothing that matters to a tensor */
  SAP__PICKLE_BOOL,
  SAP__PICKLE_INTEGER, /* that fits 64 bits */
  SAP__PICKLE_TEXT,
  SAP__PICKLE_TUPLE,
  SAP__PICKLE_LIST,
  SAP__PICKLE_DICT,
  SAP__PICKLE_TYPE,    /* a storage class or a dtype; integer: an sap_dtype, SAP_DTYPE_COUNT for bytes without a type */
  SAP__PICKLE_CALL,    /* one of the functions */
  SAP__PICKLE_STORAGE, /* first: the persistent id, a tuple */
  SAP__PICKLE_TENSOR,  /* first: the arguments of _rebuild_tensor_v2 or, integer 3, _v3 */
} sap__pickle_kind;

typedef struct sap__pickle_value {
  sap__pickle_kind kind;
  uint32_t first, last; /* items of a tuple, list or dict: indices into items; 0: none */
  uint32_t length;      /* of a text, in bytes; of a tuple, list or dict, in items */
  union {
    int64_t integer;
    const char *text; /* in the pickle, not terminated */
  };
} sap__pickle_value;

typedef struct sap__pickle_item {
  uint32_t key; /* of a dict's item, else 0 */
  uint32_t value;
  uint32_t next; /* 0: the last */
} sap__pickle_item;

/* Values are indices into `values`, of which 0 is None. */
typedef struct sap__pickle {
  sap__pickle_value *values;
  sap__pickle_item *items; /* item 0 is not used */
  uint32_t root;
} sap__pickle;

/* Runs the pickle (bytes live as long as the result). path is for error texts. After an error there is nothing to
 * free. Errors: SAP_ERROR_FORMAT for what is no pickle, SAP_ERROR_UNSUPPORTED for what is no state dict, which names
 * the function that the pickle asks for; SAP_ERROR_MEMORY. */
sap_status sap__pickle_read(sap__pickle *pickle, const uint8_t *bytes, size_t size, const char *path,
                            sap_error *err) SAP_WARN_UNUSED;
void sap__pickle_free(sap__pickle *pickle);

#endif
