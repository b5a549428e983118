/* What the names in a pickle stand for. */
#ifndef SAP_IO_PICKLE_NAMES_H
#define SAP_IO_PICKLE_NAMES_H

#include "io/pickle.h"

/* Functions, as SAP__PICKLE_CALL's integer. */
enum {
  SAP__CALL_DICT,      /* collections.OrderedDict() */
  SAP__CALL_TENSOR_V2, /* torch._utils._rebuild_tensor_v2 */
  SAP__CALL_TENSOR_V3, /* torch._utils._rebuild_tensor_v3 */
  SAP__CALL_PARAMETER, /* torch._utils._rebuild_parameter: its first argument */
  SAP__CALL_SIZE,      /* torch.Size: its argument, a tuple */
  SAP__CALL_OTHER      /* torch.device: nothing that matters */
};

/* The value of module.name, or kind SAP__PICKLE_OTHER if it is none of those a state dict needs. */
sap__pickle_value sap__pickle_name(const char *module, size_t module_length, const char *name, size_t name_length);

#endif
