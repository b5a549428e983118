#include "sapwood/dtype.h"

#include <string.h>

#define SAP_DTYPE_ROW(constant, name, bits) {name, bits},
static const struct {
  const char *name;
  unsigned bits;
} dtypes[SAP_DTYPE_COUNT] = {SAP_DTYPE_LIST(SAP_DTYPE_ROW)};
#undef SAP_DTYPE_ROW

const char *sap_dtype_name(sap_dtype dtype) { return (unsigned)dtype < SAP_DTYPE_COUNT ? dtypes[dtype].name : "?"; }

unsigned sap_dtype_bits(sap_dtype dtype) { return (unsigned)dtype < SAP_DTYPE_COUNT ? dtypes[dtype].bits : 0; }

sap_dtype sap_dtype_from_name(const char *name, size_t length) {
  for (int i = 0; i < SAP_DTYPE_COUNT; i++)
    if (strlen(dtypes[i].name) == length && !memcmp(dtypes[i].name, name, length)) return (sap_dtype)i;
  return SAP_DTYPE_COUNT;
}

int sap_dtype_prunable(sap_dtype dtype) { return dtype == SAP_F32 || dtype == SAP_F16 || dtype == SAP_BF16; }
